"""Comparison of two runs over the same items: what changed, by how much, and is it real.

Pairing removes the difficulty of the items from the comparison, which is most of the variance: the
same 0.5-point change that two separate intervals can never show is often plain in the pairs.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from qbench.stats.clusters import t_quantile, total_spread
from qbench.stats.proportions import Interval, paired_proportion_interval


class Discordant(NamedTuple):
    """Pairs in which exactly one of two 0/1 scores is 1."""

    lost: int
    gained: int


def discordant(a: ArrayLike, b: ArrayLike) -> Discordant:
    """Count flips of 0/1 scores: right in ``a`` and wrong in ``b`` (lost), and back (gained)."""
    before, after = _pair(a, b)
    return Discordant(
        int(((before == 1.0) & (after == 0.0)).sum()), int(((before == 0.0) & (after == 1.0)).sum())
    )


def mcnemar_exact(lost: int, gained: int) -> float:
    """Two-sided exact McNemar test: the smaller flip count under Binomial(lost + gained, 1/2).

    Parameters
    ----------
    lost, gained
        Discordant pairs of either kind.

    Returns
    -------
    float
        p value; 1.0 when nothing flipped.
    """
    from scipy.stats import binomtest

    if lost < 0 or gained < 0:
        raise ValueError(f"counts of flips cannot be negative: {lost}, {gained}")
    if lost + gained == 0:
        return 1.0
    return float(binomtest(min(lost, gained), lost + gained, 0.5).pvalue)


def paired_interval(
    a: ArrayLike, b: ArrayLike, clusters: Sequence[Hashable] | None = None, level: float = 0.95
) -> Interval:
    """Mean of ``b - a`` over the same items, with its interval.

    Parameters
    ----------
    a, b
        (n,) finite scores of the same items in the same order, n >= 1.
    clusters
        (n,) labels; None when items are independent.
    level
        Coverage, e.g. 0.95.

    Returns
    -------
    Interval
        0/1 scores of independent items: Bonett-Price. Otherwise Student's t with the cluster-robust
        error of the differences. 0/1 scores of clustered items with no spread at all: Bonett-Price
        over the number of clusters, since a zero error claims certainty.
    """
    before, after = _pair(a, b)
    difference = after - before
    n = difference.size
    value = math.fsum(difference.tolist()) / n
    spread = total_spread(difference - value, clusters)
    binary = bool(np.isin(before, (0.0, 1.0)).all() and np.isin(after, (0.0, 1.0)).all())
    if binary and spread.singletons:
        flips = discordant(before, after)
        return paired_proportion_interval(flips.lost, flips.gained, n, level)
    if spread.n_clusters < 2:
        return Interval(value, None, None, "none: one cluster")
    if binary and not difference.any():
        return paired_proportion_interval(0, 0, spread.n_clusters, level)
    half = t_quantile(level, spread.n_clusters) * spread.se / n
    method = "paired-t" if spread.singletons else "paired-cluster-t"
    return Interval(value, value - half, value + half, method)


def paired_ratio_interval(
    a: tuple[ArrayLike, ArrayLike],
    b: tuple[ArrayLike, ArrayLike],
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Interval:
    """Difference of two ratios of sums over the same windows, such as the change of ln perplexity.

    Parameters
    ----------
    a, b
        Each (numerators, denominators), all (n,): nats and tokens of the same windows.
    clusters
        (n,) labels; None when windows are independent.
    level
        Coverage, e.g. 0.95.

    Returns
    -------
    Interval
        ``sum(xb)/sum(wb) - sum(xa)/sum(wa)`` with a delta-method interval over paired residuals.
    """
    residuals, ratios = [], []
    for numerators, denominators in (a, b):
        x, w = _pair(numerators, denominators)
        weight = math.fsum(w.tolist())
        if not weight > 0.0:
            raise ValueError("the denominators of a ratio must sum to more than zero")
        ratio = math.fsum(x.tolist()) / weight
        ratios.append(ratio)
        residuals.append((x - ratio * w) / weight)
    before, after = _pair(residuals[0], residuals[1])
    value = ratios[1] - ratios[0]
    spread = total_spread(after - before, clusters)
    if spread.n_clusters < 2:
        return Interval(value, None, None, "none: one cluster")
    half = t_quantile(level, spread.n_clusters) * spread.se
    method = "paired-delta-t" if spread.singletons else "paired-cluster-delta-t"
    return Interval(value, value - half, value + half, method)


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 vectors of one non-zero length."""
    before, after = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if before.shape != after.shape or before.ndim != 1 or before.size == 0:
        raise ValueError(f"pairs need two equal, non-empty vectors: {before.shape}, {after.shape}")
    return before, after
