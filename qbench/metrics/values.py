"""What a metric is, as data: which parts of the items are summed, and what is done with the sums.

A task lists its metrics as ``MetricDef``; whoever adds intervals and paired comparisons works from
that table and the item rows alone. This file must not know statistics: it gives point values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from qbench.metrics.perplexity import perplexity

KINDS = ("mean", "ratio", "exp-ratio")


@dataclass(frozen=True)
class MetricDef:
    """How a metric follows from the parts of the items.

    ``mean``: mean of the part ``numerator``. ``ratio``: sum of ``numerator`` over sum of
    ``denominator``. ``exp-ratio``: the exponential of that ratio, as in perplexity.
    ``by_stratum`` asks for the subsets of ``Task.subsets`` as well. ``of_model`` False marks a
    figure of the data alone, such as a majority baseline: there is nothing in it to compare.
    """

    name: str
    kind: str
    numerator: str
    denominator: str | None = None
    higher_is_better: bool = True
    by_stratum: bool = False
    of_model: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"metric {self.name!r}: kind {self.kind!r} is none of {KINDS}")
        if (self.denominator is None) != (self.kind == "mean"):
            raise ValueError(f"metric {self.name!r}: a {self.kind} and {self.denominator!r}")


@dataclass(frozen=True)
class MetricValue:
    """A metric over a set of items, without an interval.

    ``kind`` is that of the MetricDef, ``n`` the number of items that enter, ``value`` None when
    there is none or it is not finite, ``subset`` empty for all items.
    """

    metric: str
    kind: str
    value: float | None
    n: int
    subset: str = ""


def point_value(
    metric: MetricDef, numerators: Iterable[float], denominators: Iterable[float] | None = None
) -> float | None:
    """Value of a metric over items.

    Parameters
    ----------
    metric
        Its definition.
    numerators, denominators
        One number per item; ``denominators`` None stands for ones.

    Returns
    -------
    float or None
        None without items, when the denominators sum to nothing, or on overflow.
    """
    xs = list(numerators)
    weight = float(len(xs)) if denominators is None else math.fsum(denominators)
    if not weight > 0.0:
        return None
    total = math.fsum(xs)
    value = perplexity(total, weight) if metric.kind == "exp-ratio" else total / weight
    return value if math.isfinite(value) else None
