"""Several questions about what three people did: many decisions in little text.

What tells people apart is all that is learned of an answer; of a whole answer, as exercises have
it, that is one token of up to seven.
"""

from __future__ import annotations

from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.examples import Exercise, Hint, Turn, in_turn
from qbench.mini.world.facts import World
from qbench.mini.world.roles.contexts import Deed, capitalized, in_mind, meeting, telling
from qbench.mini.world.roles.exercises import PLAIN_SHARE
from qbench.mini.world.roles.items import fingerprints, reserved
from qbench.mini.world.roles.lexicon import CATEGORIES, QUESTIONS, TRAITS, groups

LITERAL_SHARE = 0.4


class Form(NamedTuple):
    """How a question is written, and whether its answer is the whole name of a person."""

    asked: str
    named: bool


# As tests ask, and as short as can be.
FORMS = (Form("\n\nQ: {q}\nA:", True), Form("\n{q}", False))


def interview(world: World, draws: Draws) -> Exercise:
    """Draw a context with two or three tellings, and a question about each deed in it.

    Each telling is about two of the three people, so that no answer follows from others.
    """
    while True:
        made = _questions(*_context(world, draws), draws)
        if reserved().isdisjoint(made.keys):
            return made


def _context(world: World, draws: Draws) -> tuple[str, list[Deed]]:
    """Tell what three people did; returns also their deeds."""
    category = draws.pick(CATEGORIES)
    people = draws.sample(groups(world)[category], 3)
    context, deeds = meeting(world, draws.sample(people, 2), draws), list[Deed]()
    for trait in draws.sample(TRAITS, 3 if category == "Craft" else 2):
        doer, other = draws.sample(people, 2)
        plain = draws.chance(PLAIN_SHARE)
        told = telling(trait, doer, other, draws, plain=plain)
        context += f" {told.text}"
        deeds += told.deeds
    return context, deeds


def _questions(context: str, deeds: list[Deed], draws: Draws) -> Exercise:
    """Ask about each deed; which may be what a test asks."""
    form, turns, keys = draws.pick(FORMS), list[Turn](), list[str]()
    for deed in draws.shuffled(deeds):
        question = draws.pick(QUESTIONS)[0].format(t=deed.trait)
        if draws.chance(LITERAL_SHARE):
            question = f"Who {deed.did}?"
        keys += fingerprints(context, question)
        asked, label = form.asked.format(q=question), deed.who.label
        answer = f" {capitalized(deed.who.one) if form.named else label}"
        hint = Hint(len(asked + answer) - len(label) - 1, deed.trait)
        turns.append(Turn(asked, answer, len(label), (hint,)))
    return in_turn(context, turns, tuple(keys), in_mind(context, deeds))
