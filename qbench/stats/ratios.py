"""Interval of a ratio of sums, such as nats per token, and of its exponential, perplexity.

The ratio is linearised (delta method): the residual of window i is x_i - r w_i, its sum over
clusters gives the standard error. Windows therefore count by their tokens, and windows of one
document are not taken as independent.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from qbench.stats.clusters import t_quantile, total_spread
from qbench.stats.proportions import Interval


def ratio_interval(
    numerators: ArrayLike,
    denominators: ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Interval:
    """Ratio of two sums with a delta-method interval.

    Parameters
    ----------
    numerators, denominators
        (n,) finite; the denominators sum to more than zero.
    clusters
        (n,) labels; None when observations are independent.
    level
        Coverage, e.g. 0.95.

    Returns
    -------
    Interval
        ``sum(numerators) / sum(denominators)``; no bounds with fewer than two clusters.
    """
    x = np.asarray(numerators, dtype=np.float64)
    w = np.asarray(denominators, dtype=np.float64)
    if x.shape != w.shape:
        raise ValueError(f"{x.size} numerators but {w.size} denominators")
    weight = math.fsum(w.tolist())
    if not weight > 0.0:
        raise ValueError("the denominators of a ratio must sum to more than zero")
    value = math.fsum(x.tolist()) / weight
    spread = total_spread(x - value * w, clusters)
    if spread.n_clusters < 2:
        return Interval(value, None, None, "none: one cluster")
    half = t_quantile(level, spread.n_clusters) * spread.se / weight
    method = "delta-t" if spread.singletons else "cluster-delta-t"
    return Interval(value, value - half, value + half, method)


def exp_ratio_interval(
    numerators: ArrayLike,
    denominators: ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Interval:
    """Exponential of a ratio of sums (perplexity); the interval is built in log space.

    Parameters
    ----------
    numerators, denominators
        (n,) nats and tokens of each window.
    clusters
        (n,) labels; None when windows are independent.
    level
        Coverage, e.g. 0.95.

    Returns
    -------
    Interval
        ``exp(sum(numerators) / sum(denominators))``; infinite when the exponential overflows.
    """
    log = ratio_interval(numerators, denominators, clusters, level)
    low = None if log.low is None else _exp(log.low)
    high = None if log.high is None else _exp(log.high)
    return Interval(_exp(log.value), low, high, log.method)


def _exp(x: float) -> float:
    """Exponential that overflows to infinity instead of raising."""
    return math.exp(x) if x < 709.0 else math.inf
