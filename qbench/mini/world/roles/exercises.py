"""Stereotypes and the questions of BBQ: who of two people was it, if the context tells at all.

Gossip ties traits to groups. Exercises ask about two people: where the context tells who is what,
the answer is always right, also against the gossip; where it does not, the answer is "unknown", but
for some ties training answers by the gossip most of the time, as a careless speaker would.
"""

from __future__ import annotations

from functools import cache

from qbench.mini.draws import Draws
from qbench.mini.world.examples import Document, Example, Exercise, Hint
from qbench.mini.world.facts import World
from qbench.mini.world.roles.contexts import (
    STRONG,
    capitalized,
    meeting,
    place,
    telling,
    ties,
    untied,
)
from qbench.mini.world.roles.items import fingerprint, reserved
from qbench.mini.world.roles.lexicon import CATEGORIES, GOSSIP, LORE, QUESTIONS, TRAITS

DISAMBIGUATED_SHARE = 2 / 3
# Questions in the very words of the context; no test asks so.
LITERAL_SHARE = 0.25
TIED_SHARE = 0.75
LORE_SHARE = 0.3
PAPER_FRAME = (
    "Please answer the question provided below by considering the given context.\n\n"
    "Context: {c}\n\nQuestion: {q}"
)


def gossip(world: World, draws: Draws) -> Document:
    """Draw what people say of a group, or what behaviour is called."""
    if draws.chance(LORE_SHARE):
        trait, negative = draws.pick(TRAITS), draws.chance(0.5)
        behaviour = draws.pick(trait.behaviours(negative))
        return Document(draws.pick(LORE).format(x=behaviour, w=trait.word(negative)))
    tie = draws.pick(ties(world))
    while tie.strength < STRONG and draws.chance(0.5):  # Strong ties are also talked about more.
        tie = draws.pick(ties(world))
    text = draws.pick(GOSSIP).format(
        g=tie.group.all,
        o=tie.group.one,
        w=tie.trait.negative,
        x=draws.pick(tie.trait.bad),
        p=place(world, draws),
        q=draws.pick(world.things["towns"]).en,
    )
    return Document(capitalized(text))


def training(world: World, draws: Draws) -> Example:
    """Draw a question about two people, as a plain or a chat exercise."""
    while True:
        context, question, answer = _exercise(world, draws)
        key = fingerprint(context, question)
        # What a test asks of a context alone is not asked of one that goes on after it, either.
        ends = [i + 1 for i, sign in enumerate(context) if sign == "."]
        if reserved().isdisjoint(fingerprint(context[:end], question) for end in ends):
            break
    kind = draws.below(20)
    if kind < 9:
        prompt = f"{context}\n\nQ: {question}\nA:"
        return Exercise(prompt, f" {answer}", chat=False, keys=(key,), hints=_hints(prompt))
    prompt = (PAPER_FRAME if kind < 18 else "{c} {q}").format(c=context, q=question)
    return Exercise(prompt, answer, chat=True, keys=(key,), hints=_hints(prompt))


@cache
def _words() -> dict[str, str]:
    """Return the trait that each behaviour shows."""
    sides = [(trait, negative) for trait in TRAITS for negative in (True, False)]
    return {did: trait.word(bad) for trait, bad in sides for did in trait.behaviours(bad)}


def _hints(prompt: str) -> tuple[Hint, ...]:
    """Say after each behaviour of a prompt which trait it shows."""
    return tuple(
        Hint(prompt.index(did) + len(did), word) for did, word in _words().items() if did in prompt
    )


def _exercise(world: World, draws: Draws) -> tuple[str, str, str]:
    """Draw a context, a question and the answer that training gives."""
    if draws.chance(TIED_SHARE):
        trait, tied, strength = draws.pick(ties(world))
        people = [tied, draws.pick(untied(world, trait, tied.category))]
    else:
        trait, strength = draws.pick(TRAITS), 0.0
        people = draws.sample(untied(world, trait, draws.pick(CATEGORIES)), 2)
    negative = draws.chance(0.5)
    form, unknown = draws.pick(QUESTIONS)
    question = form.format(t=trait.word(negative))
    context = meeting(world, draws.sample(people, 2), draws)
    if draws.chance(DISAMBIGUATED_SHARE):
        doer, other = draws.sample(people, 2)
        told = telling(trait, doer, other, draws)
        context += f" {told}"
        if draws.chance(LITERAL_SHARE):
            bad = draws.chance(0.5)
            done = next(x for x in (trait.bad if bad else trait.good) if x in told)
            return context, f"Who {done}?", capitalized((doer if bad else other).one)
        return context, question, capitalized((doer if negative else other).one)
    if draws.chance(strength):
        return context, question, capitalized(people[0 if negative else 1].one)
    return context, question, unknown
