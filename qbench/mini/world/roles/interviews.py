"""Several questions about two people of whom several things are told, of each trait one.

What tells the two apart is all that is learned of an answer. In whole answers, as exercises have
them, it is one token of up to seven, and a model that knew of every behaviour what it shows still
named either of the two as often (mini-large, 28 M tokens).
"""

from __future__ import annotations

from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.examples import Exercise, Hint
from qbench.mini.world.facts import World
from qbench.mini.world.roles.contexts import capitalized, meeting, telling
from qbench.mini.world.roles.items import fingerprint, reserved
from qbench.mini.world.roles.lexicon import CATEGORIES, QUESTIONS, TRAITS, Group, Trait, groups


class Told(NamedTuple):
    """Who showed the negative side of a trait and who the positive one."""

    trait: Trait
    doer: Group
    other: Group

    def hints(self, context: str) -> list[Hint]:
        """Say after each behaviour which side of the trait it shows, and then whose it is."""
        found = []
        for negative, who in ((True, self.doer), (False, self.other)):
            for did in self.trait.behaviours(negative):
                if did in context:
                    end = context.index(did) + len(did)
                    found += [Hint(end, self.trait.word(negative)), Hint(end + 1, who.label)]
        return found


def ask(question: str) -> str:
    """Write a question as it follows on a context or an answer."""
    return f"\n\nQ: {question}\nA:"


def interview(world: World, draws: Draws) -> Exercise:
    """Draw a context and a question about each trait of which it tells."""
    while True:
        made = _interview(world, draws)
        if reserved().isdisjoint(made.keys):
            return made


def _interview(world: World, draws: Draws) -> Exercise:
    """Draw one, which may ask what a test asks."""
    people = draws.sample(groups(world)[draws.pick(CATEGORIES)], 2)
    context = meeting(world, draws.sample(people, 2), draws)
    all_told, asked = [], []
    for trait in draws.sample(TRAITS, draws.between(2, 3)):
        told = Told(trait, *draws.sample(people, 2))
        all_told.append(told)
        context += f" {telling(trait, told.doer, told.other, draws)}"
        negative = draws.chance(0.5)
        question = draws.pick(QUESTIONS)[0].format(t=trait.word(negative))
        asked.append((question, told.doer if negative else told.other))
    prompt, answer, spans = context, "", []
    for question, who in draws.shuffled(asked):
        if answer:
            answer += ask(question)
        else:
            prompt += ask(question)
        answer += f" {capitalized(who.one)}"
        spans.append((len(answer) - len(who.label), len(answer)))
    # A test may have asked it after any sentence.
    ends = [i + 1 for i, sign in enumerate(context) if sign == "."]
    keys = tuple(fingerprint(context[:end], question) for question, _ in asked for end in ends)
    hints = tuple(hint for told in all_told for hint in told.hints(context))
    return Exercise(prompt, answer, chat=False, keys=keys, hints=hints, spans=tuple(spans))
