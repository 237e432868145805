"""Draws: the same everywhere, without bias, streams apart."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

from qbench.mini.draws import Draws

PINNED = [308, 132, 971, 265, 786, 480, 168, 664]


def test_draws_follow_from_the_documented_generator() -> None:
    """Only ``random()`` of the standard library is promised to stay the same."""
    seed = int.from_bytes(hashlib.sha256(b"7/things").digest()[:8], "big")
    plain, draws = random.Random(seed), Draws(7, "things")
    for n in (1, 2, 3, 10, 1000):
        assert draws.below(n) == int(plain.random() * n)
    assert draws.between(5, 9) == 5 + int(plain.random() * 5)
    assert draws.chance(0.5) == (plain.random() < 0.5)
    assert draws.pick("abc") == "abc"[int(plain.random() * 3)]


def test_a_pinned_stream() -> None:
    draws = Draws(2402, "pinned")
    assert [draws.below(1000) for _ in range(8)] == PINNED


def test_streams_do_not_depend_on_one_another() -> None:
    one, other, again = Draws(1, "a"), Draws(1, "b"), Draws(1, "a")
    first = [one.below(10**9) for _ in range(5)]
    assert first != [other.below(10**9) for _ in range(5)]
    assert first == [again.below(10**9) for _ in range(5)]
    assert first != [Draws(2, "a").below(10**9) for _ in range(5)]


def test_samples_hold_different_places_in_every_order() -> None:
    draws, seen = Draws(3, "sample"), Counter()
    for _ in range(24_000):
        sample = draws.sample("abcd", 3)
        assert len(set(sample)) == 3
        seen["".join(sample)] += 1
    assert len(seen) == 24
    assert all(800 < n < 1200 for n in seen.values())
    assert sorted(draws.shuffled("abcdefgh")) == list("abcdefgh")
    assert draws.sample("aab", 3).count("a") == 2
    assert draws.sample("xyz", 0) == []


def test_weights_are_met() -> None:
    draws = Draws(4, "weighted")
    seen = Counter(draws.weighted([(1, "a"), (2, "b"), (0, "c"), (5, "d")]) for _ in range(16_000))
    assert seen["c"] == 0
    for option, weight in (("a", 1), ("b", 2), ("d", 5)):
        assert abs(seen[option] - 2000 * weight) < 250
