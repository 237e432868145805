"""Interval of a mean over items, clustered or not.

0/1 scores of independent items get a binomial interval. Everything else gets Student's t around the
mean with the cluster-robust standard error and G - 1 degrees of freedom (Miller, arXiv 2411.00640,
recommends clustering by the passage or subject that items share).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from qbench.stats.clusters import t_quantile, total_spread
from qbench.stats.proportions import Interval, proportion_interval

__all__ = ["Interval", "cluster_se", "mean_interval"]


def cluster_se(values: ArrayLike, clusters: Sequence[Hashable] | None = None) -> float:
    """Cluster-robust standard error of a mean (CR1); NaN with fewer than two clusters.

    Parameters
    ----------
    values
        (n,) scores.
    clusters
        (n,) labels; None when items are independent (then this is s / sqrt(n)).

    Returns
    -------
    float
        In the unit of the values.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.size == 0:
        return math.nan
    return total_spread(scores - scores.mean(), clusters).se / scores.size


def mean_interval(
    values: ArrayLike, clusters: Sequence[Hashable] | None = None, level: float = 0.95
) -> Interval:
    """Mean and its interval.

    Parameters
    ----------
    values
        (n,) finite scores, n >= 1.
    clusters
        (n,) labels; None when items are independent.
    level
        Coverage, e.g. 0.95.

    Returns
    -------
    Interval
        0/1 scores: inside [0, 1]; binomial when clusters are singletons, and binomial over the
        number of clusters when all scores are equal (a standard error of zero claims certainty).
        One cluster: no bounds.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.size == 0:
        raise ValueError("no values, no mean")
    value = math.fsum(scores.tolist()) / scores.size
    spread = total_spread(scores - value, clusters)
    binary = bool(np.isin(scores, (0.0, 1.0)).all())
    if binary and spread.singletons:
        return proportion_interval(int(scores.sum()), scores.size, level)
    if spread.n_clusters < 2:
        return Interval(value, None, None, "none: one cluster")
    if binary and value in (0.0, 1.0):
        hits = spread.n_clusters if value == 1.0 else 0
        return proportion_interval(hits, spread.n_clusters, level)
    half = t_quantile(level, spread.n_clusters) * spread.se / scores.size
    low, high = value - half, value + half
    if binary:
        low, high = max(0.0, low), min(1.0, high)
    return Interval(value, low, high, "t" if spread.singletons else "cluster-t")
