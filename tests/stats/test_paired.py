"""Paired comparisons: flips, the exact test, and intervals of differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from qbench.stats import (
    discordant,
    mcnemar_exact,
    mean_interval,
    paired_interval,
    paired_ratio_interval,
    ratio_interval,
)


@pytest.mark.parametrize(("lost", "gained"), [(0, 1), (0, 6), (5, 5), (3, 12), (40, 61)])
def test_mcnemar_is_the_doubled_binomial_tail(lost, gained):
    n, k = lost + gained, min(lost, gained)
    tail = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    assert mcnemar_exact(lost, gained) == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar_exact(gained, lost) == mcnemar_exact(lost, gained)


@pytest.mark.parity
def test_mcnemar_equals_statsmodels():
    tables = pytest.importorskip(
        "statsmodels.stats.contingency_tables", reason="statsmodels is the oracle"
    )
    for lost, gained in [(0, 3), (4, 11), (20, 22)]:
        oracle = tables.mcnemar([[30, lost], [gained, 50]], exact=True).pvalue
        assert mcnemar_exact(lost, gained) == pytest.approx(oracle)


def test_mcnemar_without_flips_and_with_nonsense():
    assert mcnemar_exact(0, 0) == 1.0
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 2)


def test_mcnemar_keeps_its_size():
    rng = np.random.default_rng(4)
    rejected = [mcnemar_exact(int(k), 30 - int(k)) < 0.05 for k in rng.binomial(30, 0.5, 3000)]
    assert np.mean(rejected) < 0.05


def test_flips_have_a_direction():
    assert discordant([1, 1, 0, 0, 1], [1, 0, 1, 0, 0]) == (2, 1)


def test_continuous_pairs_are_the_paired_t_test():
    rng = np.random.default_rng(6)
    a = rng.normal(size=63)
    b = a + rng.normal(0.2, 0.5, 63)
    got = paired_interval(a, b)
    oracle = scipy_stats.ttest_rel(b, a).confidence_interval(0.95)
    assert got.value == pytest.approx((b - a).mean())
    assert (got.low, got.high) == pytest.approx((oracle.low, oracle.high))


def test_clustered_binary_pairs_cover_nominally():
    rng = np.random.default_rng(7)
    clusters = np.repeat(np.arange(40), 4).tolist()
    inside = []
    for _ in range(3000):
        hard = np.repeat(rng.uniform(0.2, 0.9, 40), 4)
        drop = np.repeat(rng.choice([0.0, 0.2], 40), 4)
        a = rng.random(160) < hard
        b = rng.random(160) < hard - drop
        got = paired_interval(a, b, clusters)
        inside.append(got.low <= -0.1 <= got.high)
    assert abs(np.mean(inside) - 0.95) < 0.015


def test_equal_runs_are_not_claimed_certain():
    same = [1, 0, 1, 1, 0, 0]
    for clusters in (None, list("aabbcc")):
        got = paired_interval(same, same, clusters)
        assert got.value == 0 and got.low < 0 < got.high
    alone = paired_interval(same, same, ["x"] * 6)
    assert (alone.low, alone.high) == (None, None)


def test_change_of_log_perplexity_is_paired():
    rng = np.random.default_rng(9)
    tokens = rng.integers(20, 300, 50)
    base = tokens * rng.normal(3.0, 0.8, 50)
    worse = base + tokens * rng.normal(0.01, 0.005, 50)
    got = paired_ratio_interval((base, tokens), (worse, tokens))
    change = ratio_interval(worse - base, tokens)
    assert got[:3] == pytest.approx(change[:3])
    assert got.low > 0, "unpaired intervals of the two would overlap widely"
    assert ratio_interval(base, tokens).high > ratio_interval(worse, tokens).low


def test_unequal_denominators_follow_the_delta_method():
    rng = np.random.default_rng(10)
    inside = []
    for _ in range(3000):
        effect = rng.normal(size=60)
        wa, wb = rng.integers(50, 150, 60), rng.integers(60, 160, 60)
        xa = wa * (1.0 + 0.3 * effect + 0.1 * rng.normal(size=60))
        xb = wb * (1.2 + 0.3 * effect + 0.1 * rng.normal(size=60))
        got = paired_ratio_interval((xa, wa), (xb, wb))
        inside.append(got.low <= 0.2 <= got.high)
    assert abs(np.mean(inside) - 0.95) < 0.015


def test_pairs_must_be_pairs():
    with pytest.raises(ValueError, match="two equal"):
        paired_interval([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="more than zero"):
        paired_ratio_interval(([1.0], [0]), ([1.0], [1]))
    assert mean_interval([0.5, 1.5]).value == 1.0
