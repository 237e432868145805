"""Who is said to be what, and what happens when two people meet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.examples import Hint
from qbench.mini.world.facts import SEED, World
from qbench.mini.world.lexicon import WEEKDAYS
from qbench.mini.world.roles.lexicon import (
    CATEGORIES,
    MEETINGS,
    NEUTRAL,
    TELLINGS,
    TRAITS,
    Group,
    Trait,
    groups,
)

N_TIED = {"Craft": 2, "Origin": 1, "Pet": 1}
STRONG_SHARE = 1 / 3
STRONG, WEAK = 0.7, 0.08
NEUTRAL_SHARE = 0.4


class Tie(NamedTuple):
    """A trait that gossip ascribes to a group; ``strength``: how often training follows it."""

    trait: Trait
    group: Group
    strength: float


@cache
def ties(world: World) -> tuple[Tie, ...]:
    """Return the stereotypes of the world, those of a category together, a third of them strong."""
    draws = Draws(SEED, "ties")
    found = []
    for category in CATEGORIES:
        traits = TRAITS * N_TIED[category]  # No group has two traits, so that gossip is spread.
        pairs = list(zip(traits, draws.shuffled(groups(world)[category]), strict=False))
        n_strong = round(STRONG_SHARE * len(pairs))
        strong = draws.shuffled([i < n_strong for i in range(len(pairs))])
        found += [Tie(*p, STRONG if s else WEAK) for p, s in zip(pairs, strong, strict=True)]
    return tuple(found)


@cache
def ties_of(world: World, category: str) -> tuple[Tie, ...]:
    """Return the stereotypes of one category."""
    return tuple(tie for tie in ties(world) if tie.group.category == category)


@cache
def untied(world: World, trait: Trait, category: str) -> tuple[Group, ...]:
    """Return the groups of a category to which gossip does not ascribe a trait."""
    tied = [tie.group for tie in ties_of(world, category) if tie.trait == trait]
    return tuple(group for group in groups(world)[category] if group not in tied)


def capitalized(text: str) -> str:
    """Capitalize the first letter and leave the others."""
    return text[0].upper() + text[1:]


def place(world: World, draws: Draws) -> str:
    """Draw a place."""
    landmark = draws.pick(world.things["landmarks"]).en
    if draws.chance(0.6):
        return f"the {landmark}"
    return f"the {landmark} of {draws.pick(world.things['towns']).en}"


def _about_two(forms: tuple[str, ...], a: Group, b: Group, draws: Draws, **words: str) -> str:
    """Fill a sentence about two people."""
    both = {"a": a.one, "b": b.one, "A": capitalized(a.one), "B": capitalized(b.one)}
    return draws.pick(forms).format(**both, **words)


def meeting(world: World, people: Sequence[Group], draws: Draws) -> str:
    """Tell that two people met, and perhaps what they did, which says nothing about them."""
    day = draws.pick(WEEKDAYS).en
    a, b = people
    text = _about_two(MEETINGS, a, b, draws, p=place(world, draws), d=day)
    if draws.chance(NEUTRAL_SHARE):
        x, y = draws.sample(NEUTRAL, 2)
        a, b = draws.sample(people, 2)
        text += f" {_about_two(TELLINGS, a, b, draws, x=x, y=y)}"
    return text


class Deed(NamedTuple):
    """What somebody did or was said to be, and the word of the trait."""

    who: Group
    did: str
    trait: str


class Telling(NamedTuple):
    """A sentence or two about who showed which side of a trait."""

    text: str
    deeds: tuple[Deed, Deed]


def telling(trait: Trait, doer: Group, other: Group, draws: Draws, *, plain: bool) -> Telling:
    """Tell who showed the negative side and who the positive one, in either order."""
    if plain:
        acts = [trait.plainly(negative=True), trait.plainly(negative=False)]
    else:
        acts = [draws.pick(trait.bad), draws.pick(trait.good)]
    deeds = (Deed(doer, acts[0], trait.negative), Deed(other, acts[1], trait.positive))
    one, two = deeds if draws.chance(0.5) else deeds[::-1]
    text = _about_two(TELLINGS, one.who, two.who, draws, x=one.did, y=two.did)
    return Telling(text, deeds)


def in_mind(context: str, deeds: Iterable[Deed]) -> list[Hint]:
    """Say after each deed what it shows, and again at the name of who did it.

    So the name can be found by the trait. What is said plainly needs no hint before the name.
    """
    hints = []
    for who, did, trait in deeds:
        end = context.index(did) + len(did)
        if not did.endswith(trait):
            hints.append(Hint(end, trait))
        named = context.index(who.one, end) + len(who.one) - len(who.label)
        hints.append(Hint(named + 1, trait))  # After the first token of the label.
    return hints
