"""How far log-perplexity and a score go together: over all points, and within models.

A pooled correlation mixes two things: bigger models are better at both, and quantization hurts
both. Within models, each variable is centred (for Spearman: ranked and centred) per model, which
leaves only what the recipes do. Both are given, since they can differ in sign (Simpson's paradox).
Intervals are Fisher's, with Bonett and Wright's (2000) variance for Spearman; they take points as
independent, which points of one model are not, so they are a lower bound on the doubt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from qbench.analysis.frame import Point

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Correlation:
    """One coefficient; ``r`` is None where there is none, and ``reason`` says why.

    ``scope`` is ``pooled`` or ``within``, ``method`` ``pearson`` or ``spearman``.
    """

    perplexity_task: str
    perplexity_metric: str
    task: str
    metric: str
    scope: str
    method: str
    r: float | None
    low: float | None
    high: float | None
    n: int
    n_models: int
    reason: str


def correlations(points: Iterable[Point], level: float = 0.95) -> list[Correlation]:
    """Correlate log-perplexity with each score, pooled and within models.

    Parameters
    ----------
    points
        From ``perplexity_points``.
    level
        Of the intervals.

    Returns
    -------
    list of Correlation
        Four per pair of perplexity task and score: pooled and within, Pearson and Spearman.
    """
    groups: dict[tuple[str, str, str, str], list[Point]] = {}
    for point in points:
        pair = (point.perplexity_task, point.perplexity_metric, point.task, point.metric)
        groups.setdefault(pair, []).append(point)
    return [
        _correlate(pair, group, scope, method, level)
        for pair, group in groups.items()
        for scope in ("pooled", "within")
        for method in ("pearson", "spearman")
    ]


def _correlate(
    pair: tuple[str, str, str, str], points: Sequence[Point], scope: str, method: str, level: float
) -> Correlation:
    """Compute one coefficient with its interval."""
    x = np.array([point.log_perplexity for point in points])
    y = np.array([point.score for point in points])
    models = [point.model for point in points]
    n_models = len(set(models))
    within = scope == "within"
    groups = models if within else [""] * len(points)
    if method == "spearman":
        x, y = _per_group(x, groups, _ranks), _per_group(y, groups, _ranks)
    x, y = _per_group(x, groups, _centred), _per_group(y, groups, _centred)
    free = len(points) - (n_models if within else 1)
    r, reason = _pearson(x, y, free)
    low, high = (None, None) if r is None else _fisher(r, free + 1, method, level)
    return Correlation(*pair, scope, method, r, low, high, len(points), n_models, reason)


def _pearson(x: Vector, y: Vector, free: int) -> tuple[float | None, str]:
    """Correlation of centred values, or the reason why there is none."""
    if free < 2:
        return None, "too few points"
    size = math.sqrt(float(x @ x) * float(y @ y))
    # A spread that is rounding error of the centring is no spread.
    if size <= 1e-12 * x.size:
        return None, "no spread"
    return max(-1.0, min(1.0, float(x @ y) / size)), ""


def _fisher(r: float, n: int, method: str, level: float) -> tuple[float | None, float | None]:
    """Interval of a correlation by Fisher's transform; none below four points."""
    if n < 4:
        return None, None
    if abs(r) == 1.0:
        return r, r
    variance = (1.0 + r * r / 2.0 if method == "spearman" else 1.0) / (n - 3)
    half = NormalDist().inv_cdf(0.5 + level / 2.0) * math.sqrt(variance)
    z = math.atanh(r)
    return math.tanh(z - half), math.tanh(z + half)


def _per_group(values: Vector, groups: Sequence[str], change: Callable[[Vector], Vector]) -> Vector:
    """Apply a change to the values of each group."""
    labels = np.array(groups)
    changed = np.empty_like(values)
    for label in set(groups):
        here = labels == label
        changed[here] = change(values[here])
    return changed


def _centred(values: Vector) -> Vector:
    """Deviations from the mean."""
    deviations: Vector = values - values.mean()
    return deviations


def _ranks(values: Vector) -> Vector:
    """Ranks from 1, ties sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Vector = (last - (counts - 1) / 2.0)[inverse]
    return ranks
