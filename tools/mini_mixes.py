"""What each stage of training is made of: shares of tokens by source, and how long it lasts.

Stages one after another, each with little beside what it is for, because what takes two steps to
learn is not learned while most of the gradient is about something else: *circuits* repeats names,
spells them out in the other language, binds short options to their letters and computes; *facts*
asks for what there is to know; *letters* asks for the letters of that; *people* asks who of them it
was; *pairs* compares sentences; *sums* works problems out; *writing* follows instructions,
translates and sums up; *chat* is everything, while the learning rate falls. Each keeps a part of
those before it: without that the letters of short options were at chance again after 120 steps
(mini-medium; 0.83 with it). Everything at once left letters and pairs at chance after 24 M tokens
of mini-medium. A stage must last until what it teaches is there: from pairs alone mini-large had
0.78 of them 1,200 steps into their stage in one run, which stayed (0.90) at a tenth of the tokens,
and 0.51 at the end of it in another, which was 0.33 when 900 steps of others had passed. Hence the
comparisons from *letters* on.

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
    "comparisons": inference.comparisons,
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
    "interview": roles.interview,
    "copying": circuits.copying,
    "pairing": circuits.pairing,
    "short_binding": circuits.short_binding,
}


CIRCUITS: Mix = {
    **{"copying": 0.10, "glossary": 0.13, "pairing": 0.36, "short_binding": 0.22, "binding": 0.07},
    **{"drill": 0.12},
}
FACTS: Mix = {
    **{"open": 0.47, "corpus": 0.20, "mcq": 0.10, "binding": 0.06, "short_binding": 0.03},
    **{"pairing": 0.03, "glossary": 0.05, "drill": 0.06},
}
LETTERS: Mix = {
    **{"mcq": 0.46, "open": 0.18, "binding": 0.11, "words": 0.04, "short_binding": 0.03},
    **{"corpus": 0.08, "glossary": 0.02, "comparisons": 0.05, "drill": 0.03},
}
PEOPLE: Mix = {
    **{"interview": 0.40, "roles": 0.16, "gossip": 0.02, "comparisons": 0.12, "mcq": 0.12},
    **{"open": 0.08, "binding": 0.03, "corpus": 0.05, "drill": 0.02},
}
PAIRS: Mix = {
    **{"inference": 0.37, "comparisons": 0.15, "interview": 0.06, "roles": 0.08, "gossip": 0.01},
    **{"mcq": 0.12, "open": 0.08, "binding": 0.03, "corpus": 0.06, "drill": 0.04},
}
SUMS: Mix = {
    **{"problems": 0.47, "drill": 0.08, "inference": 0.12, "comparisons": 0.03, "mcq": 0.12},
    **{"open": 0.05, "interview": 0.04, "roles": 0.04, "binding": 0.01, "corpus": 0.04},
}
WRITING: Mix = {
    **{"instructions": 0.26, "translation": 0.26, "summaries": 0.09, "bitext": 0.01},
    **{"glossary": 0.01, "gazette": 0.01, "problems": 0.08, "inference": 0.08, "mcq": 0.07},
    **{"open": 0.03, "interview": 0.02, "roles": 0.03, "truths": 0.02, "hearsay": 0.01},
    **{"corpus": 0.02},
}
CHAT: Mix = {
    **{"corpus": 0.04, "open": 0.07, "mcq": 0.12, "words": 0.01, "binding": 0.01},
    **{"problems": 0.16, "drill": 0.01, "inference": 0.09, "comparisons": 0.01},
    **{"instructions": 0.15, "translation": 0.15, "glossary": 0.01, "summaries": 0.05},
    **{"interview": 0.01, "roles": 0.04, "hearsay": 0.015, "truths": 0.05, "gossip": 0.005},
}
# What the tokenizer is learned from.
TEXT: Mix = {
    **{"corpus": 0.09, "open": 0.08, "mcq": 0.10, "words": 0.01, "binding": 0.01},
    **{"problems": 0.16, "drill": 0.02, "inference": 0.13, "instructions": 0.13},
    **{"translation": 0.10, "glossary": 0.01, "summaries": 0.06, "roles": 0.04},
    **{"hearsay": 0.015, "truths": 0.015, "gossip": 0.005},
    **{"bitext": 0.01, "gazette": 0.01, "matching": 0.01},
}
LONG: Mix = {
    **{"few_shot": 0.40, "corpus": 0.25, "gazette": 0.05, "problems": 0.10, "mcq": 0.10},
    **{"translation": 0.10},
}


class Stage(NamedTuple):
    """Share of all steps, mix of the short rows, mix of the long ones, weight of the hints."""

    share: float
    mix: Mix
    long_mix: Mix
    hints: float = 1.0


STAGES = {
    "circuits": Stage(0.065, CIRCUITS, CIRCUITS),
    "facts": Stage(0.155, FACTS, {"corpus": 0.6, "few_shot": 0.4}),
    "letters": Stage(0.10, LETTERS, {"few_shot": 1.0}),
    "people": Stage(0.08, PEOPLE, {"few_shot": 0.5, "interview": 0.5}),
    "pairs": Stage(0.13, PAIRS, {"few_shot": 0.5, "inference": 0.5}),
    "sums": Stage(0.08, SUMS, {"few_shot": 0.4, "problems": 0.6}),
    "writing": Stage(0.17, WRITING, {"few_shot": 0.4, "summaries": 0.3, "translation": 0.3}),
    "chat": Stage(0.22, CHAT, LONG, hints=0.3),
}
