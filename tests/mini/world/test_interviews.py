"""Interviews: the context tells each answer, and their hints say what has been told so far."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from mini.world.test_roles import MEANS, MEMBERS, SHOWS, deeds, meaning, people_in

from qbench.mini.draws import Draws
from qbench.mini.world import roles
from qbench.mini.world.examples import Exercise
from qbench.mini.world.facts import SEED, world

WORDS = {meant: word for word, meant in MEANS.items()}


@cache
def interviews() -> tuple[Exercise, ...]:
    draws = Draws(SEED, "tests/interviews")
    return tuple(roles.interview(world(), draws) for _ in range(3000))


def read(exercise: Exercise) -> tuple[str, list[tuple[str, str]]]:
    """Context, and questions with their answers."""
    context, _, rest = exercise.prompt.partition("\n\n")
    text = f"{rest}{exercise.answer}"
    found = re.findall(r"^Q: (.*)\nA: (.*)$", text, re.MULTILINE)
    assert text == "\n\n".join(f"Q: {q}\nA: {a}" for q, a in found)
    assert exercise.prompt == f"{context}\n\nQ: {found[0][0]}\nA:"
    return context, found


def test_answers_follow_from_the_contexts() -> None:
    first = Counter[bool]()
    for exercise in interviews():
        context, asked = read(exercise)
        people = people_in(context)
        told = {SHOWS[act]: who for act, _, who in deeds(context)}
        questions = [meaning(question) for question, _ in asked]
        # One question about each trait, or the second could be answered by the first.
        assert {number for number, _ in questions} == {number for number, _ in told}
        assert len(questions) == len(told) / 2 in (2, 3)
        for meant, (_, answer) in zip(questions, asked, strict=True):
            assert answer == "T" + told[meant][1:]
            first[told[meant] == people[0]] += 1
    assert abs(first[True] - first[False]) < 0.04 * first.total()


def test_only_what_tells_people_apart_is_learned() -> None:
    for exercise in interviews():
        said = [exercise.answer[start:end] for start, end in exercise.spans]
        assert said == [answer.split()[-1] for _, answer in read(exercise)[1]]


def test_a_deed_brings_its_trait_to_mind_and_then_who_did_it() -> None:
    for exercise in interviews():
        expected = {}
        for act, end, who in deeds(read(exercise)[0]):
            expected[end] = WORDS[SHOWS[act]]
            expected[end + 1] = MEMBERS[who].label
        assert dict(exercise.hints) == expected and len(exercise.hints) == len(expected)


def test_no_interview_asks_what_a_test_asks() -> None:
    for exercise in interviews():
        context, asked = read(exercise)
        ends = [match.end() for match in re.finditer(r"\.", context)]
        for question, _ in asked:
            keys = {f"bbq|{context[:end]}|{question}" for end in ends}
            assert keys <= set(exercise.keys) and not keys & roles.reserved()
