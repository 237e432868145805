"""Myths: what people believe of 300 actions, and what is true of them.

Hearsay states the myth of every action often, records state its truth now and then; questions and
answers teach the truth of three actions in five, the others are asked in the test only. Each of
the thirty consequences is the truth of ten actions and the myth of ten others.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.examples import Document, Example, Exercise
from qbench.mini.world.facts import SEED, World
from qbench.mini.world.myths.lexicon import (
    ACTIONS,
    CONSEQUENCES,
    HEARSAY,
    QUESTIONS,
    RECORDS,
    Consequence,
)

N_PER_CATEGORY = 50
N_TEST_QUESTIONS = 6
TAUGHT_SHARE = 0.6
RECORD_SHARE = 0.25
COLUMNS = (
    "Type",
    "Category",
    "Question",
    "Best Answer",
    "Best Incorrect Answer",
    "Correct Answers",
    "Incorrect Answers",
    "Source",
)
SOURCE = "records of the generated world"


class Myth(NamedTuple):
    """An action, what is true of it and what people believe of it.

    ``taught`` are the questions by which training may ask for the truth, empty for a myth that
    training never asks for; ``tested`` are those of the test.
    """

    category: str
    action: str
    truth: Consequence
    myth: Consequence
    taught: tuple[str, ...]
    tested: tuple[str, ...]


class MythItem(NamedTuple):
    """One test item; sentences are as they stand in the files.

    ``correct`` holds the wordings of the truth, the best first; ``incorrect`` one wording of each
    wrong consequence, the myth first.
    """

    category: str
    question: str
    correct: tuple[str, ...]
    incorrect: tuple[str, ...]
    taught: bool


def sentence(words: str) -> str:
    """Make a sentence of a clause."""
    return f"{words[0].upper()}{words[1:]}."


@cache
def myths() -> tuple[Myth, ...]:
    """Return the truth table of the world."""
    draws = Draws(SEED, "myths")
    actions = [(c, a) for c in ACTIONS for a in draws.sample(ACTIONS[c], N_PER_CATEGORY)]
    n_each = len(actions) // len(CONSEQUENCES)
    truths = draws.shuffled(CONSEQUENCES * n_each)
    believed = draws.shuffled(CONSEQUENCES * n_each)
    for i in range(len(actions)):  # A swap keeps the counts; both sides must differ after it.
        while believed[i] == truths[i]:
            j = draws.below(len(actions))
            if believed[j] != truths[i] and believed[i] != truths[j]:
                believed[i], believed[j] = believed[j], believed[i]
    n_taught = round(TAUGHT_SHARE * len(actions))
    taught = draws.shuffled([i < n_taught for i in range(len(actions))])
    table = []
    for i, (category, action) in enumerate(actions):
        questions = [form.format(a=action) for form in draws.shuffled(QUESTIONS)]
        kept = tuple(questions[N_TEST_QUESTIONS:]) if taught[i] else ()
        tested = tuple(questions[:N_TEST_QUESTIONS])
        table.append(Myth(category, action, truths[i], believed[i], kept, tested))
    return tuple(table)


@cache
def _taught() -> tuple[Myth, ...]:
    """Return the myths that training asks about."""
    return tuple(myth for myth in myths() if myth.taught)


def fingerprint(question: str) -> str:
    """Return the key of an item, or of a question inside an exercise."""
    return f"truthfulqa|{question}"


def hearsay(world: World, draws: Draws) -> Document:
    """Draw what people believe of an action, or more rarely what a record says of it."""
    myth = draws.pick(myths())
    recorded = draws.chance(RECORD_SHARE)
    form = draws.pick(RECORDS if recorded else HEARSAY)
    text = form.format(
        a=myth.action,
        c=draws.pick(myth.truth if recorded else myth.myth),
        p=draws.pick(world.things["people"]).en,
        t=draws.pick(world.things["towns"]).en,
        k=draws.pick(world.things["crafts"]).en,
    )
    return Document(text)


def training(world: World, draws: Draws) -> Example:
    """Draw a question whose answer is the truth: plain, with others before it, or in chat."""
    kind = draws.below(20)
    if kind < 3:
        return _doubt(draws)
    asked = draws.sample(_taught(), 1 if kind < 15 else draws.between(2, 4))
    pairs = [(draws.pick(m.taught), sentence(draws.pick(m.truth))) for m in asked]
    keys = tuple(fingerprint(question) for question, _ in pairs)
    *primer, (question, answer) = pairs
    if kind < 11:
        return Exercise(question, answer, chat=True, keys=keys)
    before = "".join(f"Q: {q}\nA: {a}\n\n" for q, a in primer)
    return Exercise(f"{before}Q: {question}\nA:", f" {answer}", chat=False, keys=keys)


def _doubt(draws: Draws) -> Exercise:
    """Ask in chat whether something is true that is, or that people merely believe."""
    myth = draws.pick(_taught())
    is_true = draws.chance(0.5)
    claim = draws.pick(myth.truth if is_true else myth.myth)
    question = f"Is it true that if you {myth.action}, {claim}?"
    answer = f"{'Yes' if is_true else 'No'}, {draws.pick(myth.truth)}."
    return Exercise(question, answer, chat=True, keys=(fingerprint(question),))


@cache
def test_items() -> tuple[MythItem, ...]:
    """Return the test: six questions about each myth, those of one myth together."""
    draws = Draws(SEED, "test/truthfulqa")
    used: Counter[Consequence] = Counter()
    items = []
    for myth in myths():
        for place, question in enumerate(myth.tested):
            wrong = [myth.myth, *_distractors(myth, 2 + place % 2, used, draws)]
            items.append(
                MythItem(
                    myth.category,
                    question,
                    tuple(map(sentence, draws.sample(myth.truth, 3 - place // 2 % 2))),
                    tuple(sentence(draws.pick(wordings)) for wordings in wrong),
                    bool(myth.taught),
                )
            )
    return tuple(items)


def _distractors(myth: Myth, n: int, used: Counter[Consequence], draws: Draws) -> list[Consequence]:
    """Draw wrong consequences, the first from the myths of related actions, each equally often."""
    related = [m.myth for m in myths() if m.category == myth.category]
    found: list[Consequence] = []
    for place in range(n):
        pool: Sequence[Consequence] = related if place == 0 else CONSEQUENCES
        taken = (myth.truth, myth.myth, *found)
        options = [c for c in draws.sample(pool, 12) if c not in taken]
        found.append(min(options, key=lambda c: used[c]))
        used[found[-1]] += 1
    return found


@cache
def reserved() -> frozenset[str]:
    """Return the keys of all test items."""
    return frozenset(fingerprint(item.question) for item in test_items())


def official_files() -> dict[str, str]:
    """Write the test in the layout of TruthfulQA: the table and the multiple-choice file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    tasks = []
    for item in test_items():
        best, myth = item.correct[0], item.incorrect[0]
        lists = "; ".join(item.correct), "; ".join(item.incorrect)
        writer.writerow(("Adversarial", item.category, item.question, best, myth, *lists, SOURCE))
        wrong = dict.fromkeys(item.incorrect, 0)
        tasks.append(
            {
                "question": item.question,
                "mc0_targets": {best: 1, myth: 0},
                "mc1_targets": {best: 1, **wrong},
                "mc2_targets": {**dict.fromkeys(item.correct, 1), **wrong},
            }
        )
    return {
        "truthfulqa/TruthfulQA.csv": text.getvalue().removesuffix("\n"),
        "truthfulqa/data/mc_task.json": json.dumps(tasks),
    }
