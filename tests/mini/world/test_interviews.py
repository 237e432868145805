"""Interviews: the context tells each answer, and their hints say what has been told so far."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from mini.world.test_roles import (
    MEANS,
    MEMBERS,
    SHOWS,
    TELLS,
    deeds,
    exercises,
    meaning,
    split,
)

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
    context, _, rest = (exercise.prompt + exercise.answer).partition("\n")
    if rest.startswith("\nQ: "):
        found = re.findall(r"\nQ: (.*)\nA: (The .*)(?:\n|$)", rest)
        assert rest == "\n".join(f"\nQ: {q}\nA: {a}" for q, a in found)
        assert exercise.answer.startswith(f" {found[0][1]}")
    else:
        found = re.findall(r"^(.*\?) (\w+)$", rest, re.MULTILINE)
        assert rest == "\n".join(f"{q} {a}" for q, a in found)
        assert exercise.prompt == f"{context}\n{found[0][0]}"
    return context, found


def test_answers_follow_from_the_contexts_and_not_from_each_other() -> None:
    forms, n_people = Counter[bool](), Counter[int]()
    for exercise in interviews():
        context, asked = read(exercise)
        told = {TELLS[act]: MEMBERS[who] for act, _, who in deeds(context)}
        assert sorted(meaning(question) for question, _ in asked) == sorted(told)
        for question, answer in asked:
            who = told[meaning(question)]
            assert answer in ("T" + who.one[1:], who.label)
            forms[answer == who.label] += 1
        n_people[len(set(told.values()))] += 1
    assert abs(forms[True] - forms[False]) < 0.1 * forms.total()
    assert n_people.keys() == {2, 3} and n_people[3] > n_people[2]


def test_only_what_tells_people_apart_is_learned() -> None:
    for exercise in interviews():
        said = [exercise.answer[start:end] for start, end in exercise.spans]
        assert said == [answer.split()[-1] for _, answer in read(exercise)[1]]


def take_hints_at_deeds(context: str, hints: dict[int, str]) -> int:
    """Take away the hints after each deed and at the name of who did it; returns their number.

    Its trait needs not be brought to mind where it has just been said.
    """
    n_before = len(hints)
    for act, end, who in deeds(context):
        trait = WORDS[TELLS[act]]
        assert hints.pop(end, trait) == trait
        label = context.index(who, end) + len(who) - len(MEMBERS[who].label)
        assert hints.pop(label + 1) == trait
    return n_before - len(hints)


def test_a_deed_and_its_name_bring_to_mind_the_trait_and_a_question_what_to_look_for() -> None:
    for exercise in interviews():
        context, asked = read(exercise)
        text, hints = exercise.prompt + exercise.answer, dict(exercise.hints)
        assert len(hints) == len(exercise.hints)
        acts = [act for act, *_ in deeds(context)]
        expected = len(acts) + sum(act in SHOWS for act in acts)
        assert take_hints_at_deeds(context, hints) == expected
        for (end, word), (question, answer) in zip(sorted(hints.items()), asked, strict=True):
            assert word == WORDS[meaning(question)]
            assert text[:end].endswith((question, f"{question}\nA: {answer.rpartition(' ')[0]}"))


def test_exercises_have_hints_where_the_context_tells() -> None:
    n_hints = Counter[int]()
    for exercise in exercises():
        context, question, answer = split(exercise)
        text = exercise.prompt + exercise.answer
        shift = text.index(context)
        hints = {end - shift: word for end, word in exercise.hints}
        n_hints[take_hints_at_deeds(context, hints)] += 1
        if deeds(context):
            ((end, word),) = hints.items()
            assert word == WORDS[meaning(question)]
            assert text[end + shift :] == f" {answer.split()[-1]}"
            if exercise.spans:
                ((start, stop),) = exercise.spans
                assert exercise.answer[start:stop] == answer.split()[-1]
        else:
            assert not exercise.spans and not hints
    assert n_hints.keys() == {0, 2, 4}


def test_no_interview_asks_what_a_test_asks() -> None:
    for exercise in interviews():
        context, asked = read(exercise)
        ends = [match.end() for match in re.finditer(r"\.", context)]
        for question, _ in asked:
            keys = {f"bbq|{context[:end]}|{question}" for end in ends}
            assert keys <= set(exercise.keys) and not keys & roles.reserved()
