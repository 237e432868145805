"""Questions of two hops: one attribute's noun stands where another's question has its thing."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.facts import Fact, World
from qbench.mini.world.knowledge.questions import Question, wrong_values
from qbench.mini.world.lexicon import Language

SUBJECT = "connections"
# Forms in which a noun with its own article would not be grammatical.
UNFIT = ("best {e}", "sack of {e}", "最好的{e}", "一袋{e}")


class Chain(NamedTuple):
    """A fact, and a fact about its value."""

    first: Fact
    second: Fact

    @property
    def held(self) -> bool:
        """Whether either fact is held."""
        return self.first.held or self.second.held

    @property
    def identity(self) -> str:
        """Name the chain, in no language."""
        first, second = self.first, self.second
        return f"chain|{first.thing.en}|{first.attribute.name}|{second.attribute.name}"


@cache
def chains(world: World) -> tuple[Chain, ...]:
    """Return all chains of two facts that do not lead back to where they began."""
    return tuple(
        Chain(first, second)
        for first in world.facts
        for second in world.about(first.value)
        if second.value != first.thing
    )


@cache
def open_chains(world: World) -> tuple[Chain, ...]:
    """Return the chains of which neither fact is held."""
    return tuple(chain for chain in chains(world) if not chain.held)


def connect(world: World, draws: Draws, chain: Chain, language: Language) -> Question:
    """Ask for the end of a chain from its beginning."""
    first, second = chain
    noun = first.attribute.forms(language).noun.replace("{e}", first.thing.text(language))
    forms = second.attribute.forms(language).questions
    form = draws.pick([form for form in forms if not any(unfit in form for unfit in UNFIT)])
    text = form.replace("the {e}", "{e}").replace("{e}", noun)
    domain = second.attribute.domain
    barred = (first.thing, first.value)
    wrong = wrong_values(draws, domain, world.things[domain], second.value, barred)
    return Question(
        SUBJECT, text, text, second.value, wrong, domain, (chain.identity,), (first, second)
    )
