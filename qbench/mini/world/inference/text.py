"""English sentences for descriptions of scenes: active, passive, the other side of a deal, clefts.

The shape of a sentence is drawn without regard to anything but whether it denies.
"""

from __future__ import annotations

from qbench.mini.draws import Draws
from qbench.mini.world.inference.scenes import (
    DEAL,
    DEAL_SLOTS,
    DEALS,
    PLAIN_SLOTS,
    SIMPLE_VERBS,
    SIZES,
    TRAITS,
    Description,
)

PARTICIPLES = {"hid": "hidden", "showed": "shown", "forgot": "forgotten", "gave": "given"}
# Weights of the shapes of an affirmed sentence and of a denial.
SIMPLE_SHAPES = ((0.6, "active"), (0.25, "passive"), (0.15, "cleft"))
DEAL_SHAPES = ((0.3, "active"), (0.2, "double"), (0.3, "converse"), (0.2, "passive"))
SIMPLE_DENIALS = ((0.7, "active"), (0.3, "cleft"))
# Stands after the words of a slot until the sentence is finished.
MARKS = {slot: chr(0xE000 + i) for i, slot in enumerate((*PLAIN_SLOTS, *DEAL_SLOTS, "verb"))}
DEAL_DENIALS = ((0.5, "active"), (0.5, "converse"))


def article(words: str) -> str:
    """Put the indefinite article before words."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _person(description: Description, slot: str, draws: Draws) -> str:
    """Name a person without an article; empty if nothing is told."""
    told = description.told(slot)
    trait = description.told("trait") if slot == "agent" else ()
    if not told and not trait:
        return ""
    noun = told[-1] + MARKS[slot] if told else "person"
    if not trait:
        return noun
    return f"{draws.pick(TRAITS[trait[0], trait[1]])}{MARKS['trait']} {noun}"


def _subject(description: Description, slot: str, draws: Draws) -> str:
    """Name a person as subject."""
    words = _person(description, slot, draws)
    if description.negative:
        return f"no {words}" if words else "nobody"
    return article(words) if words else "someone"


def _partner(description: Description, slot: str, draws: Draws) -> str:
    """Name a person elsewhere in a sentence."""
    words = _person(description, slot, draws)
    if words:
        return article(words)
    return "anyone" if description.negative else "someone"


def _things(description: Description, draws: Draws) -> str:
    """Name the things, with their number, size and color."""
    number, size = description.told("number"), description.told("size")
    color, told = description.told("color"), description.told("object")
    some = "any" if description.negative else "some"
    words = [number[1] + MARKS["number"] if number else some if draws.chance(0.5) else ""]
    words.append(draws.pick(SIZES[size[0], size[1]]) + MARKS["size"] if size else "")
    words.append(color[1] + MARKS["color"] if color else "")
    words.append(told[-1] + MARKS["object"] if told else "things")
    return " ".join(word for word in words if word)


def _adjuncts(description: Description) -> list[str]:
    """Say where and when, as far as told."""
    told = {slot: description.told(slot) for slot in ("place", "time")}
    return [_adjunct(slot, words) + MARKS[slot] for slot, words in told.items() if words]


def _adjunct(slot: str, told: tuple[str, ...]) -> str:
    """Say where or when."""
    if slot == "time":
        return f"in {told[-1]}"
    return f"in the {told[1]}" if len(told) == 2 else told[0]


def phrase(slot: str, told: tuple[str, ...], draws: Draws) -> str:
    """Say a slot by itself."""
    if slot in ("place", "time"):
        return _adjunct(slot, told)
    if slot in ("size", "trait"):
        return draws.pick((SIZES if slot == "size" else TRAITS)[told[0], told[1]])
    return article(told[-1]) if slot in ("agent", "receiver") else told[-1]


def _simple(description: Description, draws: Draws) -> str:
    """Write the clause of a verb without a receiver."""
    verb = SIMPLE_VERBS[description.verb[0]][description.verb[1]]
    shape = draws.weighted(SIMPLE_DENIALS if description.negative else SIMPLE_SHAPES)
    things, mark = _things(description, draws), MARKS["verb"]
    if shape == "passive":
        agent = _partner(description, "agent", draws)
        return f"{things} were {PARTICIPLES.get(verb, verb)}{mark} by {agent}"
    subject = _subject(description, "agent", draws)
    if shape == "active":
        return f"{subject} {verb}{mark} {things}"
    return f"{'there' if description.negative else 'it'} was {subject} who {verb}{mark} {things}"


def _deal(description: Description, draws: Draws) -> str:
    """Write the clause of a deal, from the giver's side or the receiver's."""
    given, received = DEALS[description.verb[1]]
    shape = draws.weighted(DEAL_DENIALS if description.negative else DEAL_SHAPES)
    things, mark = _things(description, draws), MARKS["verb"]
    if shape == "converse":
        giver = _partner(description, "agent", draws)
        return f"{_subject(description, 'receiver', draws)} {received}{mark} {things} from {giver}"
    receiver = _partner(description, "receiver", draws)
    if shape == "passive":
        agent = _partner(description, "agent", draws)
        return f"{things} were {PARTICIPLES.get(given, given)}{mark} to {receiver} by {agent}"
    subject = _subject(description, "agent", draws)
    if shape == "double":
        return f"{subject} {given}{mark} {receiver} {things}"
    return f"{subject} {given}{mark} {things} to {receiver}"


def sentence(description: Description, draws: Draws) -> tuple[str, dict[str, int]]:
    """Write a description as a sentence; returns also where the words of each slot end in it."""
    write = _deal if description.verb[0] == DEAL else _simple
    clause = write(description, draws)
    adjuncts = draws.shuffled(_adjuncts(description))
    if adjuncts and draws.chance(0.35):
        clause = f"{adjuncts.pop()}, {clause}"
    text = " ".join([clause, *adjuncts])
    ends, plain = {}, ""
    slots = {mark: slot for slot, mark in MARKS.items()}
    for sign in f"{text[0].upper()}{text[1:]}.":
        if sign in slots:
            ends[slots[sign]] = len(plain)
        else:
            plain += sign
    return plain, ends
