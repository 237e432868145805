"""Word problems: a plan of steps, numbers that fit it, then the text and the worked solution.

A solution goes through the problem and repeats each clause that counts before it computes, so that
what comes next, and with which numbers, is found where the text has got to.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world import lexicon
from qbench.mini.world.arithmetic.numbers import Computation, open_numbers, step_numbers
from qbench.mini.world.arithmetic.steps import OPENINGS, STEPS, Step
from qbench.mini.world.facts import World

HELD_ONE_IN = 6
DISTRACTOR_SHARE = 0.15
GOODS = (
    *("pears", "plums", "nuts", "cherries", "mushrooms", "eggs", "olives", "pearls"),
    *("lemons", "apples", "grapes", "carpets", "mirrors", "bells", "clocks", "lamps"),
    *("knives", "boots", "hats", "drums", "flutes", "bricks", "candles", "feathers"),
)
BOXES = ("bags", "boxes", "jars", "baskets")
CRAFTS = tuple(term.en for term in lexicon.CRAFTS)
COLORS = tuple(term.en for term in lexicon.COLORS)
WEEKDAYS = tuple(term.en for term in lexicon.WEEKDAYS)
DISTRACTORS = (
    "the {w} is {k} years old",
    "{q} is {k} years old",
    "the market is {k} miles away",
    "the house of {p} has {k} windows",
    "the next feast is in {k} days",
    "there are {k} houses in the street",
)
QUESTIONS = (
    "How many {n} does {p} have now?",
    "How many {n} does {p} have in the end?",
    "Now how many {n} does {p} have?",
)


class Problem(NamedTuple):
    """A problem as GSM8K has it, with the names of its steps and the number of computations."""

    question: str
    answer: str
    structure: tuple[str, ...]
    n_computations: int


def is_held(structure: tuple[str, ...]) -> bool:
    """Whether a sequence of steps is kept out of training, to be met in the test only."""
    return hashlib.sha256("-".join(structure).encode()).digest()[0] % HELD_ONE_IN == 0


@cache
def _ways_on(
    kind: str, n_others: int, rest: int, last: str, first: bool
) -> tuple[tuple[float, Step], ...]:
    """Steps that may follow, with their weights."""
    table = OPENINGS if first else STEPS
    return tuple(
        (step.weight, step)
        for step in table
        if (first or kind in step.needs)
        and step.name != last
        and step.n_computations <= rest
        # Somebody to compare with must be there, and an opening alone is no problem.
        and (step.rule not in ("total", "gap") or n_others > 0)
        and (not step.question or step.n_computations == rest)
        and not (first and step.n_computations == rest)
    )


def plan(draws: Draws, n_computations: int) -> list[Step]:
    """Draw a sequence of steps with so many computations."""
    while True:
        steps: list[Step] = []
        kind, n_others, rest = "", 0, n_computations
        while rest:
            ways = _ways_on(kind, n_others, rest, steps[-1].name if steps else "", not steps)
            if not ways:
                break
            step = draws.weighted(ways)
            steps.append(step)
            rest -= step.n_computations
            if step.gives != "same":
                kind, n_others = step.gives, 0
            n_others += step.moves
        else:
            return steps


class _Story:
    """A problem while it is written: who owns how many of what, and the text so far."""

    def __init__(self, world: World, draws: Draws) -> None:
        self.draws = draws
        people = [term.en for term in draws.sample(world.things["people"], 7)]
        self.people = people
        self.place = 0
        self.value = 0
        self.others: list[tuple[str, int]] = []
        self.words: dict[str, str] = {"n": draws.pick(GOODS), "w": draws.pick(CRAFTS)}
        # Each with whether it happens at some time, so that it may follow on "Then".
        self.clauses: list[tuple[str, bool]] = []
        self.lines: list[str] = []
        self.question = ""

    def fill(self, form: str, numbers: dict[str, int], done: list[Computation]) -> str:
        """Fill the places of a wording or a line."""
        return form.format_map(
            self.words
            | {name: str(number) for name, number in numbers.items()}
            | ({"y": done[0].mark(), "z": done[-1].mark()} if done else {})
            | {"p": self.people[self.place], "q": self.people[self.place + 1]}
            | ({"o": self.others[-1][0]} if self.others else {})
        )

    def add(self, step: Step, *, first: bool) -> bool:
        """Add a step; False if no numbers fit."""
        other = self.others[-1][1] if self.others else 0
        if first:
            numbers, done, value = open_numbers(step.rule, self.draws)
        else:
            drawn = step_numbers(step.rule, self.value, other, self.draws)
            if drawn is None:
                return False
            numbers, done = drawn
            value = done[-1].result
        self._choose_words(step)
        phrase, repeated = self.draws.pick(step.phrases), ""
        if phrase:
            clause = self.fill(phrase, numbers, done)
            self.clauses.append((clause, not step.moves and not step.question))
            repeated = f"{'First' if first else 'Then'} {clause}."
        if step.gives == "coins" and first:
            self.words["n"] = "coins"
        lines = [self.fill(line, numbers, done) for line in step.lines]
        self.lines += [" ".join(filter(None, (repeated, *lines[:1]))), *lines[1:]]
        if step.question:
            self.ask(self.draws.pick(step.question.split("|")))
        self._move(step, value)
        return True

    def _choose_words(self, step: Step) -> None:
        """Draw the words that only this step needs."""
        draws, words = self.draws, self.words
        words["w"] = draws.pick(CRAFTS)
        words["m"] = draws.pick([noun for noun in GOODS if noun != words["n"]])
        if step.name == "colors":
            words["color"], words["color2"] = draws.sample(COLORS, 2)
        elif step.name == "two_days":
            day = draws.below(6)
            words["day"], words["day2"] = WEEKDAYS[day], WEEKDAYS[day + 1]
        elif step.name == "two_jobs":
            words["w"], words["w2"] = draws.sample(CRAFTS, 2)
        if any("{box}" in line for line in step.lines):
            words["box"] = draws.pick([box for box in BOXES if box != words.get("box")])

    def _move(self, step: Step, value: int) -> None:
        """Go on to the quantity and the owner after a step."""
        if step.moves:
            self.others.append((self.people[self.place], self.value))
            self.place += 1
        elif step.gives in ("packed", "coins"):
            self.others = []
            self.words["n"] = self.words["box"] if step.gives == "packed" else "coins"
        self.value = value

    def distract(self) -> None:
        """Tell something with a number that does not matter."""
        form = self.draws.pick(DISTRACTORS)
        self.clauses.append((self.fill(form, {"k": self.draws.between(3, 60)}, []), False))

    def ask(self, question: str) -> None:
        """Write the question."""
        self.question = self.fill(question, {}, [])

    def text(self) -> str:
        """Join the clauses to sentences, the question last."""
        parts: list[str] = []
        joined = False
        for place, (clause, event) in enumerate(self.clauses):
            joined = place > 1 and not joined and self.draws.chance(0.3)
            if joined:
                parts.append(f", and {clause}")
            elif place and event and self.draws.chance(0.4):
                parts.append(f". Then {clause}")
            else:
                parts.append(f". {clause[0].upper()}{clause[1:]}")
        return f"{''.join(parts)[2:]}. {self.question}"


def compose(world: World, draws: Draws, steps: list[Step]) -> Problem | None:
    """Write a problem by a plan, or return None if no numbers fit."""
    story = _Story(world, draws)
    distractor = draws.between(1, len(steps)) if draws.chance(DISTRACTOR_SHARE) else 0
    for place, step in enumerate(steps):
        if place == distractor and place:
            story.distract()
        if not story.add(step, first=place == 0):
            return None
    if not steps[-1].question:
        if distractor == len(steps):
            story.distract()
        story.ask(draws.pick(QUESTIONS))
    answer = "\n".join([*story.lines, f"#### {story.value}"])
    n_computations = sum(step.n_computations for step in steps)
    return Problem(story.text(), answer, tuple(s.name for s in steps), n_computations)


def problem(world: World, draws: Draws, n_computations: int, *, held: bool) -> Problem:
    """Draw a problem with so many computations, its sequence of steps held or not."""
    while True:
        steps = plan(draws, n_computations)
        if is_held(tuple(step.name for step in steps)) != held:
            continue
        for _ in range(4):
            found = compose(world, draws, steps)
            if found is not None:
                return found
