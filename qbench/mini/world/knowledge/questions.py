"""Questions about single facts, and the wrong values that stand beside the right one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.facts import Fact, World
from qbench.mini.world.lexicon import Language, Term

SUBJECT_OF_KIND = {
    "people": "people_and_crafts",
    "towns": "towns_and_rivers",
    "beasts": "beasts",
    "goods": "goods_and_prices",
    "events": "events_and_calendar",
}
N_WRONG = 3
# How far apart the options may lie that are numbers.
WINDOWS = {"prices": 24, "years": 80, "counts": 6}


class Question(NamedTuple):
    """A question with its right answer and three wrong ones, before they are put in an order.

    Attributes
    ----------
    subject : str
        Subject it belongs to.
    text : str
        As it is asked when options follow.
    bare : str
        As it is asked when none follow: a question about "these" names them.
    right : Term
        The answer.
    wrong : tuple of Term
        Three values of the same domain.
    domain : str
        Name of the domain, which decides how the answer is put into a sentence.
    ids : tuple of str
        What a test keeps out of training in every language and with any options.
    facts : tuple of Fact
        The facts that the answer rests on.
    """

    subject: str
    text: str
    bare: str
    right: Term
    wrong: tuple[Term, ...]
    domain: str
    ids: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()


def subject_of(fact: Fact) -> str:
    """Return the subject under which a fact is asked for."""
    if fact.attribute.name == "mother":
        return "families"
    return SUBJECT_OF_KIND[fact.attribute.kind]


def ask(world: World, draws: Draws, fact: Fact, language: Language) -> Question:
    """Ask for the value of a fact in one of its forms."""
    form = draws.pick(fact.attribute.forms(language).questions)
    text = form.replace("{e}", fact.thing.text(language))
    domain = fact.attribute.domain
    wrong = wrong_values(draws, domain, world.things[domain], fact.value, (fact.thing,))
    return Question(subject_of(fact), text, text, fact.value, wrong, domain, facts=(fact,))


def wrong_values(
    draws: Draws,
    name: str,
    domain: Sequence[Term],
    right: Term,
    barred: Sequence[Term] = (),
) -> tuple[Term, ...]:
    """Draw three values other than the right one.

    Numbers come from a window around the right one whose place is drawn too; were they drawn
    around it in equal measure, the middle one would be right more often than not.
    """
    if name in WINDOWS:
        width = WINDOWS[name]
        at = int(right.en) - int(domain[0].en)
        start = max(0, min(at - draws.below(width + 1), len(domain) - 1 - width))
        domain = domain[start : start + width + 1]
    found: list[Term] = []
    while len(found) < N_WRONG:
        drawn = draws.pick(domain)
        if drawn != right and drawn not in found and drawn not in barred:
            found.append(drawn)
    return tuple(found)


def listing(text: str, options: Sequence[Term], language: Language) -> str:
    """Put the options into a question about "these", which then needs none after it."""
    names = [option.text(language) for option in options]
    if language == "en":
        return f"{text.removesuffix('?')}: {', '.join(names[:-1])} or {names[-1]}?"
    return text.replace("下面", f"{'、'.join(names[:-1])}和{names[-1]}中")
