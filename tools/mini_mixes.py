"""What each stage of training is made of: shares of tokens by source, and how long it lasts.

Four stages: *circuits* repeats names, spells them out in the other language and pairs short options
with their letters, because little is learned before a model can copy, align and bind, and in mixed
text it takes thousands of steps to find out how; *text* is pre-training, facts stated in many
registers and every kind of exercise in plain form or chat; *letters* teaches that an option's
letter stands for its content, nearly alone, because among other text that signal drowns; *chat*
shifts to exercises while the learning rate falls.

The shares are not settled. Of mini-medium, the letters of short options were right in 0.55 of the
cases after 600 steps of circuits and 0.96 after 1,200; of mini-large, at 0.55 after 860, they were
lost in the text that followed 1,020 steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world import (
    arithmetic,
    circuits,
    corpus,
    inference,
    instructions,
    knowledge,
    myths,
    news,
    roles,
    translation,
)
from qbench.mini.world.examples import Example
from qbench.mini.world.facts import World
from qbench.mini.world.lexicon import Language

Source = Callable[[World, Draws], Example]
Mix = dict[str, float]

ENGLISH_SHARE = 0.55


def _either(source: Callable[[World, Draws, Language], Example]) -> Source:
    """Draw the language of a source that speaks both."""

    def drawn(world: World, draws: Draws) -> Example:
        return source(world, draws, "en" if draws.chance(ENGLISH_SHARE) else "zh")

    return drawn


SOURCES: dict[str, Source] = {
    "corpus": corpus.document,
    "binding": _either(knowledge.binding),
    "matching": _either(knowledge.matching),
    "mcq": _either(knowledge.mcq),
    "words": _either(knowledge.words_then_letter),
    "open": _either(knowledge.open_question),
    "few_shot": _either(knowledge.few_shot),
    "problems": arithmetic.training,
    "drill": arithmetic.drill,
    "inference": inference.training,
    "translation": translation.training,
    "bitext": translation.bitext,
    "glossary": translation.glossary,
    "summaries": news.training,
    "gazette": news.gazette,
    "instructions": instructions.training,
    "hearsay": myths.hearsay,
    "truths": myths.training,
    "gossip": roles.gossip,
    "roles": roles.training,
    "copying": circuits.copying,
    "pairing": circuits.pairing,
    "short_binding": circuits.short_binding,
}


CIRCUITS: Mix = {
    **{"copying": 0.10, "glossary": 0.15, "pairing": 0.40, "short_binding": 0.25, "binding": 0.10},
}
TEXT: Mix = {
    **{"corpus": 0.26, "binding": 0.03, "matching": 0.02, "mcq": 0.11, "words": 0.03, "open": 0.05},
    **{
        "copying": 0.02,
        "problems": 0.15,
        "drill": 0.02,
        "inference": 0.06,
        "translation": 0.08,
        "bitext": 0.015,
    },
    **{"glossary": 0.02, "summaries": 0.07, "gazette": 0.01, "instructions": 0.06},
    **{"hearsay": 0.015, "truths": 0.02, "gossip": 0.01, "roles": 0.035},
}
LETTERS: Mix = {
    **{"binding": 0.30, "matching": 0.15, "mcq": 0.30, "words": 0.05, "corpus": 0.10},
    **{"problems": 0.05, "translation": 0.05},
}
CHAT: Mix = {
    **TEXT,
    **{"corpus": 0.16, "bitext": 0.0, "gazette": 0.0, "drill": 0.01, "gossip": 0.005},
    **{"hearsay": 0.01, "mcq": 0.15, "open": 0.06, "summaries": 0.08, "instructions": 0.08},
}
LONG: Mix = {"few_shot": 0.45, "corpus": 0.25, "gazette": 0.10, "problems": 0.10, "mcq": 0.10}


class Stage(NamedTuple):
    """Share of all steps, mix of the short rows, mix of the long ones."""

    share: float
    mix: Mix
    long_mix: Mix


STAGES = {
    "circuits": Stage(0.17, CIRCUITS, CIRCUITS),
    "text": Stage(0.35, TEXT, LONG),
    "letters": Stage(0.10, LETTERS, {"few_shot": 0.6, "mcq": 0.2, "matching": 0.2}),
    "chat": Stage(0.38, CHAT, LONG),
}
