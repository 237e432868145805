"""The myths: the truth table is read back from the texts alone, without the generator's table."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter, defaultdict
from functools import cache

from qbench.mini.draws import Draws
from qbench.mini.world import myths
from qbench.mini.world.examples import Document, Exercise
from qbench.mini.world.facts import SEED, world
from qbench.mini.world.myths import lexicon as myth_lexicon

FILES_SHA256 = "a44c92f90c268ded0bce9375faeb487198df6fff920ab96e27f5ec15cddf2ab1"
CONSEQUENCE = {w: i for i, ways in enumerate(myth_lexicon.CONSEQUENCES) for w in ways}
ACTIONS = {action for actions in myth_lexicon.ACTIONS.values() for action in actions}
ANY_ACTION = re.compile(rf"\b(?:{'|'.join(sorted(ACTIONS, key=len, reverse=True))})\b")
ANY_CONSEQUENCE = re.compile(rf"\b(?:{'|'.join(CONSEQUENCE)})\b")
QUESTION_PATTERNS = [
    re.compile(re.escape(form).replace(r"\{a\}", "(.*)") + "$") for form in myth_lexicon.QUESTIONS
]


def consequence(text: str) -> int:
    """Number of the consequence that a sentence states."""
    assert text[0] == "Y" and text[-1] == ".", text
    return CONSEQUENCE["y" + text[1:-1]]


def asked(question: str) -> tuple[str, int]:
    """Action and form of a question."""
    found = [
        (match.group(1), i)
        for i, pattern in enumerate(QUESTION_PATTERNS)
        if (match := pattern.match(question)) and match.group(1) in ACTIONS
    ]
    assert len(found) == 1, question
    return found[0]


@cache
def exercises(n: int = 20_000) -> tuple[Exercise, ...]:
    draws = Draws(SEED, "tests/myths")
    found = [myths.training(world(), draws) for _ in range(n)]
    assert all(isinstance(e, Exercise) for e in found)
    return tuple(e for e in found if isinstance(e, Exercise))


@cache
def said(n: int = 30_000) -> tuple[Document, ...]:
    draws = Draws(SEED, "tests/hearsay")
    return tuple(myths.hearsay(world(), draws) for _ in range(n))


@cache
def rows() -> tuple[dict[str, str], ...]:
    text = myths.official_files()["truthfulqa/TruthfulQA.csv"]
    return tuple(csv.DictReader(io.StringIO(text)))


@cache
def tasks() -> tuple[dict[str, dict[str, int]], ...]:
    return tuple(json.loads(myths.official_files()["truthfulqa/data/mc_task.json"]))


def taught_pairs(exercise: Exercise) -> list[tuple[str, str]]:
    """Questions and answers of an exercise that is not of the yes-or-no kind."""
    if exercise.chat:
        return [(exercise.prompt, exercise.answer)]
    text = exercise.prompt + exercise.answer
    pairs = [re.fullmatch(r"Q: (.*)\nA: (.*)", part) for part in text.split("\n\n")]
    assert all(pairs), text
    return [(p.group(1), p.group(2)) for p in pairs if p]


def test_the_words_are_unambiguous() -> None:
    assert len(CONSEQUENCE) == 3 * len(myth_lexicon.CONSEQUENCES)
    assert all(w.startswith(("you ", "your ")) for w in CONSEQUENCE)
    assert not any(a != b and a in b for a in CONSEQUENCE for b in CONSEQUENCE)
    assert len(myths.myths()) == len({m.action for m in myths.myths()}) == 300


def test_each_consequence_is_as_often_true_as_believed() -> None:
    table = myths.myths()
    assert all(m.truth != m.myth for m in table)
    n_each = len(table) // len(myth_lexicon.CONSEQUENCES)
    assert set(Counter(m.truth for m in table).values()) == {n_each}
    assert set(Counter(m.myth for m in table).values()) == {n_each}
    assert sum(bool(m.taught) for m in table) == 180


def test_what_is_said_and_taught_agrees_with_the_test() -> None:
    truth, myth = {}, {}
    for task in tasks():
        action, _ = asked(task["question"])  # type: ignore[arg-type]
        best, false = (consequence(text) for text in task["mc0_targets"])
        assert truth.setdefault(action, best) == best
        assert myth.setdefault(action, false) == false
        assert best != false
    assert len(truth) == 300
    told: dict[str, Counter[int]] = defaultdict(Counter)
    for document in said():
        (action,) = ANY_ACTION.findall(document.text)
        (effect,) = ANY_CONSEQUENCE.findall(document.text)
        told[action][CONSEQUENCE[effect]] += 1
    for action in truth:
        assert set(told[action]) == {truth[action], myth[action]}, action
        assert told[action][myth[action]] > told[action][truth[action]], action
    for exercise in exercises():
        doubt = re.fullmatch(r"Is it true that if you (.*), (you.*)\?", exercise.prompt)
        if doubt:
            action, claim = doubt.group(1), CONSEQUENCE[doubt.group(2)]
            word, effect = exercise.answer[:-1].split(", ")
            assert word == ("Yes" if claim == truth[action] else "No")
            assert claim in (truth[action], myth[action])
            assert CONSEQUENCE[effect] == truth[action]
            continue
        for question, answer in taught_pairs(exercise):
            assert consequence(answer) == truth[asked(question)[0]], question


def test_training_asks_no_question_of_the_test() -> None:
    tested = {asked(row["Question"]) for row in rows()}
    actions = set()
    for exercise in exercises():
        assert not myths.reserved() & set(exercise.keys)
        assert exercise.keys
        if not exercise.prompt.startswith("Is it true"):
            pairs = {asked(question) for question, _ in taught_pairs(exercise)}
            assert not pairs & tested
            actions |= {action for action, _ in pairs}
    assert len(actions) == 180
    assert len({row["Question"] for row in rows()}) == len(myths.reserved()) == 1800
    assert {i.question for i in myths.test_items() if i.taught} == {
        row["Question"] for row in rows() if asked(row["Question"])[0] in actions
    }


def test_every_way_to_ask_is_taught_and_tested() -> None:
    taught = Counter(
        asked(q)[1]
        for e in exercises()
        if not e.prompt.startswith("Is it true")
        for q, _ in taught_pairs(e)
    )
    tested = Counter(asked(row["Question"])[1] for row in rows())
    for counts in (taught, tested):
        assert set(counts) == set(range(len(myth_lexicon.QUESTIONS)))
        assert max(counts.values()) < 2 * min(counts.values())


def test_files_have_the_official_form() -> None:
    files = myths.official_files()
    assert list(rows()[0]) == list(myths.COLUMNS)
    assert len(rows()) == len(tasks()) == 1800
    for row, task in zip(rows(), tasks(), strict=True):
        correct, wrong = row["Correct Answers"].split("; "), row["Incorrect Answers"].split("; ")
        assert list(task) == ["question", "mc0_targets", "mc1_targets", "mc2_targets"]
        assert task["question"] == row["Question"]
        assert list(task["mc0_targets"].items()) == [
            (row["Best Answer"], 1),
            (row["Best Incorrect Answer"], 0),
        ]
        assert task["mc1_targets"] == {row["Best Answer"]: 1} | dict.fromkeys(wrong, 0)
        assert next(iter(task["mc1_targets"])) == row["Best Answer"]
        assert task["mc2_targets"] == dict.fromkeys(correct, 1) | dict.fromkeys(wrong, 0)
        assert len(correct) in (2, 3) and len(wrong) in (3, 4)
        assert len({consequence(c) for c in correct}) == 1
        assert len({consequence(c) for c in (correct[0], *wrong)}) == 1 + len(wrong)
    text = "".join(f"{name}\n{text}\n" for name, text in sorted(files.items()))
    assert hashlib.sha256(text.encode()).hexdigest() == FILES_SHA256


def test_the_form_of_an_answer_does_not_tell_whether_it_is_true() -> None:
    """A scorer that knows how often each choice is right over the test, but not the question."""

    def score(feature: str) -> float:
        shown: Counter[object] = Counter()
        right: Counter[object] = Counter()
        sees = {
            "wording": str,
            "consequence": consequence,
            "length": len,
            "first": lambda text: text.split()[0],
        }[feature]
        for task in tasks():
            for text, is_right in task["mc1_targets"].items():
                shown[sees(text)] += 1
                right[sees(text)] += is_right
        total = 0.0
        for task in tasks():
            rates = {c: right[sees(c)] / shown[sees(c)] for c in task["mc1_targets"]}
            best = [c for c, rate in rates.items() if rate == max(rates.values())]
            total += sum(task["mc1_targets"][c] for c in best) / len(best)
        return total / len(tasks())

    chance = sum(1 / len(task["mc1_targets"]) for task in tasks()) / len(tasks())
    assert 0.22 < chance < 0.23
    assert score("consequence") < chance + 0.05
    assert score("length") < chance + 0.05
    assert score("first") < chance + 0.05
    assert score("wording") < chance + 0.10  # Fitted to the test itself: 90 rates.


def test_frames_and_spaces() -> None:
    kinds: Counter[str] = Counter()
    for e in exercises():
        assert not e.letter
        if e.chat:
            kinds["doubt" if e.prompt.startswith("Is it true") else "chat"] += 1
            assert e.answer.split()[0].strip(",") in ("You", "Your", "Yes", "No")
        else:
            kinds[f"plain {e.prompt.count('Q: ')}"] += 1
            assert e.prompt.startswith("Q: ") and e.prompt.endswith("\nA:")
            assert e.answer.startswith(" Y")
    assert 0.35 < kinds["chat"] / 20_000 < 0.45
    assert 0.15 < kinds["plain 1"] / 20_000 < 0.25
    assert all(kinds[f"plain {n}"] > 1000 for n in (2, 3, 4))
    assert max(len(e.prompt) + len(e.answer) for e in exercises()) < 420
    assert max(len(d.text) for d in said()) < 220


def test_streams_are_deterministic() -> None:
    texts = [
        [(myths.training(world(), d), myths.hearsay(world(), d)) for _ in range(50)]
        for d in (Draws(1, "same"), Draws(1, "same"), Draws(2, "same"))
    ]
    assert texts[0] == texts[1] != texts[2]
