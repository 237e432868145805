"""Oracle: thefuzz 0.22.1 on RapidFuzz 3.14.6, whose answers are stored beside this file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbench.metrics.fuzzy import best_match, normalize, partial_ratio, ratio, weighted_ratio

GOLDEN = json.loads((Path(__file__).parent / "golden_extraction.json").read_text())


def test_picks_and_scores_are_those_of_thefuzz() -> None:
    assert len(GOLDEN["fuzzy"]) == 150
    for query, choices, chosen, score in GOLDEN["fuzzy"]:
        match = best_match(query, choices)
        assert (match.choice, round(match.score)) == (chosen, score), (query, choices)


def test_empty_texts_match_nothing() -> None:
    assert best_match("", ["a", "b"]) == (0, 0.0)
    assert best_match("?!", ["a"]).score == 0.0
    assert weighted_ratio("a", "") == 0.0


def test_normalization() -> None:
    assert normalize("  A_b-C’s naïve Δ\xa0x ") == "a b c s nave δx"


def lcs(a: str, b: str) -> int:
    """Longest common subsequence by the textbook recursion."""

    @cache
    def length(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        if a[i] == b[j]:
            return 1 + length(i + 1, j + 1)
        return max(length(i + 1, j), length(i, j + 1))

    return length(0, 0)


words = st.text("abc ", max_size=12)


@given(words, words)
def test_ratio_is_the_indel_similarity(a: str, b: str) -> None:
    expected = 200 * lcs(a, b) / (len(a) + len(b)) if a or b else 100.0
    assert ratio(a, b) == pytest.approx(expected)


@given(words.filter(bool), words.filter(bool))
def test_partial_ratio_is_the_best_window(a: str, b: str) -> None:
    short, long = sorted((a, b), key=len)
    sides = [(short, long)] if len(a) < len(b) or len(a) > len(b) else [(a, b), (b, a)]
    expected = max(
        200 * lcs(s, w) / (len(s) + len(w))
        for s, text in sides
        for start in range(1 - len(s), len(text))
        if (w := text[max(start, 0) : start + len(s)])
    )
    assert partial_ratio(a, b) == pytest.approx(expected)
