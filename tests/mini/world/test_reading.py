"""Reading and recall are answered here from the sentence that names the stranger."""

from __future__ import annotations

import re

import pytest

from qbench.mini.draws import Draws
from qbench.mini.world import knowledge
from qbench.mini.world.examples import Exercise
from qbench.mini.world.facts import SEED, world
from qbench.mini.world.lexicon import LANGUAGES, Language
from qbench.mini.world.names import CODAS, ONSETS, TOWN_ENDINGS

NAME: dict[Language, str] = {
    "en": rf"(?:{'|'.join(map(str.capitalize, ONSETS))})(?:{'|'.join(CODAS)})"
    rf"(?:{'|'.join(e.en for e in TOWN_ENDINGS)})?\b",
    "zh": f"[{''.join(ONSETS.values())}][{''.join(CODAS.values())}]"
    f"(?:{'|'.join(e.zh for e in TOWN_ENDINGS)})?",
}
KNOWN = {
    language: {t.text(language) for kind in ("people", "towns") for t in world().things[kind]}
    for language in LANGUAGES
}


def sentences(text: str) -> list[str]:
    """Cut a text behind each full stop of either language."""
    return [s for s in re.split(r"(?<=[.。])\s*", text) if s]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_answer_stands_in_the_sentence_about_the_one_asked_for(language: Language) -> None:
    draws, n_letters = Draws(SEED, "tests/reading"), 0
    for _ in range(2000):
        exercise = knowledge.reading(world(), draws, language)
        text, *rest = exercise.prompt.split("\n")
        options = {line[0]: line[3:] for line in rest if re.match(r"[A-D]\. ", line)}
        (question,) = (line for line in rest if line.endswith(("?", "？")))
        told = [s for s in sentences(text) if set(re.findall(NAME[language], s))
                & set(re.findall(NAME[language], question))]  # fmt: skip
        assert len(told) == 1, exercise
        if exercise.letter:
            n_letters += 1
            right = options[exercise.answer.strip()]
            assert [o for o in options.values() if o in told[0]].count(right) == 1
        else:
            assert exercise.answer.strip() in told[0]
        asked = set(re.findall(NAME[language], question))
        assert asked.isdisjoint(KNOWN[language]), exercise
    assert 1500 < n_letters < 1700


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_is_recalled_once_with_its_value(language: Language) -> None:
    draws = Draws(SEED, "tests/recall")
    for _ in range(1000):
        exercise: Exercise = knowledge.recall(world(), draws, language)
        told = sentences(exercise.prompt.strip())
        pairs = [
            p.split(": ") for p in exercise.answer.removesuffix(".").removeprefix(" ").split(". ")
        ]
        assert 2 <= len(pairs) == len(told) <= 5
        for stranger, value in pairs:
            assert sum(stranger in s and value in s for s in told) == 1
