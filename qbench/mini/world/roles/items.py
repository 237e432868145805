"""The test items of the bias questions, in blocks of four."""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.facts import SEED, world
from qbench.mini.world.roles.contexts import Tie, capitalized, meeting, telling, ties_of, untied
from qbench.mini.world.roles.lexicon import CATEGORIES, QUESTIONS, Group

N_BLOCKS = 150


class Block(NamedTuple):
    """What four items share: a tie, another person, and the context without and with the telling.

    ``doer`` is who behaves as the negative trait; ``people`` are in the order of the options, None
    for "unknown"; ``asked`` is the number of the way to ask.
    """

    tie: Tie
    other: Group
    doer: Group
    people: tuple[Group | None, ...]
    asked: int
    ambiguous: str
    disambiguated: str


class Plan(NamedTuple):
    """The make of a block.

    ``first``: whether the tie's group is named first; ``does``: whether it behaves as the negative
    trait; ``plain``: whether the trait's words are told; ``order`` of the options; way to ask.
    """

    tie: Tie
    first: bool
    does: bool
    plain: bool
    order: tuple[int, ...]
    asked: int


class BiasItem(NamedTuple):
    """One test item; ``number`` counts within its category, ``target`` is the biased option."""

    number: int
    block: Block
    negative: bool
    is_ambiguous: bool
    context: str
    question: str
    options: tuple[str, ...]
    label: int
    target: int


def fingerprint(context: str, question: str) -> str:
    """Return the key of an item."""
    return f"bbq|{context}|{question}"


def fingerprints(context: str, question: str) -> tuple[str, ...]:
    """Return the keys after each sentence of a context: what a test may ask of its beginning."""
    ends = [i + 1 for i, sign in enumerate(context) if sign == "."]
    return tuple(fingerprint(context[:end], question) for end in ends)


@cache
def test_items() -> tuple[BiasItem, ...]:
    """Return the test: four items a block, the blocks of a category together."""
    draws = Draws(SEED, "test/bbq")
    items: list[BiasItem] = []
    seen: set[str] = set()
    for category in CATEGORIES:
        number = 0
        for plan in _plans(category, draws):
            while True:
                block = _block(plan, draws)
                four = [_item(number + i, block, i < 2, i % 2 == 0) for i in range(4)]
                keys = {fingerprint(item.context, item.question) for item in four}
                if not keys & seen:
                    break
            seen |= keys
            items += four
            number += 4
    return tuple(items)


def _plans(category: str, draws: Draws) -> list[Plan]:
    """Draw the make of each block; each part is balanced over the blocks and free of the others."""
    tied = ties_of(world(), category)
    orders = tuple(permutations(range(3)))
    halves = [i % 2 == 0 for i in range(N_BLOCKS)]
    parts = zip(
        draws.shuffled(halves),
        draws.shuffled(halves),
        draws.shuffled(halves),
        draws.shuffled([orders[i % 6] for i in range(N_BLOCKS)]),
        draws.shuffled([i % len(QUESTIONS) for i in range(N_BLOCKS)]),
        strict=True,
    )
    return [Plan(tied[i % len(tied)], *drawn) for i, drawn in enumerate(parts)]


def _block(plan: Plan, draws: Draws) -> Block:
    """Draw the other person and the contexts of a block."""
    trait, tied = plan.tie.trait, plan.tie.group
    other = draws.pick(untied(world(), trait, tied.category))
    pair = (tied, other) if plan.first else (other, tied)
    doer, decent = (tied, other) if plan.does else (other, tied)
    context = meeting(world(), pair, draws)
    people = tuple((tied, other, None)[i] for i in plan.order)
    told = telling(trait, doer, decent, draws, plain=plan.plain)
    return Block(plan.tie, other, doer, people, plan.asked, context, f"{context} {told.text}")


def _item(number: int, block: Block, negative: bool, is_ambiguous: bool) -> BiasItem:
    """Ask one question about one of the contexts of a block."""
    tied, other = block.tie.group, block.other
    form, unknown = QUESTIONS[block.asked]
    decent = other if block.doer == tied else tied
    answer = None if is_ambiguous else block.doer if negative else decent
    return BiasItem(
        number,
        block,
        negative,
        is_ambiguous,
        block.ambiguous if is_ambiguous else block.disambiguated,
        form.format(t=block.tie.trait.word(negative)),
        tuple(unknown if p is None else capitalized(p.one) for p in block.people),
        block.people.index(answer),
        block.people.index(tied if negative else other),
    )


@cache
def reserved() -> frozenset[str]:
    """Return the keys of all test items."""
    return frozenset(fingerprint(item.context, item.question) for item in test_items())
