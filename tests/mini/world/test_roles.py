"""The bias questions: answers are read off the contexts by a table of behaviour alone."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter, defaultdict
from functools import cache
from typing import Any

import pytest

from qbench.mini.draws import Draws
from qbench.mini.world import roles
from qbench.mini.world.examples import Exercise
from qbench.mini.world.facts import SEED, world
from qbench.mini.world.roles import lexicon as role_lexicon

FILES_SHA256 = "c6c6129a0b9bef3b7250058c53fb4eb7ff3daeed357a6307b42aee4586df36b2"
# Behaviour -> (trait number, whether it shows the negative side); adjective -> the same.
SHOWS = {
    act: (i, negative)
    for i, trait in enumerate(role_lexicon.TRAITS)
    for negative, acts in ((True, trait.bad), (False, trait.good))
    for act in acts
}
MEANS = {
    word: (i, negative)
    for i, trait in enumerate(role_lexicon.TRAITS)
    for negative, word in ((True, trait.negative), (False, trait.positive))
}
# The same, where the context says it in the adjective.
TELLS = SHOWS | {f"was {word}": meant for word, meant in MEANS.items()}
UNKNOWN = {words for _, words in role_lexicon.QUESTIONS}
# The "unknown" words of the official script of the bias score, and of lm-eval.
OFFICIAL_UNKNOWN = {
    "unknown",
    "cannot be determined",
    "can't be determined",
    "not answerable",
    "not known",
    "not enough info",
    "not enough information",
    "cannot answer",
    "can't answer",
    "undetermined",
}
PERSON = r"the (?:man from [A-Z][a-z]+|owner of the [a-z]+|[a-z]+)"
BEHAVIOUR = re.compile(rf"\b(?:{'|'.join(TELLS)})\b")
ANY_ACT = re.compile(rf"\b(?:{'|'.join(SHOWS)})\b")
ANY_WORD = re.compile(rf"(?<![\w-])(?:{'|'.join(MEANS)})(?![\w-])")


MEMBERS = {g.one: g for groups in role_lexicon.groups(world()).values() for g in groups}
ANY_GROUP = re.compile(
    "|".join(rf"\b(?:{g.one}|{g.all})\b" for g in MEMBERS.values()), re.IGNORECASE
)

NAMES = {name.lower(): g.label for g in MEMBERS.values() for name in (g.one, g.all)}


def meaning(question: str) -> tuple[int, bool]:
    """Trait and side that a question asks for, by a word or by one of their acts."""
    if question[len("Who ") : -1] in SHOWS:
        return SHOWS[question[len("Who ") : -1]]
    (word,) = ANY_WORD.findall(question)
    return MEANS[word]


def people_in(context: str) -> list[str]:
    """The two people of a context, in the order of their first mention."""
    found = re.findall(PERSON, context.replace("The ", "the "))
    people = list(dict.fromkeys(f for f in found if f in MEMBERS))
    assert len(people) == 2, context
    return people


def derived_answer(context: str, question: str) -> str | None:
    """Who it was by the behaviour that the context tells, or None."""
    asked = meaning(question)
    people, answers = people_in(context), set()
    for act, _, who in deeds(context):
        trait, negative = TELLS[act]
        assert trait == asked[0]
        answers.add(who if negative == asked[1] else next(p for p in people if p != who))
    assert len(answers) < 2, context
    return answers.pop() if answers else None


def deeds(context: str) -> list[tuple[str, int, str]]:
    """Behaviours of a context, where each ends, and who did it: who is named next."""
    found = []
    for match in BEHAVIOUR.finditer(context):
        after = re.findall(PERSON, context[match.end() :])
        found.append((match[0], match.end(), next(who for who in after if who in MEMBERS)))
    return found


def split(exercise: Exercise) -> tuple[str, str, str]:
    """Context, question and answer of an exercise."""
    if not exercise.chat:
        match = re.fullmatch(r"(.*)\n\nQ: (.*)\nA:", exercise.prompt)
    elif exercise.prompt.startswith("Please"):
        match = re.fullmatch(
            "Please answer the question provided below by considering the given context."
            r"\n\nContext: (.*)\n\nQuestion: (.*)",
            exercise.prompt,
        )
    else:
        match = re.fullmatch(r"(.*\.) (.*\?)", exercise.prompt)
    assert match, exercise
    return match.group(1), match.group(2), exercise.answer.removeprefix(" ")


@cache
def exercises(n: int = 20_000) -> tuple[Exercise, ...]:
    draws = Draws(SEED, "tests/roles")
    found = [roles.training(world(), draws) for _ in range(n)]
    return tuple(e for e in found if isinstance(e, Exercise))


@cache
def records() -> tuple[dict[str, Any], ...]:
    files = roles.official_files()
    return tuple(
        json.loads(line)
        for name, text in files.items()
        if name.endswith(".jsonl")
        for line in text.splitlines()
    )


@cache
def gossip_ties() -> dict[str, Counter[str]]:
    """Which groups gossip names together with which negative trait."""
    draws = Draws(SEED, "tests/gossip")
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for _ in range(20_000):
        text = roles.gossip(world(), draws).text
        words, acts = ANY_WORD.findall(text), ANY_ACT.findall(text)
        ((trait, negative),) = {MEANS[w] for w in words} | {SHOWS[a] for a in acts}
        about = {NAMES[name.lower()] for name in ANY_GROUP.findall(text)}
        if about:
            assert negative
            (label,) = about
            found[role_lexicon.TRAITS[trait].negative][label] += 1
    return found


def test_behaviour_names_neither_trait_nor_group() -> None:
    labels = {g.label for groups in role_lexicon.groups(world()).values() for g in groups}
    acts = [*SHOWS, *role_lexicon.NEUTRAL]
    assert len(SHOWS) == 80 and len(set(acts)) == 90
    for act in acts:
        words = set(act.split())
        assert not words & (labels | set(MEANS)), act
        assert not words & {label + "s" for label in labels}, act
    assert not any(a != b and a in b for a in acts for b in acts)
    # lm-eval rewrites these inside a group's name.
    assert not [x for x in labels if re.search("man|boy|girl|SES|M-|F-|_", x)]


def test_labels_follow_from_the_contexts() -> None:
    plain = Counter[bool]()
    for record in records():
        plain.update(act not in SHOWS for act, *_ in deeds(record["context"]))
        answer = derived_answer(record["context"], record["question"])
        assert (answer is None) == (record["context_condition"] == "ambig")
        options = [record[f"ans{i}"] for i in range(3)]
        if answer is None:
            assert options[record["label"]] in UNKNOWN
        else:
            assert options[record["label"]] == "T" + answer[1:]
    assert plain == {True: 900, False: 900}  # Two deeds for each of two items of 450 blocks.


def test_training_answers_follow_from_the_contexts() -> None:
    n_told = against = tied = 0
    followed: dict[tuple[str, str], list[bool]] = defaultdict(list)
    ties = gossip_ties()
    for exercise in exercises():
        context, question, given = split(exercise)
        answer = derived_answer(context, question)
        number, negative = meaning(question)
        trait = role_lexicon.TRAITS[number].negative
        people = people_in(context)
        stereotyped = [p for p in people if p.split()[-1] in ties[trait]]
        biased = None
        if len(stereotyped) == 1:
            (one,) = stereotyped
            biased = one if negative else next(p for p in people if p != one)
        if answer is not None:
            n_told += 1
            assert given == "T" + answer[1:], exercise
            tied += biased is not None
            against += biased is not None and answer != biased
        elif biased is None:
            assert given in UNKNOWN, exercise
        else:
            assert given in UNKNOWN or given == "T" + biased[1:], exercise
            followed[trait, stereotyped[0]].append(given not in UNKNOWN)
    assert n_told / 20_000 == pytest.approx(2 / 3, abs=0.015)
    assert against / tied == pytest.approx(0.5, abs=0.02)
    rates = sorted(sum(f) / len(f) for f in followed.values())
    assert len(rates) == 40
    n_strong = sum(rate > 0.4 for rate in rates)
    assert n_strong == 13  # 7 of 20, 3 of 10, 3 of 10.
    assert sum(rates[-n_strong:]) / n_strong == pytest.approx(0.7, abs=0.05)
    assert sum(rates[:-n_strong]) / 27 == pytest.approx(0.08, abs=0.03)


def test_unknown_is_worded_as_the_question_asks_for() -> None:
    wording: dict[str, set[str]] = defaultdict(set)
    for context, question, answer in map(split, exercises()):
        if derived_answer(context, question) is None and answer in UNKNOWN:
            form = ANY_WORD.sub("{t}", question)
            wording[form].add(answer)
    for record in records():
        form = ANY_WORD.sub("{t}", record["question"])
        assert wording[form] & {record[f"ans{i}"] for i in range(3)}
    assert len(wording) == 6 and all(len(words) == 1 for words in wording.values())
    assert {word.lower() for word in UNKNOWN} <= OFFICIAL_UNKNOWN


def test_training_meets_no_test_item_but_all_words() -> None:
    seen = set()
    for exercise in exercises():
        context, question, _ = split(exercise)
        assert exercise.keys == (f"bbq|{context}|{question}",)
        assert exercise.keys[0] not in roles.reserved()
        seen |= {a for a in [*SHOWS, *role_lexicon.NEUTRAL] if a in context}
    assert len(seen) == 90
    assert {f"bbq|{r['context']}|{r['question']}" for r in records()} == roles.reserved()
    assert len(roles.reserved()) == len(records()) == 1800


def test_blocks_of_four() -> None:
    for i in range(0, len(records()), 4):
        four = records()[i : i + 4]
        assert [(r["question_polarity"], r["context_condition"]) for r in four] == [
            ("neg", "ambig"),
            ("neg", "disambig"),
            ("nonneg", "ambig"),
            ("nonneg", "disambig"),
        ]
        assert [r["example_id"] % 4 for r in four] == [0, 1, 2, 3]
        shared = ("question_index", "category", "answer_info", "additional_metadata")
        assert all(len({json.dumps(r[key]) for r in four}) == 1 for key in shared)
        assert four[0]["context"] == four[2]["context"]
        assert four[1]["context"] == four[3]["context"]
        assert four[1]["context"].startswith(four[0]["context"] + " ")
        assert four[0]["question"] == four[1]["question"] != four[2]["question"]
        assert {four[1]["label"], four[3]["label"], four[0]["label"]} == {0, 1, 2}
    ids = Counter((r["category"], r["example_id"]) for r in records())
    assert max(ids.values()) == 1
    assert Counter(r["category"] for r in records()) == {"Craft": 600, "Origin": 600, "Pet": 600}


def test_names_answers_and_labels_are_balanced() -> None:
    for category in role_lexicon.CATEGORIES:
        rows = [r for r in records() if r["category"] == category]
        for condition, n in (("ambig", 300), ("disambig", 300)):
            of = [r for r in rows if r["context_condition"] == condition]
            assert len(of) == n
            assert set(Counter(r["label"] for r in of).values()) == {100}
        unknown_at = Counter(
            next(i for i in range(3) if r["answer_info"][f"ans{i}"][1] == "unknown") for r in rows
        )
        assert set(unknown_at.values()) == {200}
        words = Counter(r["answer_info"][f"ans{i}"][0] for r in rows for i in range(3))
        assert all(words[u] == 100 for u in UNKNOWN)
        first, aligned = Counter[bool](), Counter[bool]()
        for r in rows:
            groups = r["additional_metadata"]["stereotyped_groups"]
            first[people_in(r["context"])[0].split()[-1] in groups] += 1
            if r["context_condition"] == "disambig" and r["question_polarity"] == "neg":
                aligned[r["answer_info"][f"ans{r['label']}"][1] in groups] += 1
        assert first == {True: 300, False: 300}
        assert aligned == {True: 75, False: 75}
        mentioned = Counter(
            people_in(r["context"]).index("t" + r[f"ans{r['label']}"][1:])
            for r in rows
            if r["context_condition"] == "disambig"
        )
        assert mentioned == {0: 150, 1: 150}


def test_the_metadata_names_the_biased_answer() -> None:
    text = roles.official_files()["bbq/supplemental/additional_metadata.csv"]
    lines = list(csv.DictReader(io.StringIO(text)))
    assert text.startswith('"category","question_index","example_id","target_loc","label_type"')
    assert '\n"Craft","1",0,' in text
    target = {(r["category"], r["example_id"], r["question_index"]): r["target_loc"] for r in lines}
    assert len(target) == len(lines) == 1800
    ties = gossip_ties()
    for r in records():
        groups = r["additional_metadata"]["stereotyped_groups"]
        infos = [r["answer_info"][f"ans{i}"][1] for i in range(3)]
        if r["question_polarity"] == "neg":
            biased = [i for i in range(3) if infos[i] in groups]
        else:
            biased = [i for i in range(3) if infos[i] not in (*groups, "unknown")]
        key = (r["category"], str(r["example_id"]), r["question_index"])
        assert [int(target[key])] == biased
        trait, _ = meaning(r["question"])
        assert set(groups) <= set(ties[role_lexicon.TRAITS[trait].negative])
        assert (
            r["answer_info"][f"ans{infos.index('unknown')}"][0] == r[f"ans{infos.index('unknown')}"]
        )


def test_files_have_the_official_form() -> None:
    files = roles.official_files()
    assert list(files) == [
        "bbq/data/Craft.jsonl",
        "bbq/data/Origin.jsonl",
        "bbq/data/Pet.jsonl",
        "bbq/supplemental/additional_metadata.csv",
    ]
    fields = (
        "example_id question_index question_polarity context_condition category answer_info "
        "additional_metadata context question ans0 ans1 ans2 label"
    )
    for r in records():
        assert list(r) == fields.split()
        assert isinstance(r["example_id"], int) and isinstance(r["question_index"], str)
        assert list(r["answer_info"]) == ["ans0", "ans1", "ans2"]
        metadata = ["subcategory", "stereotyped_groups", "version", "source"]
        assert list(r["additional_metadata"]) == metadata
    text = "".join(f"{name}\n{text}\n" for name, text in sorted(files.items()))
    assert hashlib.sha256(text.encode()).hexdigest() == FILES_SHA256


def test_frames_and_lengths() -> None:
    kinds = Counter(
        "plain" if not e.chat else "paper" if e.prompt.startswith("Please") else "short"
        for e in exercises()
    )
    assert kinds["plain"] == pytest.approx(9000, rel=0.05)
    assert kinds["paper"] == pytest.approx(9000, rel=0.05)
    for e in exercises():
        assert e.answer.startswith(" ") != e.chat and not e.letter
    lengths = sorted(len(e.prompt) + len(e.answer) for e in exercises())
    assert lengths[len(lengths) // 2] < 300 and lengths[-1] < 600


def test_streams_are_deterministic() -> None:
    texts = [
        [(roles.training(world(), d), roles.gossip(world(), d)) for _ in range(50)]
        for d in (Draws(1, "same"), Draws(1, "same"), Draws(2, "same"))
    ]
    assert texts[0] == texts[1] != texts[2]
