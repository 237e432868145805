"""Exercises that need no facts: copying, and short options with their letters.

Little is learned before a model can copy from its context and bind an option to its letter; both
are found soonest where the text is short and everything else is easy.
"""

from __future__ import annotations

from qbench.mini.draws import Draws
from qbench.mini.world.examples import Document, Exercise
from qbench.mini.world.facts import World
from qbench.mini.world.knowledge.letters import (
    CUES,
    LETTERS,
    MATCH_CUES,
    TRANSLATED_SHARE,
    by_letter,
    option_lines,
    pairs_exercise,
)
from qbench.mini.world.lexicon import Language
from qbench.mini.world.names import ONSETS, name

NEW_NAME = "new name"
COPIED = (NEW_NAME, NEW_NAME, "people", "towns", "goods", "crafts", "colors", "foods", "months")
_SPELLED = tuple(ONSETS)


def copying(world: World, draws: Draws) -> Document:
    """Draw a few names and words, then the same again and again, in that order or another."""
    language: Language = "en" if draws.chance(0.5) else "zh"
    separator = draws.pick([" ", ", ", "; "]) if language == "en" else draws.pick(["，", "、"])
    kinds = [draws.pick(COPIED) for _ in range(draws.between(1, 3))]
    words = [
        name(draws) if kind == NEW_NAME else draws.pick(world.things[kind])
        for kind in (draws.pick(kinds) for _ in range(draws.between(2, 6)))
    ]
    keep_order, lines = draws.chance(0.7), []
    for _ in range(draws.between(2, 6)):
        shown = words if keep_order else draws.shuffled(words)
        lines.append(separator.join(word.text(language) for word in shown))
    return Document("\n".join(lines))


def _short_options(draws: Draws) -> tuple[list[str], list[str]]:
    """Draw four options of one syllable or one character each, and the same the other way."""
    drawn = draws.sample(_SPELLED, len(LETTERS))
    spelled = [s.capitalize() for s in drawn], [ONSETS[s] for s in drawn]
    return spelled if draws.chance(0.6) else spelled[::-1]


def pairing(world: World, draws: Draws) -> Exercise:
    """Draw short options, then each of them again with its letter, in another order."""
    return pairs_exercise(draws, _short_options(draws)[0], MATCH_CUES["en"], letter=True)


def short_binding(world: World, draws: Draws) -> Exercise:
    """Draw short options, and ask before or after them which letter one of them has."""
    options, others = _short_options(draws)
    place = draws.below(len(LETTERS))
    wanted, lines = options[place], f"{option_lines(options)}\n"
    question = f"Which is {others[place] if draws.chance(TRANSLATED_SHARE) else wanted}?\n"
    text = question + lines if draws.chance(0.5) else lines + question
    return by_letter(f"{text}{CUES['en']}", f" {LETTERS[place]}", wanted)
