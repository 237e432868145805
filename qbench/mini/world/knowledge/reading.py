"""Reading: the same questions about strangers of whom a text says all that is asked.

They need no knowledge, only that a value found in the text leads to its option, which is a step on
the way to the letter of a value that is known.
"""

from __future__ import annotations

from qbench.mini.draws import Draws
from qbench.mini.world.attributes import ATTRIBUTES
from qbench.mini.world.examples import Exercise
from qbench.mini.world.facts import World
from qbench.mini.world.knowledge.letters import CUES, LETTERS, option_lines
from qbench.mini.world.lexicon import Language, Term
from qbench.mini.world.names import NO_ENDING, TOWN_ENDINGS, name

_KINDS = ("people", "towns")
_ABOUT = tuple(attribute for attribute in ATTRIBUTES if attribute.kind in _KINDS)
MOST_STRANGERS = 3
OPEN_SHARE, OPTIONS_FIRST_SHARE = 0.2, 0.3


def _strangers(world: World, draws: Draws, kind: str, n: int) -> list[Term]:
    """Draw names that nothing in the world has."""
    found: dict[Term, None] = {}
    while len(found) < n:
        drawn = name(draws, draws.pick(TOWN_ENDINGS) if kind == "towns" else NO_ENDING)
        if drawn not in world.things[kind]:
            found[drawn] = None
    return list(found)


def _say(form: str, stranger: Term, value: Term, language: Language) -> str:
    """Fill a statement."""
    return form.replace("{e}", stranger.text(language)).replace("{v}", value.text(language))


def recall(world: World, draws: Draws, language: Language) -> Exercise:
    """Tell a value of each of some strangers, then name all of them again, each with its value."""
    attribute = draws.pick(_ABOUT)
    forms, domain = attribute.forms(language), world.things[attribute.domain]
    strangers = _strangers(world, draws, attribute.kind, draws.between(2, 5))
    told = list(zip(strangers, draws.sample(domain, len(strangers)), strict=True))
    form = draws.pick(("{e} {v}.", "{e}: {v}.", draws.pick(forms.statements)))
    said = [_say(form, stranger, value, language) for stranger, value in told]
    pairs = [f" {e.text(language)}: {v.text(language)}." for e, v in draws.shuffled(told)]
    text = (" " if language == "en" else "").join(said)
    return Exercise(f"{text}\n", "".join(pairs), chat=False)


def reading(world: World, draws: Draws, language: Language) -> Exercise:
    """State an attribute of one to three strangers and ask for that of one, mostly by letter."""
    attribute = draws.pick(_ABOUT)
    forms, domain = attribute.forms(language), world.things[attribute.domain]
    strangers = _strangers(world, draws, attribute.kind, draws.between(1, MOST_STRANGERS))
    values = draws.sample(domain, len(LETTERS))
    told = zip(strangers, values, strict=False)
    statements = [
        _say(draws.pick(forms.statements), stranger, value, language) for stranger, value in told
    ]
    asked = draws.below(len(strangers))
    text = (" " if language == "en" else "").join(draws.shuffled(statements))
    question = draws.pick(forms.questions).replace("{e}", strangers[asked].text(language))
    right = values[asked].text(language)
    if draws.chance(OPEN_SHARE):
        space = " " if language == "en" else ""
        return Exercise(f"{text}\n{question}\n{CUES[language]}", f"{space}{right}", chat=False)
    options = [value.text(language) for value in draws.shuffled(values)]
    answer = f" {LETTERS[options.index(right)]}"
    lines = option_lines(options)
    prompt = (
        f"{text}\n{lines}\n{question}"
        if draws.chance(OPTIONS_FIRST_SHARE)
        else f"{text}\n{question}\n{lines}\n{CUES[language]}"
    )
    return Exercise(prompt, answer, chat=False, letter=True)
