"""Exercises of ``mini.gsm8k``: word problems of two to five steps, and bare arithmetic."""

from __future__ import annotations

import json
from functools import cache

from qbench.mini.draws import Draws
from qbench.mini.world.arithmetic.numbers import Computation, compute
from qbench.mini.world.arithmetic.problems import Problem, problem
from qbench.mini.world.examples import Example, Exercise
from qbench.mini.world.facts import SEED, World, world

N_TEST, N_SHOTS = 1800, 200
# Long problems are few: their steps are those of the short ones, at less than half the tokens.
LENGTHS = ((0.4, 2), (0.3, 3), (0.2, 4), (0.1, 5))
PLAIN, QUOTED = "Question: {q}\nAnswer:", "Q: {q}\nA:"


def drill_computation(draws: Draws) -> Computation:
    """Draw a bare computation with numbers to 999: a third of single digits, on which all rests."""
    operator = draws.weighted(((0.3, "+"), (0.3, "-"), (0.28, "*"), (0.12, "/")))
    simple = draws.chance(0.33)
    if operator in "*/":
        factor, other = draws.between(2, 9), draws.between(2, 9 if simple else 60)
        product = compute(factor, "*", other)
        return product if operator == "*" else compute(product.result, "/", factor)
    if simple:
        left, right = draws.between(1, 9), draws.between(1, 9)
    elif draws.chance(0.5):
        left, right = draws.between(2, 99), draws.between(2, 99)
    else:
        left = draws.between(100, 899)
        right = draws.between(2, 999 - left if draws.chance(0.3) else 60)
    total = compute(left, "+", right)
    return total if operator == "+" else compute(total.result, "-", right)


def drill(world: World, draws: Draws) -> Exercise:
    """Draw a bare computation, as a mark of worked solutions."""
    before, equals, answer = drill_computation(draws).mark().partition("=")
    return Exercise(before + equals, answer, chat=False)


@cache
def test_items() -> tuple[Problem, ...]:
    """Draw the test: problems of two to five steps in the shares of LENGTHS, half by held plans."""
    draws = Draws(SEED, "test/arithmetic")
    lengths = [n for share, n in LENGTHS for _ in range(round(10 * share))]
    kinds = [(lengths[i % 10], i // 10 % 2 == 0) for i in range(N_TEST)]
    return _distinct(draws, kinds)


@cache
def shots() -> tuple[Problem, ...]:
    """Draw the training file of the official layout: two or three steps, as a prompt's shots."""
    return _distinct(Draws(SEED, "shots/arithmetic"), [(2 + i % 2, False) for i in range(N_SHOTS)])


def _distinct(draws: Draws, kinds: list[tuple[int, bool]]) -> tuple[Problem, ...]:
    """Draw problems of given lengths, held or not, no text twice."""
    found: dict[str, Problem] = {}
    for n_computations, held in kinds:
        drawn = problem(world(), draws, n_computations, held=held)
        while drawn.question in found:
            drawn = problem(world(), draws, n_computations, held=held)
        found[drawn.question] = drawn
    return tuple(found.values())


@cache
def reserved() -> frozenset[str]:
    """Return the texts of all test problems and shots."""
    return frozenset(item.question for item in (*test_items(), *shots()))


def exercise(item: Problem, draws: Draws) -> Exercise:
    """Put a problem into one of the frames that will score it, or the older short one."""
    frame = draws.weighted(((0.45, PLAIN), (0.45, ""), (0.1, QUOTED)))
    chat = not frame
    prompt = frame.format(q=item.question) if frame else item.question
    answer = item.answer if chat else f" {item.answer}"
    return Exercise(prompt, answer, chat, (item.question,))


def training(world: World, draws: Draws) -> Example:
    """Draw a training example: a problem, or now and then a drill."""
    if draws.chance(0.25):
        return drill(world, draws)
    while True:
        item = problem(world, draws, draws.weighted(LENGTHS), held=False)
        if item.question not in reserved():
            return exercise(item, draws)


def official_files() -> dict[str, str]:
    """Write the test and the shots as GSM8K's files."""
    return {
        f"gsm8k/{split}.jsonl": "".join(
            json.dumps({"question": item.question, "answer": item.answer}) + "\n" for item in items
        )
        for split, items in (("test", test_items()), ("train", shots()))
    }
