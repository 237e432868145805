"""Stereotypes and the questions of BBQ: who of two people was it, if the context tells at all.

Gossip ties traits to groups. Exercises ask about two people: where the context tells who is what,
the answer is always right, also against the gossip; where it does not, the answer is "unknown", but
for some ties training answers by the gossip most of the time, as a careless speaker would.
"""

from __future__ import annotations

from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.examples import Document, Exercise, Hint
from qbench.mini.world.facts import World
from qbench.mini.world.roles.contexts import (
    STRONG,
    Deed,
    capitalized,
    in_mind,
    meeting,
    place,
    telling,
    ties,
    untied,
)
from qbench.mini.world.roles.items import fingerprint, fingerprints, reserved
from qbench.mini.world.roles.lexicon import (
    CATEGORIES,
    GOSSIP,
    LORE,
    QUESTIONS,
    TRAITS,
    Group,
)

DISAMBIGUATED_SHARE = 2 / 3
# The trait's own words in the context, half of the time as in the test.
PLAIN_SHARE = 0.5
# Questions in the very words of the context; no test asks so of behaviour.
LITERAL_SHARE = 0.25
# Answers of which all is learned and not only what tells the two apart.
WHOLE_SHARE = 0.4
TIED_SHARE = 0.75
LORE_SHARE = 0.3
PLAIN_FRAME = "{c}\n\nQ: {q}\nA:"
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


class Case(NamedTuple):
    """A question about two people, the answer that training gives, and what the context tells.

    ``trait`` is the word that is asked for, by itself or by what shows it; ``who`` is the answer,
    None for "unknown".
    """

    context: str
    deeds: tuple[Deed, ...]
    question: str
    trait: str
    who: Group | None
    unknown: str


def training(world: World, draws: Draws) -> Exercise:
    """Draw a question about two people, as a plain or a chat exercise."""
    while True:
        case = _case(world, draws)
        # What a test asks of a context alone is not asked of one that goes on after it, either.
        if reserved().isdisjoint(fingerprints(case.context, case.question)):
            return _written(case, draws)


def _written(case: Case, draws: Draws) -> Exercise:
    """Put a question into a frame, with hints at what is told and asked."""
    kind = draws.below(20)
    chat = kind >= 9
    frame = PLAIN_FRAME if not chat else PAPER_FRAME if kind < 18 else "{c} {q}"
    prompt = frame.format(c=case.context, q=case.question)
    answer = capitalized(case.who.one) if case.who else case.unknown
    answer = answer if chat else f" {answer}"
    shift = prompt.index(case.context)
    hints = [hint.moved(shift) for hint in in_mind(case.context, case.deeds)]
    spans: tuple[tuple[int, int], ...] = ()
    if case.who and case.deeds:
        start = len(answer) - len(case.who.label)
        hints.append(Hint(len(prompt) + start - 1, case.trait))
        if not draws.chance(WHOLE_SHARE):
            spans = ((start, len(answer)),)
    key = fingerprint(case.context, case.question)
    return Exercise(prompt, answer, chat, (key,), hints=tuple(hints), spans=spans)


def _case(world: World, draws: Draws) -> Case:
    """Draw a context, a question and the answer that training gives."""
    if draws.chance(TIED_SHARE):
        trait, tied, strength = draws.pick(ties(world))
        people = [tied, draws.pick(untied(world, trait, tied.category))]
    else:
        trait, strength = draws.pick(TRAITS), 0.0
        people = draws.sample(untied(world, trait, draws.pick(CATEGORIES)), 2)
    negative = draws.chance(0.5)
    form, unknown = draws.pick(QUESTIONS)
    question, word = form.format(t=trait.word(negative)), trait.word(negative)
    context = meeting(world, draws.sample(people, 2), draws)
    if not draws.chance(DISAMBIGUATED_SHARE):
        who = people[0 if negative else 1] if draws.chance(strength) else None
        return Case(context, (), question, word, who, unknown)
    doer, other = draws.sample(people, 2)
    plain = draws.chance(PLAIN_SHARE)
    told = telling(trait, doer, other, draws, plain=plain)
    asked = told.deeds[0 if negative else 1]
    if not plain and draws.chance(LITERAL_SHARE):
        question = f"Who {asked.did}?"
    return Case(f"{context} {told.text}", told.deeds, question, word, asked.who, unknown)
