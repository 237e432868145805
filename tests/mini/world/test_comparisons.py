"""Phrases are compared with their premise by the sets of scenes that each allows."""

from __future__ import annotations

from collections import Counter
from functools import cache

from mini.world.test_inference import (
    COLORS,
    NUMBERS,
    PERSON,
    PLACE,
    SCALES,
    THING,
    TIME,
    VERBS,
    Scenes,
    understand,
    within,
)

from qbench.mini.draws import Draws
from qbench.mini.world import inference
from qbench.mini.world.examples import Exercise
from qbench.mini.world.facts import world


@cache
def exercises() -> tuple[Exercise, ...]:
    draws = Draws(5, "comparisons in a test")
    return tuple(inference.comparisons(world(), draws) for _ in range(3000))


def read(exercise: Exercise) -> tuple[str, list[tuple[str, str]]]:
    """Premise, and phrases with their answers."""
    premise, *lines = (exercise.prompt + exercise.answer).split("\nAnd ")
    asked = [tuple(line.split("? ")) for line in lines]
    assert exercise.prompt == f"{premise}\nAnd {asked[0][0]}?"
    return premise, [(phrase, word) for phrase, word in asked]


def scenes_of(phrase: str) -> Scenes:
    """Return what a phrase allows."""
    word = phrase.split()[-1]
    if phrase.startswith("in ") or word in ("indoors", "outdoors"):
        return {"time": TIME[word]} if word in TIME else {"place": PLACE[word]}
    if phrase.split()[0] in ("a", "an"):
        return {"agent": PERSON[word]}
    if word in THING:
        return {"thing": THING[word]}
    if word in NUMBERS:
        return {"number": frozenset([word])}
    if word in COLORS:
        return {"color": frozenset([word])}
    ((name, side),) = ((n, s[word]) for n, s in (SCALES | VERBS).items() if word in s)
    return {name: frozenset(side)}


def read_premise(premise: str) -> Scenes:
    """Return what a premise allows, a sentence or a list."""
    if not premise.startswith("It was: "):
        denied, told = understand(premise)
        assert not denied
        return told
    told = {}
    for phrase in premise.removeprefix("It was: ").removesuffix(".").split(", "):
        assert told.keys().isdisjoint(scenes_of(phrase))
        told |= scenes_of(phrase)
    return told


def test_answers_follow_from_the_premise() -> None:
    answers: Counter[str] = Counter()
    slots: dict[str, Counter[str]] = {}
    for exercise in exercises():
        premise, asked = read(exercise)
        told = read_premise(premise)
        assert 1 <= len(asked) == len(dict(asked)) <= 8
        for phrase, word in asked:
            meant = scenes_of(phrase)
            ((slot, allowed),) = meant.items()
            apart = slot in told and not told[slot] & allowed
            assert word == ("Yes" if within(told, meant) else "No" if apart else "Maybe"), premise
            answers[word] += 1
            slots.setdefault("verb" if slot in VERBS else slot, Counter())[word] += 1
    assert min(answers.values()) > 0.28 * answers.total()
    assert len(slots) == 11 and all(min(n.values()) > 20 and len(n) == 3 for n in slots.values())


def test_answers_alone_are_learned_and_in_mind_when_the_phrase_has_been_read() -> None:
    for exercise in exercises():
        _, asked = read(exercise)
        said = [exercise.answer[start:end] for start, end in exercise.spans]
        assert said == [f" {word}" for _, word in asked] and not exercise.chat
        text = exercise.prompt + exercise.answer
        for (end, word), (phrase, answer) in zip(exercise.hints, asked, strict=True):
            assert word == answer and text[:end].endswith(f"\nAnd {phrase}") and text[end] == "?"
