"""Hints: what the middle of a model is to have in mind is true, and stands where it is known."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from mini.world.knowledge_oracle import blocks

from qbench.mini.draws import Draws
from qbench.mini.world import circuits, inference, knowledge
from qbench.mini.world.examples import Document, Example
from qbench.mini.world.facts import world
from qbench.mini.world.lexicon import LANGUAGES

LABELS = {"Yes": "entailment", "Maybe": "neutral", "No": "contradiction"}


def texts(example: Example) -> str:
    """Return what the hints count in."""
    return example.text if isinstance(example, Document) else example.prompt + example.answer


@pytest.mark.parametrize("source", ["mcq", "binding", "few_shot"])
def test_the_content_is_in_mind_before_its_letter(source: str) -> None:
    draws = Draws(3, f"hints/{source}")
    for _ in range(300):
        example = getattr(knowledge, source)(world(), draws, draws.pick(LANGUAGES))
        text, asked = texts(example), blocks(example.prompt)
        assert example.letter and len(example.hints) == max(1, len(asked))
        for end, content in example.hints:
            letter = re.match(r" ?([ABCD])", text[end:])
            assert letter, (text, end)
            # The options are those before the letter, unless it was asked for after them.
            lines = re.findall(rf"^{letter[1]}\. (.*)$", example.prompt[:end], re.MULTILINE)
            assert lines[-1] == content


def test_short_options_are_in_mind_before_their_letter() -> None:
    draws = Draws(3, "hints/short")
    for _ in range(100):
        example = circuits.short_binding(world(), draws)
        ((end, content),) = example.hints
        assert end == len(example.prompt)
        assert f"{example.answer.strip()}. {content}\n" in example.prompt


def conclude(premise: str, hypothesis: str, words: Counter[str]) -> set[str]:
    """Return the labels that comparisons word by word leave possible."""
    denies = [bool(re.search(r"\b(no|nobody)\b", s, re.IGNORECASE)) for s in (premise, hypothesis)]
    implied = words.keys() <= {"Yes"}
    if denies[0]:
        certain = "entailment" if denies[1] else "contradiction"
        return {"neutral", certain} if implied else {"neutral"}  # What is left out may matter.
    if denies[1]:
        return {"contradiction" if implied else "neutral"}
    return {"contradiction" if words["No"] else "neutral" if words["Maybe"] else "entailment"}


def test_comparisons_word_by_word_lead_to_the_label() -> None:
    draws, seen, n_hints = Draws(3, "hints/pairs"), Counter[str](), 0
    for _ in range(3000):
        premise, *pairs = inference.draw_pairs(draws, [draws.pick(list(LABELS.values()))])
        for pair in (premise, *pairs):
            said = Counter(word for _, word in pair.hints)
            possible = conclude(pair.premise, pair.hypothesis, said)
            assert pair.label in possible, pair
            seen[f"{pair.label}/{len(possible)}"] += 1
            n_hints += len(pair.hints)
            for end, _ in pair.hints:
                assert re.match(r"\w\b", pair.hypothesis[end - 1 :]), pair
    assert min(seen[f"{label}/1"] for label in LABELS.values()) > 500 and n_hints > 6000


def test_hints_of_pairs_move_with_their_sentence() -> None:
    draws = Draws(3, "hints/frames")
    for _ in range(200):
        pairs = inference.draw_pairs(draws, list(LABELS.values()))
        told = [(p.hypothesis[:end], word) for p in pairs for end, word in p.hints]
        series = inference.series(pairs, draws.weighted(inference.SERIES))
        ends = [texts(series)[:end] for end, _ in series.hints]
        assert [word for _, word in series.hints] == [word for _, word in told]
        assert all(e.endswith(t) for e, (t, _) in zip(ends, told, strict=True))
        exercise = inference.exercise(pairs[0], draws)
        for (end, word), hint in zip(exercise.hints, pairs[0].hints, strict=True):
            assert word == hint.word
            assert exercise.prompt[:end].endswith(pairs[0].hypothesis[: hint.end])
            assert pairs[0].premise in exercise.prompt[:end]
