"""Scenes that premises and hypotheses describe, and what one description says about another.

A scene has a value in each of its *slots*: who did it, to what, where, when, to whom, how many, of
what color and size, and what kind of person it was. A description tells each slot at a *level*: not
at all (0), by a class (1: "an artist", "in spring") or exactly (2: "a singer", "in April"); slots
without classes are told (1) or not (0). A negative description denies that any such scene was.

Both sentences of a pair are about the same scene, as in SNLI: "A singer found pears" and "A baker
found pears" contradict each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# Classes with as many members each, so that neither level tells anything of the other.
PERSONS = {
    "craftsman": ("baker", "potter", "smith", "tailor"),
    "artist": ("singer", "dancer", "painter", "poet"),
    "official": ("judge", "guard", "scribe", "mayor"),
    "villager": ("farmer", "hunter", "shepherd", "fisher"),
}
OBJECTS = {
    "fruits": ("pears", "plums", "apples", "lemons"),
    "animals": ("dogs", "cats", "goats", "ducks"),
    "toys": ("dolls", "kites", "balls", "drums"),
    "tools": ("knives", "hammers", "saws", "shovels"),
}
PLACES = {
    "indoors": ("kitchen", "library", "temple", "theater"),
    "outdoors": ("forest", "meadow", "garden", "swamp"),
}
TIMES = {
    "spring": ("March", "April", "May"),
    "summer": ("June", "July", "August"),
    "autumn": ("September", "October", "November"),
    "winter": ("December", "January", "February"),
}
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine")
COLORS = ("red", "blue", "green", "yellow", "white", "black")
# Opposites and words of the same meaning: dimension, side, word.
SIZES = {("size", "0"): ("big", "large"), ("size", "1"): ("small", "little")}
TRAITS = {
    ("age", "0"): ("young",),
    ("age", "1"): ("old",),
    ("means", "0"): ("rich", "wealthy"),
    ("means", "1"): ("poor",),
    ("mood", "0"): ("happy", "glad"),
    ("mood", "1"): ("sad",),
}
# Verbs that exclude each other; verbs of different groups have nothing to do with each other.
SIMPLE_VERBS = (("found", "lost"), ("liked", "hated"), ("hid", "showed"), ("remembered", "forgot"))
# The same deal from either side: giver's verb, receiver's verb. All three exclude each other.
DEALS = (("gave", "received"), ("sold", "bought"), ("lent", "borrowed"))

CLASSES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "agent": PERSONS,
    "receiver": PERSONS,
    "object": OBJECTS,
    "place": PLACES,
    "time": TIMES,
}
PLAIN_SLOTS = ("number", "color", "size", "trait")
CLASS_SLOTS = ("agent", "object", "place", "time")
DEAL_SLOTS = (*CLASS_SLOTS, "receiver")

# Class and member, or dimension and side ("size", "0"); numbers and colors have one dimension.
Value = tuple[str, str]


class Description(NamedTuple):
    """What a sentence says: whether it denies, which verb, and each slot's level and value.

    ``verb`` is a group of verbs that exclude each other and the place in it; the deals, which are
    the only ones with a receiver, are the last group.
    """

    negative: bool
    verb: tuple[int, int]
    levels: Mapping[str, int]
    values: Mapping[str, Value]

    def told(self, slot: str) -> Value | tuple[str, ...]:
        """Return what is told of a slot, the more general first; nothing at level 0."""
        level = self.levels[slot]
        if slot in CLASSES:
            return self.values[slot][:level]
        return self.values[slot] if level else ()


DEAL = len(SIMPLE_VERBS)


def relation(slot: str, general: tuple[str, ...], exact: tuple[str, ...]) -> str:
    """Compare two tellings of a slot: ``within`` if the second implies the first.

    Else ``apart`` if they exclude each other, or ``open``.
    """
    if exact[: len(general)] == general:
        return "within"
    shared = min(len(general), len(exact))
    if general[:shared] == exact[:shared]:
        return "open"
    # Another dimension ("old", "rich") excludes nothing; another class or member does.
    return "open" if slot == "trait" and general[0] != exact[0] else "apart"


def relation_of_verbs(general: tuple[int, int], exact: tuple[int, int]) -> str:
    """Compare two verbs, as :func:`relation` does."""
    if general == exact:
        return "within"
    return "apart" if general[0] == exact[0] else "open"


def relations(general: Description, exact: Description) -> dict[str, str]:
    """Compare two descriptions by verb and slot by slot, regardless of what they deny."""
    found = {slot: relation(slot, general.told(slot), exact.told(slot)) for slot in general.levels}
    return found | {"verb": relation_of_verbs(general.verb, exact.verb)}


def comparison(premise: Description, hypothesis: Description) -> dict[str, str]:
    """Compare what a hypothesis needs: of a denial it has to be a case, else be implied by it."""
    if premise.negative:
        return relations(premise, hypothesis)
    return relations(hypothesis, premise)


def label(premise: Description, hypothesis: Description) -> str:
    """Return SNLI's label of a pair of descriptions."""
    found = set(comparison(premise, hypothesis).values())
    if premise.negative:
        # That nobody found fruit implies that nobody found pears, and excludes that a baker did.
        if found != {"within"}:
            return "neutral"
        return "entailment" if hypothesis.negative else "contradiction"
    if hypothesis.negative:
        return "contradiction" if found == {"within"} else "neutral"
    if "apart" in found:
        return "contradiction"
    return "neutral" if "open" in found else "entailment"
