"""Cluster-robust standard errors of totals, the one formula behind every clustered interval here.

An estimate that is linear in its observations (a mean; a ratio after linearisation) has a residual
per observation. Residuals are summed inside a cluster (items that share a passage, windows of one
document), clusters are taken as independent, and the sum of squares is corrected by G / (G - 1)
(CR1 of Liang and Zeger 1986, for one coefficient). With singleton clusters this is s / sqrt(n).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Spread(NamedTuple):
    """Standard error of a total and what it was computed from."""

    se: float
    n_clusters: int
    singletons: bool


def cluster_codes(clusters: Sequence[Hashable] | None, n: int) -> NDArray[np.intp]:
    """Return one small integer per observation, equal inside a cluster; None = all different."""
    if clusters is None:
        return np.arange(n, dtype=np.intp)
    if len(clusters) != n:
        raise ValueError(f"{n} values but {len(clusters)} cluster labels")
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(label, len(seen)) for label in clusters], dtype=np.intp)


def total_spread(residuals: ArrayLike, clusters: Sequence[Hashable] | None = None) -> Spread:
    """Return the standard error of a sum of residuals whose clusters are independent (CR1).

    Parameters
    ----------
    residuals
        (n,) deviations of the observations from the estimate; they sum to about zero.
    clusters
        (n,) labels; None when every observation stands alone.

    Returns
    -------
    Spread
        ``se`` is NaN when there are fewer than two clusters: one cluster shows no spread.
    """
    deviations = np.asarray(residuals, dtype=np.float64)
    codes = cluster_codes(clusters, deviations.size)
    n_clusters = int(codes.max()) + 1 if codes.size else 0
    singletons = n_clusters == deviations.size
    if n_clusters < 2:
        return Spread(math.nan, n_clusters, singletons)
    sums = np.bincount(codes, weights=deviations, minlength=n_clusters)
    square = float(sums @ sums) * n_clusters / (n_clusters - 1)
    return Spread(math.sqrt(square), n_clusters, singletons)


def t_quantile(level: float, n_clusters: int) -> float:
    """Two-sided Student quantile at ``level`` with ``n_clusters - 1`` degrees of freedom."""
    from scipy.special import stdtrit

    if not 0.0 < level < 1.0:
        raise ValueError(f"a level lies between 0 and 1, not at {level}")
    return float(stdtrit(n_clusters - 1, 0.5 + level / 2.0))
