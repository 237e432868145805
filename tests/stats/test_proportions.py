"""Intervals of proportions against scipy's and by exact coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from qbench.stats import (
    clopper_pearson,
    paired_proportion_interval,
    proportion_interval,
    wilson,
)

SIZES = [(0, 1), (1, 1), (0, 7), (3, 7), (7, 7), (1, 33), (17, 63), (254, 255), (300, 1023)]


@pytest.mark.parametrize(("k", "n"), SIZES)
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(wilson, "wilson"), (clopper_pearson, "exact")], ids=["wilson", "exact"]
)
def test_equals_scipy(ours, theirs, k, n, level):
    interval = ours(k, n, level)
    oracle = binomtest(k, n).proportion_ci(confidence_level=level, method=theirs)
    assert interval.value == k / n
    assert interval.low == pytest.approx(oracle.low, abs=1e-12)
    assert interval.high == pytest.approx(oracle.high, abs=1e-12)


def _coverage(interval, n: int, p: float) -> float:
    """Exact probability that the interval of a Binomial(n, p) count covers p."""
    counts = np.arange(n + 1)
    covered = [interval(int(k), n).low <= p <= interval(int(k), n).high for k in counts]
    return float(binom.pmf(counts, n, p)[covered].sum())


@pytest.mark.parametrize("n", [5, 33, 299])
def test_below_300_it_never_covers_less_than_it_says(n):
    for p in (0.02, 0.25, 0.5, 0.9):
        assert _coverage(proportion_interval, n, p) >= 0.95


def test_from_300_on_coverage_is_nominal():
    coverage = [_coverage(proportion_interval, 400, p) for p in np.linspace(0.05, 0.95, 19)]
    assert abs(np.mean(coverage) - 0.95) < 0.005
    assert min(coverage) > 0.935


def test_the_choice_changes_at_300():
    assert proportion_interval(10, 299).method == "clopper-pearson"
    assert proportion_interval(10, 300).method == "wilson"


def test_paired_interval_covers_and_is_honest_without_flips():
    rng = np.random.default_rng(5)
    draws = rng.multinomial(150, [0.06, 0.10, 0.84], size=4000)
    inside = [
        (i := paired_proportion_interval(lost, gained, 150)).low <= 0.04 <= i.high
        for lost, gained, _ in draws.tolist()
    ]
    assert abs(np.mean(inside) - 0.95) < 0.015
    nothing = paired_proportion_interval(0, 0, 50)
    assert nothing.value == 0 and nothing.low < -0.02 and nothing.high > 0.02


def test_paired_interval_by_hand():
    got = paired_proportion_interval(3, 9, 98)
    lost, gained = 4 / 100, 10 / 100
    half = 1.959963984540054 * math.sqrt((lost + gained - (gained - lost) ** 2) / 100)
    assert got.value == pytest.approx(6 / 98)
    assert (got.low, got.high) == pytest.approx((0.06 - half, 0.06 + half))


@pytest.mark.parametrize(
    "call",
    [
        lambda: wilson(1, 0),
        lambda: wilson(3, 2),
        lambda: clopper_pearson(-1, 2),
        lambda: wilson(1, 2, 1.0),
        lambda: paired_proportion_interval(2, 2, 3),
    ],
)
def test_impossible_counts_are_refused(call):
    with pytest.raises(ValueError, match=r"\d"):
        call()
