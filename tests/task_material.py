"""A small data folder, a toy tokenizer and a toy model, for the tests of tasks and their execution.

The toy model's log-probabilities come from a hash of the last tokens, so that they are the same in
every batch and depend on context, which is all that these tests need of a model.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SCORES = np.dtype([("logprob", "f8"), ("is_greedy", "?"), ("n_tokens", "i4")])
SUBJECTS = {"astronomy": 7, "us_foreign_policy": 4, "virology": 2}
LETTERS = "ABCD"


def mmlu_row(subject: str, split: str, i: int) -> list[str]:
    """One row; the first has a padded question with a comma, quotes and two lines."""
    question = f' {subject} "{split}",\nnumber {i}? ' if i == 0 else f"{subject} {split} {i}?"
    return [question, *(f"{letter.lower()}{i}, yes" for letter in LETTERS), LETTERS[i % 4]]


def write_mmlu(root: Path, subjects: Mapping[str, int] = SUBJECTS, n_dev: int = 5) -> Path:
    """Write CSV files in the official layout; return their folder."""
    folder = root / "mmlu" / "data"
    for split in ("dev", "test"):
        (folder / split).mkdir(parents=True, exist_ok=True)
        for subject, n_test in subjects.items():
            path = folder / split / f"{subject}_{split}.csv"
            with path.open("w", newline="", encoding="utf-8") as file:
                rows = range(n_dev if split == "dev" else n_test)
                csv.writer(file).writerows(mmlu_row(subject, split, i) for i in rows)
    return folder


PAIRS = [
    ("A man eats.", "Someone eats.", "entailment", "p1#0r1e"),
    ("A man eats.", "Nobody, ever, eats.", "contradiction", "p1#0r1c"),
    ("A man eats.", "It is noon.", "neutral", "p1#0r1n"),
    ("Two “dogs” run.", "Dogs run.", "entailment", "p2#0r1e"),
    ("Two “dogs” run.", "Cats run.", "-", "p2#0r1c"),
    ("It rains.", "It is wet.", "entailment", "p3#0r1e"),
]


def write_snli(folder: Path, name: str) -> Path:
    """Write PAIRS under an official file name, in that file's format."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if path.suffix == ".jsonl":
        keys = ("sentence1", "sentence2", "gold_label", "pairID")
        records = [
            {"annotator_labels": [pair[2]], "captionID": "x", **dict(zip(keys, pair, strict=True))}
            for pair in PAIRS
        ]
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    elif path.suffix == ".txt":
        rows = [["gold_label", "sentence1_parse", "sentence1", "sentence2", "captionID", "pairID"]]
        rows += [[label, "( x )", p, h, "c", pair_id] for p, h, label, pair_id in PAIRS]
        path.write_text("".join("\t".join(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            rows = [["gold_label", "sentence1", "sentence2", "SET"]]
            rows += [[label, p, h, "TEST"] for p, h, label, _ in PAIRS]
            csv.writer(file).writerows(rows)
    return path


class ToyTokenizer:
    """One token per character below U+0080; 0 is BOS, 1 stands for every other character."""

    bos_id = 0
    unk_id = 1

    def __init__(self, chat_template: str | None = None, adds_bos: bool = True) -> None:
        self.chat_template = chat_template
        self.adds_bos = adds_bos
        self.sha256 = f"toy {adds_bos}"
        self.n_encoded = 0

    def encode(self, text: str, *, bos: bool | None = None) -> list[int]:
        self.n_encoded += 1
        ids = [ord(char) if 2 <= ord(char) < 128 else 1 for char in text]
        return [0, *ids] if (self.adds_bos if bos is None else bos) else ids

    def encode_pair(
        self, context: str, continuation: str, policy: str = "whole"
    ) -> tuple[list[int], list[int]]:
        assert policy == "whole"
        whole = self.encode(context + continuation)
        n = len(self.encode(context.rstrip()))
        return whole[:n], whole[n:]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(i) for i in ids if i > 1)

    def count_unk(self, ids: Sequence[int]) -> int:
        return list(ids).count(1)

    def apply_chat(
        self, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True
    ) -> list[int]:
        text = "".join(f"<{m['role']}>{m['content']}" for m in messages)
        return self.encode(text + ("<assistant>" if add_generation_prompt else ""), bos=False)


class ToyModel:
    """A model that remembers what it was asked.

    ``favourite`` is the token that is likeliest everywhere; ``answers`` are texts to generate, one
    per prompt in turn; ``broken`` is a token whose log-probability is NaN.
    """

    def __init__(
        self,
        tokenizer: ToyTokenizer,
        context_length: int = 4096,
        *,
        favourite: int | None = None,
        answers: Sequence[str] = (),
        broken: int | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.context_length = context_length
        self.favourite = favourite
        self.answers = list(answers)
        self.broken = broken
        self.calls: list[list[tuple[list[int], list[int]]]] = []
        self.generated: list[dict[str, Any]] = []

    def logprob(self, before: Sequence[int], token: int) -> float:
        if token == self.broken:
            return float("nan")
        if token == self.favourite:
            return -0.125
        digest = hashlib.sha256(repr((tuple(before[-8:]), token)).encode()).digest()
        return -1.0 - int.from_bytes(digest[:4], "big") / 2**30

    def loglikelihood_tokens(self, pairs: Sequence[tuple[list[int], list[int]]]) -> np.ndarray:
        self.calls.append([(list(c), list(t)) for c, t in pairs])
        rows = []
        for context, continuation in pairs:
            assert context, "a context is never empty"
            assert len(context) + len(continuation) <= self.context_length + 1
            ids = [*context, *continuation]
            starts = range(len(context), len(ids))
            rows.append((sum(self.logprob(ids[:i], ids[i]) for i in starts), False, len(starts)))
        return np.array(rows, dtype=SCORES)

    def generate(self, prompts: Sequence[list[int]], **settings: Any) -> list[list[int]]:
        self.generated.append({"prompts": prompts, **settings})
        rooms = [self.context_length - len(p) + 1 for p in prompts]
        assert min(rooms) > 0
        most = [min(room, settings["max_new_tokens"]) for room in rooms]
        texts = [self.answers.pop(0) for _ in prompts]
        return [[ord(c) for c in text][:n] for text, n in zip(texts, most, strict=True)]
