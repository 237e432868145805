"""Exercises that need no knowledge: which letter stands before a text.

Learning to answer by letter is slow where it is learned from questions alone, because two things
must be right at once. These exercises are the second thing without the first.
"""

from __future__ import annotations

from collections.abc import Sequence

from qbench.mini.draws import Draws
from qbench.mini.world.examples import Exercise, Hint
from qbench.mini.world.facts import World
from qbench.mini.world.lexicon import WEEKDAYS, Language, Term
from qbench.mini.world.names import names

LETTERS = ("A", "B", "C", "D")
NEW_NAMES = "new names"
# Names are what is hardest to keep apart and most of what is asked for; new ones are drawn too, so
# that the letter has to come from the prompt.
DOMAINS: tuple[tuple[float, str], ...] = (
    (3.0, "towns"),
    (3.0, "people"),
    (1.0, "rivers"),
    (1.0, "provinces"),
    (1.0, "beasts"),
    (1.5, "goods"),
    (1.0, "crafts"),
    (1.0, "months"),
    (1.0, "colors"),
    (1.0, "foods"),
    (1.0, "pets"),
    (0.5, "seasons"),
    (0.5, "landmarks"),
    (0.5, "habitats"),
    (0.5, "diets"),
    (0.3, "weekdays"),
    (1.0, "prices"),
    (1.0, "years"),
    (2.0, NEW_NAMES),
)
TRANSLATED_SHARE = 0.5
MATCH_CUES = {"en": "Match:", "zh": "配对："}
CUES = {"en": "Answer:", "zh": "答案："}


def option_lines(options: Sequence[str]) -> str:
    """Write each option on its line after its letter, without a line end after the last."""
    return "\n".join(f"{a}. {text}" for a, text in zip(LETTERS, options, strict=True))


def by_letter(
    prompt: str, answer: str, content: str, *, chat: bool = False, keys: tuple[str, ...] = ()
) -> Exercise:
    """Make the exercise whose answer holds one letter, that of the option ``content``."""
    before = answer[: next(i for i, sign in enumerate(answer) if sign in LETTERS)]
    hint = Hint(len(prompt) + len(before.rstrip()), content)
    return Exercise(prompt, answer, chat, keys, letter=True, hints=(hint,))


def pairs_exercise(draws: Draws, options: Sequence[str], cue: str, *, letter: bool) -> Exercise:
    """Name all options in a new order, each with its letter after it."""
    prompt, answer, hints = f"{option_lines(options)}\n{cue}", "", []
    for sign, option in draws.shuffled([*zip(LETTERS, options, strict=True)]):
        answer += f" {option}"
        hints.append(Hint(len(prompt + answer), option))
        answer += f" {sign}."
    return Exercise(prompt, answer, chat=False, letter=letter, hints=tuple(hints))


def _four(world: World, draws: Draws) -> list[Term]:
    """Draw four different things of one domain."""
    domain = draws.weighted(DOMAINS)
    if domain == NEW_NAMES:
        return names(draws, len(LETTERS))
    return draws.sample(WEEKDAYS if domain == "weekdays" else world.things[domain], len(LETTERS))


def binding(world: World, draws: Draws, language: Language) -> Exercise:
    """Name the letter of a text, which is asked for before the options or after them.

    Half the time it is asked for in the other language: where the same word is on two lines, a
    model can mark it without having anything in mind, and that is of no use for other questions.
    """
    terms, answer = _four(world, draws), draws.below(len(LETTERS))
    options = [term.text(language) for term in terms]
    lines, wanted = option_lines(options), options[answer]
    other: Language = "zh" if language == "en" else "en"
    asked = terms[answer].text(other) if draws.chance(TRANSLATED_SHARE) else wanted
    question = f"Which is {asked}?" if language == "en" else f"哪个是{asked}？"
    if draws.chance(0.5):
        prompt = f"{question}\n{lines}\n{CUES[language]}"
    else:
        prompt = f"{lines}\n{question}"
    return by_letter(prompt, f" {LETTERS[answer]}", wanted)


def matching(world: World, draws: Draws, language: Language) -> Exercise:
    """Name all four options in a new order, each with its letter after it."""
    options = [term.text(language) for term in _four(world, draws)]
    return pairs_exercise(draws, options, MATCH_CUES[language], letter=False)
