"""Single phrases compared with a premise: what the labels of pairs rest on, at a third of the text.

A hypothesis tells two or three things, and four times in five a thing that it tells is implied; so
a model that learns from pairs says "yes" of each for long, and is mostly right. Here every label is
as frequent and costs 9 tokens, in pairs 26; and what is in mind after a phrase is what is in mind
after the same words of a hypothesis.
"""

from __future__ import annotations

from qbench.mini.draws import Draws
from qbench.mini.world.examples import Exercise, Hint, Turn, in_turn
from qbench.mini.world.facts import World
from qbench.mini.world.inference.exercises import LABEL_OF, PROFILES, WORDS
from qbench.mini.world.inference.pairs import draw_premise, draw_value, other_value
from qbench.mini.world.inference.scenes import (
    CLASSES,
    DEAL,
    SIMPLE_VERBS,
    Description,
    relation,
    relation_of_verbs,
)
from qbench.mini.world.inference.text import phrase, sentence

# Of a deal a person alone does not say which of the two is meant, nor a verb whose side it takes.
SLOTS = ("verb", "agent", "object", "place", "time", "number", "color", "size", "trait")
DEAL_SLOTS = ("object", "place", "time", "number", "color", "size")
# Premises that only list what is told, so that there is little to look through.
LIST_SHARE = 0.4
MOST_TRIES = 40
# A word after it begins with a space, as the same word in a sentence does.
ASK = "\nAnd "


def comparisons(world: World, draws: Draws) -> Exercise:
    """Draw a premise and four to eight phrases, each with the label that it has by itself."""
    premise = draw_premise(draws, draws.weighted(PROFILES))
    while premise.negative:
        premise = draw_premise(draws, draws.weighted(PROFILES))
    text = _listed(premise, draws) if draws.chance(LIST_SHARE) else sentence(premise, draws)[0]
    turns: dict[str, Turn] = {}
    for _ in range(draws.between(4, 8)):
        said, word = _phrase(premise, draws.pick(list(WORDS.values())), draws)
        asked, answer = ASK + said, f" {word}"
        turns.setdefault(said, Turn(f"{asked}?", answer, len(answer), (Hint(len(asked), word),)))
    return in_turn(text, list(turns.values()))


def _listed(premise: Description, draws: Draws) -> str:
    """List all that is told, except who dealt with whom."""
    deal = premise.verb[0] == DEAL
    told = [] if deal else [SIMPLE_VERBS[premise.verb[0]][premise.verb[1]]]
    for slot in DEAL_SLOTS if deal else SLOTS[1:]:
        if premise.levels[slot]:
            told.append(phrase(slot, premise.told(slot), draws))
    return f"It was: {', '.join(draws.shuffled(told))}." if told else sentence(premise, draws)[0]


def _phrase(premise: Description, wanted: str, draws: Draws) -> tuple[str, str]:
    """Draw a phrase with a label; one with another label where a premise tells too little."""
    deal = premise.verb[0] == DEAL
    for _ in range(MOST_TRIES):
        slot, kind = draws.pick(DEAL_SLOTS if deal else SLOTS), draws.below(3)
        if slot == "verb":
            verb = _verb(premise.verb, kind, draws)
            said, found = SIMPLE_VERBS[verb[0]][verb[1]], relation_of_verbs(verb, premise.verb)
        else:
            level, value = draws.between(1, 2), premise.values[slot]
            if kind:
                value = (
                    other_value(draws, slot, value, level) if kind == 1 else draw_value(draws, slot)
                )
            told = value[:level] if slot in CLASSES else value
            said, found = phrase(slot, told, draws), relation(slot, told, premise.told(slot))
        if WORDS[LABEL_OF[found]] == wanted:
            break
    return said, WORDS[LABEL_OF[found]]


def _verb(verb: tuple[int, int], kind: int, draws: Draws) -> tuple[int, int]:
    """Draw a verb of no deal: the same, its opposite or any."""
    if kind < 2:
        return verb[0], (verb[1] + kind) % 2
    return draws.below(len(SIMPLE_VERBS)), draws.below(2)
