"""Cluster-robust intervals of means and ratios against plain formulas and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from qbench.stats import cluster_se, exp_ratio_interval, mean_interval, ratio_interval


@pytest.mark.parametrize("n", [2, 3, 17, 255])
def test_singleton_clusters_are_the_textbook_interval(n):
    values = np.random.default_rng(n).normal(2.0, 3.0, n)
    got = mean_interval(values)
    low, high = scipy_stats.t.interval(0.95, n - 1, values.mean(), scipy_stats.sem(values))
    assert (got.value, got.low, got.high) == pytest.approx((values.mean(), low, high))
    assert cluster_se(values) == pytest.approx(scipy_stats.sem(values))
    assert mean_interval(values, [f"c{i}" for i in range(n)]) == got


def test_whole_clusters_of_equal_values_count_once():
    means = np.array([0.1, 0.4, 0.35, 0.8, 0.62])
    values, clusters = np.repeat(means, 7), np.repeat(list("abcde"), 7).tolist()
    assert cluster_se(values, clusters) == pytest.approx(scipy_stats.sem(means))


@pytest.mark.parity
def test_equals_statsmodels_on_uneven_clusters():
    sm = pytest.importorskip("statsmodels.api", reason="statsmodels is the oracle")
    rng = np.random.default_rng(8)
    clusters = rng.integers(0, 13, 200)
    values = rng.normal(size=200) + 0.5 * clusters
    fit = sm.OLS(values, np.ones(200)).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    assert cluster_se(values, clusters.tolist()) == pytest.approx(float(fit.bse[0]))


def test_clustered_mean_covers_nominally():
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(25), 6).tolist()
    inside = []
    for _ in range(3000):
        values = np.repeat(rng.normal(size=25), 6) + rng.normal(size=150)
        got = mean_interval(values, clusters)
        inside.append(got.low <= 0.0 <= got.high)
    assert abs(np.mean(inside) - 0.95) < 0.015


def test_binary_scores_stay_inside_zero_and_one():
    assert mean_interval([1, 1, 1, 0]).method == "clopper-pearson"
    got = mean_interval([1] * 9 + [0], ["a", "a", "b", "b", "c", "c", "d", "d", "e", "e"])
    assert got.method == "cluster-t" and got.high == 1.0
    same = mean_interval([0.0] * 10, ["a"] * 5 + ["b"] * 5)
    assert (same.value, same.low) == (0.0, 0.0) and same.high > 0.5


def test_one_cluster_shows_no_spread():
    got = mean_interval([0.2, 0.9, 0.4], ["x"] * 3)
    assert (got.low, got.high) == (None, None) and "one cluster" in got.method
    assert math.isnan(cluster_se([1.0, 2.0], ["x", "x"]))
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])
    with pytest.raises(ValueError, match="cluster labels"):
        mean_interval([1.0, 2.0], ["x"])


def test_ratio_weighs_windows_by_their_tokens():
    got = ratio_interval([10.0, 4.0], [4, 1])
    assert got.value == pytest.approx(14 / 5)
    residuals = np.array([10 - 2.8 * 4, 4 - 2.8])
    half = scipy_stats.t.ppf(0.975, 1) * math.sqrt(2 * (residuals @ residuals)) / 5
    assert got.high - got.value == pytest.approx(half)
    assert exp_ratio_interval([10.0, 4.0], [4, 1]).value == pytest.approx(math.exp(2.8))


def test_ratio_with_equal_weights_is_the_mean():
    values = np.random.default_rng(2).normal(size=33)
    ratio, mean = ratio_interval(values * 5, np.full(33, 5)), mean_interval(values)
    assert ratio[:3] == pytest.approx(mean[:3])


def test_perplexity_interval_covers_nominally():
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(3000):
        tokens = rng.integers(50, 500, 60)
        nll = tokens * (2.0 + 0.3 * np.repeat(rng.normal(size=30), 2))
        got = exp_ratio_interval(nll, tokens, np.repeat(np.arange(30), 2).tolist())
        inside.append(got.low <= math.exp(2.0) <= got.high)
    assert abs(np.mean(inside) - 0.95) < 0.015


def test_ratio_edges():
    assert exp_ratio_interval([1e6, 1e6], [1, 1]).value == math.inf
    with pytest.raises(ValueError, match="more than zero"):
        ratio_interval([1.0], [0])
    with pytest.raises(ValueError, match="denominators"):
        ratio_interval([1.0, 2.0], [1])
