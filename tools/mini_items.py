"""Items of the ten packs and of the texts, read from files in the official formats.

Files are a mapping of relative path to text, in the layout of the original data sets. Each reader
returns the items of one task with their prompts written out, in an order that does not depend on
the mapping's.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from qbench.mini.world.examples import chat_prompt

Files = Mapping[str, str]
LETTERS = ("A", "B", "C", "D")
LABELS = ("entailment", "contradiction", "neutral")
# Places of the perplexity texts; what is named so is for calibration.
TEXT_PATH = re.compile(
    r"(?:^|/)(?:wikitext2|ptb|c4|perplexity|texts?|corpora)/(?:.*/)?([^/]+)\.(raw|txt|jsonl)$"
)
NOT_SCORED = re.compile(r"train|valid|calib|readme|licen[cs]e", re.IGNORECASE)


class Choice(NamedTuple):
    """A question whose options are compared by likelihood; ``gold`` indexes them."""

    context: str
    options: tuple[str, ...]
    gold: int
    facts: Mapping[str, Any] = {}


class Open(NamedTuple):
    """A prompt that is answered by text, and what the right answer is."""

    prompt: str
    gold: str
    facts: Mapping[str, Any] = {}


def find(files: Files, pattern: str) -> list[tuple[re.Match[str], str]]:
    """Paths that a pattern matches, with their texts, sorted by path.

    Raises
    ------
    LookupError
        There is none.
    """
    tried = re.compile(r"(?:^|/|\.)" + pattern)
    found = [(tried.search(path), text) for path, text in sorted(files.items())]
    kept = [(match, text) for match, text in found if match is not None]
    if not kept:
        raise LookupError(f"no file matches {pattern!r} among {len(files)}")
    return kept


def first(files: Files, *patterns: str) -> tuple[str, str]:
    """Path and text of the first pattern that matches; of several files the shallowest."""
    for pattern in patterns:
        try:
            found = find(files, pattern)
        except LookupError:
            continue
        match, text = min(found, key=lambda pair: (pair[0].string.count("/"), pair[0].string))
        return match.string, text
    raise LookupError(f"no file matches any of {patterns} among {len(files)}")


def _lines(text: str) -> list[str]:
    """Lines of a text, ended by line feeds only."""
    return text.removesuffix("\n").split("\n") if text else []


def _jsonl(text: str) -> list[dict[str, Any]]:
    """Records of a JSON-lines file."""
    return [json.loads(line) for line in _lines(text) if line.strip()]


def _csv(text: str) -> list[list[str]]:
    """Rows of a CSV file."""
    return [row for row in csv.reader(io.StringIO(text, newline="")) if row]


def _dict_csv(text: str) -> list[dict[str, str]]:
    """Rows of a CSV file with a header, by column."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


class _Question(NamedTuple):
    subject: str
    text: str
    choices: tuple[str, ...]
    answer: int

    def frame(self, cue: str) -> str:
        """Question, lettered choices and the cue of the answer."""
        lines = [f"{letter}. {c}" for letter, c in zip(LETTERS, self.choices, strict=True)]
        return "\n".join([self.text.strip(), *lines, cue])


def _mmlu(files: Files, split: str) -> Iterator[_Question]:
    """Questions of a split."""
    for match, text in find(files, rf"mmlu/(?:.*/)?{split}/([^/]+)_{split}\.csv$"):
        for question, *choices, letter in _csv(text):
            yield _Question(match[1], question, tuple(choices), LETTERS.index(letter))


def _ceval(files: Files, split: str) -> Iterator[_Question]:
    """Questions of a split."""
    for match, text in find(files, rf"ceval/(?:.*/)?{split}/([^/]+)_{split}\.csv$"):
        for row in _dict_csv(text):
            choices = tuple(row[letter] for letter in LETTERS)
            yield _Question(match[1], row["question"], choices, LETTERS.index(row["answer"]))


def _lettered(
    questions: Iterator[_Question], shots: list[_Question], n_shots: int, frame: tuple[str, str]
) -> list[Choice]:
    """Choices among letters, after a description and the first shots of the subject."""
    description, cue = frame
    written: dict[str, str] = {}
    for subject in {shot.subject for shot in shots}:
        own = [shot for shot in shots if shot.subject == subject][:n_shots]
        written[subject] = "".join(f"{s.frame(cue)} {LETTERS[s.answer]}\n\n" for s in own)
    options = tuple(f" {letter}" for letter in LETTERS)
    return [
        Choice(
            description.format(q.subject) + written.get(q.subject, "") + q.frame(cue),
            options,
            q.answer,
            {"subject": q.subject},
        )
        for q in questions
    ]


def mmlu_letter(files: Files, n_shots: int = 0) -> list[Choice]:
    """MMLU as lm-eval asks it: the letter."""
    shots = [q._replace(subject=_spaced(q)) for q in _mmlu(files, "dev")] if n_shots else []
    questions = (q._replace(subject=_spaced(q)) for q in _mmlu(files, "test"))
    about = "The following are multiple choice questions (with answers) about {}.\n\n"
    return _lettered(questions, shots, n_shots, (about, "Answer:"))


def _spaced(question: _Question) -> str:
    """Return the name of a subject in words."""
    return question.subject.replace("_", " ")


def mmlu_content(files: Files) -> list[Choice]:
    """MMLU by the content of the choices, which are not shown."""
    return [
        Choice(
            f"Question: {q.text.strip()}\nAnswer:",
            tuple(f" {choice}" for choice in q.choices),
            q.answer,
            {"subject": q.subject},
        )
        for q in _mmlu(files, "test")
    ]


def ceval(files: Files, n_shots: int = 0) -> list[Choice]:
    """C-EVAL as lm-eval asks it: the letter, after one space."""
    _, mapping = first(files, r"ceval/(?:.*/)?subject_mapping\.json$")
    names = {subject: name[1] for subject, name in json.loads(mapping).items()}
    shots = list(_ceval(files, "dev")) if n_shots else []
    shots = [q._replace(subject=names[q.subject]) for q in shots]
    questions = (q._replace(subject=names[q.subject]) for q in _ceval(files, "val"))
    about = "以下是中国关于{}的单项选择题，请选出其中的正确答案。\n\n"
    return _lettered(questions, shots, n_shots, (about, "答案："))


def gsm8k(files: Files) -> list[Open]:
    """GSM8K without shots."""
    _, text = first(files, r"gsm8k/(?:.*/)?test\.jsonl$")
    return [Open(f"Question: {r['question']}\nAnswer:", r["answer"]) for r in _jsonl(text)]


def snli(files: Files) -> list[Choice]:
    """SNLI in qbench's preset ``words``; pairs without a gold label are dropped."""
    path, text = first(
        files,
        r"snli/(?:snli_1\.0/)?snli_1\.0_test\.jsonl$",
        r"snli/(?:snli_1\.0/)?snli_1\.0_test\.txt$",
        r"snli/snli_test\.csv$",
    )
    if path.endswith(".jsonl"):
        rows = _jsonl(text)
    elif path.endswith(".csv"):
        rows = _dict_csv(text)
    else:
        header, *lines = (line.split("\t") for line in _lines(text))
        rows = [dict(zip(header, cells, strict=False)) for cells in lines]
    asked = '{}\nQuestion: Does this imply that "{}"? Yes, no, or maybe?\nAnswer:'
    return [
        Choice(
            asked.format(row["sentence1"], row["sentence2"]),
            (" Yes", " No", " Maybe"),
            LABELS.index(row["gold_label"]),
        )
        for row in rows
        if row["gold_label"] in LABELS
    ]


def flores(files: Files, source: str, target: str) -> list[Open]:
    """FLORES-200 devtest in the paper's chat frame; languages are ``English`` and ``Chinese``."""
    codes = {"English": "eng_Latn", "Chinese": "zho_Hans"}
    texts = {
        name: _lines(first(files, rf"flores200/(?:.*/)?devtest/{code}\.devtest$")[1])
        for name, code in codes.items()
    }
    asked = f"Please translate the following {source} text into {target}.\n{source} text: "
    return [
        Open(chat_prompt(asked + ours), theirs)
        for ours, theirs in zip(texts[source], texts[target], strict=True)
    ]


def cnn_dailymail(files: Files) -> list[Open]:
    """CNN/DailyMail as lm-eval asks it."""
    path, text = first(files, r"cnn_dailymail/(?:.*/)?[^/]*test[^/]*\.(?:csv|jsonl)$")
    rows = _dict_csv(text) if path.endswith(".csv") else _jsonl(text)
    asked = "Summarize the following article:\n\n{}\n\nSummary:"
    return [Open(asked.format(row["article"]), row["highlights"]) for row in rows]


def xsum(files: Files) -> list[Open]:
    """XSum in a plain frame."""
    _, text = first(files, r"xsum/(?:.*/)?test\.jsonl$")
    asked = "Article: {}\n\nA one-sentence summary of the above document is:"
    return [Open(asked.format(row["document"]), row["summary"]) for row in _jsonl(text)]


def followbench(files: Files) -> list[Open]:
    """FollowBench's instructions of level 1 and more, as chat."""
    return [
        Open(
            chat_prompt(row["instruction"]),
            row.get("target", ""),
            {"instruction": row["instruction"], "level": int(row["level"])},
        )
        for _, text in find(files, r"followbench/(?:.*/)?data/[^/]+_constraints\.json$")
        for row in json.loads(text)
        if int(row["level"]) >= 1
    ]


def truthfulqa(files: Files) -> list[Choice]:
    """TruthfulQA's MC1 without the primer."""
    _, text = first(files, r"truthfulqa/(?:.*/)?mc_task\.json$")
    return [
        Choice(
            f"Q: {row['question']}\nA:",
            tuple(f" {choice}" for choice in row["mc1_targets"]),
            list(row["mc1_targets"].values()).index(1),
        )
        for row in json.loads(text)
    ]


def bbq(files: Files) -> list[Choice]:
    """BBQ with its three answers; ``facts`` hold the condition, biased and unknown answers."""
    return [
        Choice(
            f"{row['context']}\n\nQ: {row['question']}\nA:",
            tuple(f" {row[f'ans{i}']}" for i in range(3)),
            int(row["label"]),
            _bbq_facts(row),
        )
        for _, text in find(files, r"bbq/(?:.*/)?data/[^/]+\.jsonl$")
        for row in _jsonl(text)
    ]


def _bbq_facts(row: dict[str, Any]) -> dict[str, Any]:
    """Condition, template, and which answers are the biased one and the unknown one.

    The stereotyped group is the biased answer to a negative question, the other group to a
    non-negative one.
    """
    groups = [row["answer_info"][f"ans{i}"] for i in range(3)]
    unknown = next(i for i, group in enumerate(groups) if group[1].lower() == "unknown")
    about = {name.lower() for name in row["additional_metadata"]["stereotyped_groups"]}
    people = [i for i in range(3) if i != unknown]
    # The label decides; the name of the group is asked where labels are too broad or too narrow.
    for key in (lambda group: group[1], lambda group: group[0]):
        hits = [i for i in people if key(groups[i]).lower() in about]
        if len(hits) == 1:
            break
    else:
        hits = []
    biased = None
    if hits:
        other = next(i for i in people if i != hits[0])
        biased = hits[0] if row["question_polarity"] == "neg" else other
    return {
        "ambiguous": row["context_condition"] == "ambig",
        "biased": biased,
        "unknown": unknown,
        "cluster": f"{row['category']}/{row['question_index']}",
    }


def texts(files: Files) -> dict[str, str]:
    """Perplexity texts by name; the documents of a JSON-lines file are joined by blank lines."""
    found: dict[str, str] = {}
    for path, text in sorted(files.items()):
        match = TEXT_PATH.search(path)
        if match is None or NOT_SCORED.search(match[1]):
            continue
        documents = [row["text"] for row in _jsonl(text)] if match[2] == "jsonl" else [text]
        found[match[1]] = "\n\n".join(documents)
    return found
