"""Byte-pair merges against a learner that recounts everything at every merge."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

from mini_bpe import Pair, apply, learn


def recounting(counts: dict[str, int], given: list[Pair], n_merges: int) -> list[Pair]:
    """Learn merges the slow way."""
    merges = list(given)
    while len(merges) < n_merges:
        totals: Counter[Pair] = Counter()
        for word, weight in counts.items():
            symbols = list(word)
            for pair in merges:
                symbols = apply(symbols, pair)
            for pair in pairwise(symbols):
                totals[pair] += weight
        if not totals:
            break
        merges.append(max(totals, key=lambda pair: (totals[pair], pair)))
    return merges


def words(seed: int) -> dict[str, int]:
    """Draw words over few letters, so that pairs overlap and repeat."""
    drawn = random.Random(seed)
    spelled = {"".join(drawn.choices("abc", k=drawn.randint(1, 9))) for _ in range(40)}
    return {word: drawn.randint(1, 20) for word in sorted(spelled)}


def test_merges_equal_those_of_recounting() -> None:
    for seed in range(20):
        assert learn(words(seed), [], 30) == recounting(words(seed), [], 30)


def test_given_merges_come_first_and_are_built_upon() -> None:
    given = [("b", "a"), ("c", "a")]
    for seed in range(20):
        merges = learn(words(seed), given, 30)
        assert merges[:2] == given
        assert merges == recounting(words(seed), given, 30)


def test_runs_of_one_symbol_merge_from_the_left() -> None:
    assert apply(list("aaaaa"), ("a", "a")) == ["aa", "aa", "a"]
    assert learn({"aaaaa": 1}, [], 9) == [("a", "a"), ("aa", "aa"), ("aaaa", "a")]


def test_it_ends_when_no_pair_is_left() -> None:
    assert learn({"ab": 3}, [], 100) == [("a", "b")]
    assert learn({}, [], 5) == []
