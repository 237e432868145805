"""Axes of a small chart: where data lies in pixels, and which tick marks a reader expects there.

Pure arithmetic on floats; knows nothing of results, colours or SVG.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_NICE = (1.0, 2.0, 5.0, 10.0)
# A logarithmic axis shows 1-2-5 marks if at least three of them fit, else equal steps;
# where these would crowd, powers of ten alone.
_MIN_LOG_TICKS = 3


@dataclass(frozen=True)
class Axis:
    """A map from data to pixels: linear or logarithmic, and in either direction.

    Attributes
    ----------
    low, high
        Data range, low < high; both positive if `log`.
    start, end
        Pixels of `low` and `high`; end < start for an axis that points up.
    log
        Whether equal ratios take equal lengths.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return the pixel of a value; one outside the range is moved to the nearer end."""
        inside = min(max(value, self.low), self.high)
        if self.log:
            part = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            part = (inside - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self, target: int = 5) -> tuple[float, ...]:
        """Return about `target` round values inside the range, ascending."""
        if self.log:
            marks = _log_marks(self.low, self.high, _NICE[:3])
            if len(marks) > target + 2:
                decades = _log_marks(self.low, self.high, (1.0,))
                return decades[:: math.ceil(len(decades) / (target + 2))]
            if len(marks) >= _MIN_LOG_TICKS:
                return marks
        return _linear_marks(self.low, self.high, target)


def fit(
    values: Iterable[float], start: float, end: float, *, log: bool = False, margin: float = 0.08
) -> Axis:
    """Fit an axis around values, with a margin on both sides.

    Parameters
    ----------
    values
        At least one finite value; positive ones if `log`.
    start, end
        Pixels of the lower and the upper end.
    log
        Logarithmic axis.
    margin
        Share of the range that is added on each side. A single value gets 5 % on each side.

    Returns
    -------
    Axis
        An axis on which every value lies strictly inside.
    """
    known = list(values)
    low, high = min(known), max(known)
    if log:
        low, high = math.log(low), math.log(high)
    span = high - low
    pad = span * margin if span > 0 else max(abs(low) * 0.05, 0.05)
    low, high = low - pad, high + pad
    if log:
        low, high = math.exp(low), math.exp(high)
    return Axis(low, high, start, end, log)


def number(value: float) -> str:
    """Write an axis value briefly: 0.25, 3, 2k, 100k, 5M; an exponent beyond these."""
    if abs(value) >= 1e3:
        for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= unit and abs(value) < 1e12:
                return f"{round(value / unit, 6):g}{letter}"
        return f"{value:.2g}"
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.2g}"
    return f"{round(value, 6):g}"


def _log_marks(low: float, high: float, digits: tuple[float, ...]) -> tuple[float, ...]:
    """All multiples of powers of ten by the given digits, between two positive numbers."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    marks = (digit * 10.0**e for e in range(first, last + 1) for digit in digits)
    return tuple(mark for mark in marks if low <= mark <= high)


def _linear_marks(low: float, high: float, target: int) -> tuple[float, ...]:
    """Multiples of a round step between two numbers, about `target` of them."""
    raw = (high - low) / max(target, 1)
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(nice * scale for nice in _NICE if nice * scale >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(k * step for k in range(first, last + 1))
