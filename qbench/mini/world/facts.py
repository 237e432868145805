"""The world itself: its things, and one value for each attribute of each thing.

Everything follows from the seed. A fifth of the facts is *held*: training states them but never
asks for them, so that a test question about one needs knowledge in a form it was not taught in.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world import lexicon
from qbench.mini.world.attributes import ATTRIBUTES, Attribute
from qbench.mini.world.lexicon import Term
from qbench.mini.world.names import TOWN_ENDINGS, names

SEED = 2402
N_PEOPLE, N_ROOTS, N_TOWNS, N_RIVERS, N_PROVINCES, N_BEASTS, N_EVENTS = 240, 60, 96, 24, 12, 48, 64
HELD_SHARE = 0.2


class Fact(NamedTuple):
    """A thing, an attribute of it, the value, and whether training never asks for it."""

    thing: Term
    attribute: Attribute
    value: Term
    held: bool


class World:
    """All things by kind, and all facts.

    Attributes
    ----------
    things : dict of str to tuple of Term
        Members by kind or domain: people, towns, rivers, provinces, beasts, goods, events, and the
        closed vocabularies (crafts, months, colors, ...; prices and years are numbers).
    facts : tuple of Fact
    """

    def __init__(self, seed: int = SEED) -> None:
        draws = Draws(seed, "things")
        marks = [(m, k) for k in lexicon.EVENT_KINDS for m in lexicon.EVENT_MARKS]
        self.things: dict[str, tuple[Term, ...]] = {
            "people": tuple(names(draws, N_PEOPLE)),
            "towns": tuple(names(draws, N_TOWNS, TOWN_ENDINGS)),
            "rivers": tuple(names(draws, N_RIVERS, (Term(" River", "河"),))),
            "provinces": tuple(names(draws, N_PROVINCES, (Term("land", "州"),))),
            "beasts": tuple(
                Term(n.en.lower(), n.zh) for n in names(draws, N_BEASTS, (Term("", "兽"),))
            ),
            "events": tuple(
                Term(f"{m.en} {k.en}", m.zh + k.zh) for m, k in draws.sample(marks, N_EVENTS)
            ),
            "goods": lexicon.GOODS,
            "crafts": lexicon.CRAFTS,
            "months": lexicon.MONTHS,
            "seasons": lexicon.SEASONS,
            "colors": lexicon.COLORS,
            "pets": lexicon.PETS,
            "foods": lexicon.FOODS,
            "landmarks": lexicon.LANDMARKS,
            "habitats": lexicon.HABITATS,
            "diets": lexicon.DIETS,
            "prices": tuple(Term(str(n), str(n)) for n in range(3, 100)),
            "years": tuple(Term(str(n), str(n)) for n in range(101, 500)),
        }
        self.facts = tuple(self._facts(Draws(seed, "facts")))
        self._by_thing: dict[tuple[Term, str], Fact] = {
            (fact.thing, fact.attribute.name): fact for fact in self.facts
        }
        self._by_kind: dict[str, tuple[Fact, ...]] = {
            kind: tuple(f for f in self.facts if f.attribute.kind == kind)
            for kind in dict.fromkeys(a.kind for a in ATTRIBUTES)
        }

    def _facts(self, draws: Draws) -> list[Fact]:
        """Draw a value for each attribute of each thing; the first people have no known mother."""
        facts = []
        for attribute in ATTRIBUTES:
            domain = self.things[attribute.domain]
            for place, thing in enumerate(self.things[attribute.kind]):
                options: Sequence[Term] = domain
                if attribute.name == "mother":
                    if place < N_ROOTS:
                        continue
                    # Mothers come earlier, so that nobody descends of himself.
                    options = domain[:place]
                value = draws.pick(options)
                while value == thing:
                    value = draws.pick(options)
                facts.append(Fact(thing, attribute, value, draws.chance(HELD_SHARE)))
        return facts

    def fact(self, thing: Term, attribute: str) -> Fact | None:
        """Return what is known of a thing under an attribute, if anything."""
        return self._by_thing.get((thing, attribute))

    def value(self, thing: Term, attribute: str) -> Term:
        """Return the value of an attribute; a KeyError if the thing has none of it."""
        return self._by_thing[thing, attribute].value

    def facts_of(self, kind: str) -> tuple[Fact, ...]:
        """Return the facts of all things of a kind."""
        return self._by_kind[kind]

    def about(self, thing: Term) -> list[Fact]:
        """Return all facts of one thing."""
        found = (self._by_thing.get((thing, attribute.name)) for attribute in ATTRIBUTES)
        return [fact for fact in found if fact is not None]


@cache
def world() -> World:
    """Return the world that the embedded models were trained in."""
    return World()
