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
                block = _block(*plan, draws)
                four = [_item(number + i, block, i < 2, i % 2 == 0) for i in range(4)]
                keys = {fingerprint(item.context, item.question) for item in four}
                if not keys & seen:
                    break
            seen |= keys
            items += four
            number += 4
    return tuple(items)


def _plans(category: str, draws: Draws) -> list[tuple[Tie, bool, bool, tuple[int, ...], int]]:
    """Draw the make of each block; each part is balanced over the blocks and free of the others.

    The parts: the tie, whether its group is named first, whether it is the doer, the order of the
    options, and the way to ask.
    """
    tied = ties_of(world(), category)
    orders = tuple(permutations(range(3)))
    return [
        (tied[i % len(tied)], first, does, order, asked)
        for i, (first, does, order, asked) in enumerate(
            zip(
                draws.shuffled([i % 2 == 0 for i in range(N_BLOCKS)]),
                draws.shuffled([i % 2 == 0 for i in range(N_BLOCKS)]),
                draws.shuffled([orders[i % 6] for i in range(N_BLOCKS)]),
                draws.shuffled([i % len(QUESTIONS) for i in range(N_BLOCKS)]),
                strict=True,
            )
        )
    ]


def _block(
    tie: Tie, first: bool, does: bool, order: tuple[int, ...], asked: int, draws: Draws
) -> Block:
    """Draw the other person and the contexts of a block."""
    tied, other = tie.group, draws.pick(untied(world(), tie.trait, tie.group.category))
    pair = (tied, other) if first else (other, tied)
    doer, decent = (tied, other) if does else (other, tied)
    context = meeting(world(), pair, draws)
    people = tuple((tied, other, None)[i] for i in order)
    told = f"{context} {telling(tie.trait, doer, decent, draws)}"
    return Block(tie, other, doer, people, asked, context, told)


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
