"""Pairs of descriptions with a given label, of which neither alone tells anything of the label.

How many slots a description tells, and which, how exactly and with which values, is distributed in
the same way under every label: premise and hypothesis draw their levels as a multiset, whatever the
label, and only the *arrangement* over slots of the hypothesis depends on that of the premise. As
every condition put on the two arrangements is symmetric in the slots, each of them alone remains
uniform. The same holds for values, which the label only compares, and for denials by SHARES.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import permutations
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.inference.scenes import (
    CLASS_SLOTS,
    CLASSES,
    COLORS,
    DEAL,
    DEAL_SLOTS,
    DEALS,
    NUMBERS,
    PLAIN_SLOTS,
    SIMPLE_VERBS,
    TRAITS,
    Description,
    Value,
)

LABELS = ("entailment", "neutral", "contradiction")
NEGATIVE_SHARE = 0.16
# Chance that the hypothesis denies, by label and by whether the premise does: for each label the
# hypotheses deny as often as the premises.
SHARES = {
    ("entailment", False): 0.0,
    ("entailment", True): 1.0,
    ("contradiction", False): NEGATIVE_SHARE / (1 - NEGATIVE_SHARE),
    ("contradiction", True): 0.0,
    ("neutral", False): 0.10 / (1 - NEGATIVE_SHARE),
    ("neutral", True): 0.06 / NEGATIVE_SHARE,
}
DEAL_SHARE = 0.25
Levels = tuple[int, ...]


class Profile(NamedTuple):
    """How much is told: numbers of plain slots, and levels of the four class slots.

    Of any two draws the affirmed premise tells at least as much as the hypothesis, and that at
    least as much as the denying premise. A receiver's slot adds the level from ``receiver``.
    """

    premise: tuple[Sequence[int], Sequence[Levels]]
    hypothesis: tuple[Sequence[int], Sequence[Levels]]
    denial: tuple[Sequence[int], Sequence[Levels]]


FULL = Profile(
    ((2, 2, 3), ((2, 2, 1, 0), (2, 2, 1, 1), (2, 2, 2, 0))),
    ((1, 1, 2), ((1, 1, 0, 0), (2, 1, 0, 0), (2, 2, 0, 0), (2, 1, 1, 0))),
    ((0, 0, 1), ((1, 0, 0, 0), (1, 1, 0, 0))),
)
PLAIN = Profile(
    ((0,), ((2, 2, 0, 0),)),
    ((0,), ((2, 0, 0, 0), (2, 2, 0, 0))),
    ((0,), ((2, 0, 0, 0),)),
)
EASY = Profile(
    ((0, 1), ((2, 2, 0, 0), (2, 1, 0, 0))),
    ((0,), ((1, 0, 0, 0), (2, 0, 0, 0), (2, 1, 0, 0))),
    ((0,), ((1, 0, 0, 0),)),
)


@cache
def _arrangements(
    premise: Levels, levels: Levels, downward: bool
) -> tuple[tuple[Levels, ...], tuple[Levels, ...], tuple[Levels, ...]]:
    """Sort the arrangements of a hypothesis's levels by how they compare with a premise's.

    They fit if no level exceeds the premise's (``downward``) or is below it; the second group
    fails in one slot, the third are all that fail.
    """
    groups: tuple[list[Levels], list[Levels], list[Levels]] = ([], [], [])
    for arranged in sorted(set(permutations(levels))):
        sign = 1 if downward else -1
        pairs = zip(arranged, premise, strict=True)
        failures = sum(sign * (mine - theirs) > 0 for mine, theirs in pairs)
        if failures == 0:
            groups[0].append(arranged)
            continue
        groups[2].append(arranged)
        if failures == 1:
            groups[1].append(arranged)
    return tuple(groups[0]), tuple(groups[1]), tuple(groups[2])


def _multisets(
    draws: Draws, amounts: tuple[Sequence[int], Sequence[Levels]], deal: bool
) -> tuple[Levels, Levels]:
    """Draw how much is told of plain slots and of class slots."""
    n_plain = draws.pick(amounts[0])
    levels = draws.pick(amounts[1])
    return (
        (1,) * n_plain + (0,) * (len(PLAIN_SLOTS) - n_plain),
        # Middle of the ordered levels, so that what told more still does.
        tuple(sorted((*levels, levels[1]), reverse=True)) if deal else levels,
    )


def draw_value(draws: Draws, slot: str) -> Value:
    """Draw the value of a slot."""
    if slot in CLASSES:
        chosen = draws.pick(list(CLASSES[slot]))
        return chosen, draws.pick(CLASSES[slot][chosen])
    if slot == "number":
        return "number", draws.pick(NUMBERS)
    if slot == "color":
        return "color", draws.pick(COLORS)
    if slot == "size":
        return "size", draws.pick("01")
    return draws.pick(list(TRAITS))


def other_value(draws: Draws, slot: str, value: Value, level: int) -> Value:
    """Draw a value that excludes another one, both told at least at a level."""
    while True:
        # A sibling half the time: harder to tell apart than something of another class.
        sibling = slot in CLASSES and level == 2 and draws.chance(0.5)
        if sibling:
            drawn = (value[0], draws.pick(CLASSES[slot][value[0]]))
        elif slot == "trait":
            return value[0], "1" if value[1] == "0" else "0"
        else:
            drawn = draw_value(draws, slot)
        if drawn != value and (level == 2 or slot not in CLASSES or drawn[0] != value[0]):
            return drawn


def draw_premise(draws: Draws, profile: Profile) -> Description:
    """Draw the description of a premise."""
    deal = draws.chance(DEAL_SHARE)
    negative = draws.chance(NEGATIVE_SHARE)
    slots = (*PLAIN_SLOTS, *(DEAL_SLOTS if deal else CLASS_SLOTS))
    plain, classed = _multisets(draws, profile.denial if negative else profile.premise, deal)
    levels = (*draws.shuffled(plain), *draws.shuffled(classed))
    values = {slot: draw_value(draws, slot) for slot in slots}
    while deal and values["receiver"] == values["agent"]:
        values["receiver"] = draw_value(draws, "receiver")
    if deal:
        verb = (DEAL, draws.below(len(DEALS)))
    else:
        verb = (draws.below(len(SIMPLE_VERBS)), draws.below(2))
    return Description(negative, verb, dict(zip(slots, levels, strict=True)), values)


def _arrange(
    draws: Draws, premise: Description, multisets: tuple[Levels, Levels], kind: str
) -> dict[str, int]:
    """Arrange levels over slots so that all ``fit``, or not all (``fail``), or ``any`` how."""
    theirs = tuple(premise.levels.values())
    n_plain = len(PLAIN_SLOTS)
    options = [
        _arrangements(part, levels, not premise.negative)
        for part, levels in zip((theirs[:n_plain], theirs[n_plain:]), multisets, strict=True)
    ]
    kinds = [kind, kind]
    if kind == "fail":
        # One part fails, mostly in one slot; which part must not depend on the arrangements.
        able = [place for place, option in enumerate(options) if option[2]]
        failing = draws.pick(able)
        kinds = ["fail" if place == failing else "fit" for place in range(2)]
    levels: list[int] = []
    for (fit, nearly, fail), wanted in zip(options, kinds, strict=True):
        if wanted == "any":
            levels += draws.pick(fit + fail)
        elif wanted == "fit":
            levels += draws.pick(fit)
        else:
            levels += draws.pick(nearly if nearly and draws.chance(0.8) else fail)
    return dict(zip(premise.levels, levels, strict=True))


def _kind(draws: Draws, premise: Description, wanted: str, negative: bool) -> tuple[str, str]:
    """Draw how levels are arranged, and what else decides: ``apart``, ``open`` or nothing."""
    if wanted == "entailment":
        return "fit", ""
    if wanted == "contradiction":
        if premise.negative or negative:
            return "fit", ""
        return ("fit" if draws.chance(0.6) else "any"), "apart"
    if premise.negative or negative:
        # Under a denial another value proves nothing.
        return ("fit", "apart") if draws.chance(0.4) else ("fail", "")
    if premise.verb[0] != DEAL and draws.chance(0.2):
        return "fit", "open"
    return "fail", ""


def draw_hypothesis(
    draws: Draws, premise: Description, wanted: str, profile: Profile
) -> Description:
    """Draw the description of a hypothesis that has a label under a premise."""
    negative = draws.chance(SHARES[wanted, premise.negative])
    kind, decides = _kind(draws, premise, wanted, negative)
    multisets = _multisets(draws, profile.hypothesis, premise.verb[0] == DEAL)
    levels = _arrange(draws, premise, multisets, kind)
    hypothesis = Description(negative, premise.verb, levels, dict(premise.values))
    if decides == "apart":
        return _set_apart(draws, premise, hypothesis)
    if decides == "open":
        return _leave_open(draws, premise, hypothesis)
    return hypothesis


def _set_apart(draws: Draws, premise: Description, hypothesis: Description) -> Description:
    """Change one thing that both tell so that they exclude each other."""
    values = dict(hypothesis.values)
    shared = {slot: min(n, premise.levels[slot]) for slot, n in hypothesis.levels.items()}
    options = [slot for slot, level in shared.items() if level]
    if premise.negative or hypothesis.negative:
        # Whether nobody found two pears, when three were found, is a matter of taste.
        options = [slot for slot in options if slot != "number"]
    if premise.verb[0] == DEAL and shared["agent"] and shared["receiver"]:
        one, other = values["agent"], values["receiver"]
        if one[0] != other[0] and draws.chance(0.4):
            return hypothesis._replace(values=values | {"agent": other, "receiver": one})
    slot = draws.pick([*options, "verb"])
    if slot == "verb":
        group, place = premise.verb
        n = len(DEALS) if group == DEAL else 2
        return hypothesis._replace(verb=(group, (place + draws.between(1, n - 1)) % n))
    level = shared[slot]
    values[slot] = other_value(draws, slot, premise.values[slot], level)
    while slot in ("agent", "receiver") and _meets_itself(values):
        values[slot] = other_value(draws, slot, premise.values[slot], level)
    return hypothesis._replace(values=values)


def _meets_itself(values: Mapping[str, Value]) -> bool:
    """Whether giver and receiver are of the same craft, which no premise has."""
    return values["agent"] == values.get("receiver")


def _leave_open(draws: Draws, premise: Description, hypothesis: Description) -> Description:
    """Change the verb or the trait to one that the premise neither implies nor excludes."""
    if premise.levels["trait"] and hypothesis.levels["trait"] and draws.chance(0.7):
        dimension = premise.values["trait"][0]
        others = [value for value in TRAITS if value[0] != dimension]
        values = {**hypothesis.values, "trait": draws.pick(others)}
        return hypothesis._replace(values=values)
    other = (premise.verb[0] + draws.between(1, len(SIMPLE_VERBS) - 1)) % len(SIMPLE_VERBS)
    return hypothesis._replace(verb=(other, draws.below(2)))
