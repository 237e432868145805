"""Intervals of one proportion, and of the difference of two proportions on the same items.

Choice (Bowyer et al., arXiv 2503.01747: normal intervals are too narrow below a few hundred items):
Clopper-Pearson below 300 observations, which never covers less than it says, and Wilson from 300
on, where it is as good and narrower. Both stay inside [0, 1] and are not empty at 0 or n hits.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

EXACT_BELOW = 300


class Interval(NamedTuple):
    """An estimate with its two-sided interval; low and high are None where none can be stated."""

    value: float
    low: float | None
    high: float | None
    method: str


def _check(k: int, n: int, level: float) -> None:
    """Refuse counts that are no proportion."""
    if n <= 0 or not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is no proportion")
    if not 0.0 < level < 1.0:
        raise ValueError(f"a level lies between 0 and 1, not at {level}")


def wilson(k: int, n: int, level: float = 0.95) -> Interval:
    """Score interval of a proportion (Wilson 1927), without continuity correction.

    Parameters
    ----------
    k, n
        Hits and observations, ``0 <= k <= n``, ``n >= 1``.
    level
        Coverage, e.g. 0.95.

    Returns
    -------
    Interval
        Value ``k / n``; bounds inside [0, 1].
    """
    _check(k, n, level)
    z = NormalDist().inv_cdf(0.5 + level / 2.0)
    p = k / n
    scale = 1.0 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if k == 0 else max(0.0, centre - half)
    high = 1.0 if k == n else min(1.0, centre + half)
    return Interval(p, low, high, "wilson")


def clopper_pearson(k: int, n: int, level: float = 0.95) -> Interval:
    """Exact interval of a proportion (Clopper and Pearson 1934); covers at least ``level``.

    Parameters
    ----------
    k, n
        Hits and observations, ``0 <= k <= n``, ``n >= 1``.
    level
        Coverage, e.g. 0.95.

    Returns
    -------
    Interval
        Value ``k / n``; bounds are quantiles of Beta(k, n-k+1) and Beta(k+1, n-k).
    """
    from scipy.special import betaincinv

    _check(k, n, level)
    tail = (1.0 - level) / 2.0
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
    high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1.0 - tail))
    return Interval(k / n, low, high, "clopper-pearson")


def proportion_interval(k: int, n: int, level: float = 0.95) -> Interval:
    """Clopper-Pearson below 300 observations, Wilson from there on."""
    return clopper_pearson(k, n, level) if n < EXACT_BELOW else wilson(k, n, level)


def paired_proportion_interval(
    lost: float, gained: float, n: float, level: float = 0.95
) -> Interval:
    """Interval of a difference of proportions on the same items (Bonett and Price 2012).

    One pseudo-item is added to each discordant count, so that no discordant pair at all still gives
    an interval of honest width instead of [0, 0].

    Parameters
    ----------
    lost, gained
        Items right only before, right only after.
    n
        Pairs, concordant ones included.
    level
        Coverage, e.g. 0.95.

    Returns
    -------
    Interval
        Value ``(gained - lost) / n``; bounds inside [-1, 1].
    """
    if n <= 0 or lost < 0 or gained < 0 or lost + gained > n:
        raise ValueError(f"{lost} lost and {gained} gained do not fit {n} pairs")
    z = NormalDist().inv_cdf(0.5 + level / 2.0)
    p_lost, p_gained = (lost + 1) / (n + 2), (gained + 1) / (n + 2)
    centre = p_gained - p_lost
    half = z * math.sqrt((p_lost + p_gained - centre * centre) / (n + 2))
    value = (gained - lost) / n
    return Interval(value, max(-1.0, centre - half), min(1.0, centre + half), "bonett-price")
