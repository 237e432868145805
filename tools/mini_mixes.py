"""What each stage of training is made of: shares of tokens by source, and how long it lasts.

Five stages: *circuits* repeats names, spells them out in the other language and pairs short options
with their letters, because little is learned before a model can copy, align and bind, and in mixed
text it takes thousands of steps to find out how; *bridge* keeps a part of that while text begins,
for without it the letters of short options were at chance 120 steps later (mini-medium; 0.83 with
it); *text* is pre-training, facts stated in many registers and every kind of exercise in plain form
or chat; *letters* is mostly exercises whose answer is a letter or a word that stands for something
in the prompt; *chat* shifts to exercises while the learning rate falls.

All along a layer in the middle learns hints (``Stage.hints`` is the weight of its loss), less so
at the end.
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
    **{"corpus": 0.18, "open": 0.20, "mcq": 0.05, "words": 0.01, "binding": 0.02, "matching": 0.01},
    **{"problems": 0.12, "drill": 0.03, "inference": 0.12, "instructions": 0.09},
    **{"translation": 0.08, "glossary": 0.02, "bitext": 0.01, "summaries": 0.05, "gazette": 0.01},
    **{"hearsay": 0.012, "truths": 0.015, "gossip": 0.01, "roles": 0.025},
}
LETTERS: Mix = {
    **{"mcq": 0.30, "open": 0.14, "binding": 0.05, "words": 0.02, "short_binding": 0.02},
    **{"inference": 0.20, "roles": 0.05, "truths": 0.01, "instructions": 0.05, "corpus": 0.06},
    **{"problems": 0.06, "drill": 0.01, "translation": 0.03, "summaries": 0.02},
}
CHAT: Mix = {
    **TEXT,
    **{"corpus": 0.13, "bitext": 0.0, "gazette": 0.0, "drill": 0.02, "gossip": 0.005},
    **{"hearsay": 0.01, "mcq": 0.16, "open": 0.14},
}
LONG: Mix = {
    **{"few_shot": 0.40, "corpus": 0.25, "gazette": 0.05, "problems": 0.10, "mcq": 0.10},
    **{"translation": 0.10},
}


def _with_circuits(mix: Mix, share: float) -> Mix:
    """Replace a share of a mix by the circuits, which are soon lost without."""
    scale = (1 - share) / sum(mix.values())
    mixed = {name: scale * part for name, part in mix.items()}
    for name, part in CIRCUITS.items():
        mixed[name] = mixed.get(name, 0.0) + share * part
    return mixed


class Stage(NamedTuple):
    """Share of all steps, mix of the short rows, mix of the long ones, weight of the hints."""

    share: float
    mix: Mix
    long_mix: Mix
    hints: float = 1.0


STAGES = {
    "circuits": Stage(0.06, CIRCUITS, CIRCUITS),
    "bridge": Stage(0.08, _with_circuits(TEXT, 0.35), _with_circuits(LONG, 0.15)),
    "text": Stage(0.40, _with_circuits(TEXT, 0.06), LONG),
    "letters": Stage(0.18, LETTERS, {"few_shot": 0.8, "problems": 0.1, "translation": 0.1}),
    "chat": Stage(0.28, _with_circuits(CHAT, 0.02), LONG, hints=0.3),
}
