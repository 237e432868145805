"""Round to nearest, one weight at a time, in exact rationals rounded where float32 rounds.

Written from the definitions alone: no NumPy arithmetic, no bit tricks, nothing of qbench.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

FORMATS = {"f32": (24, -126), "bf16": (8, -126), "f16": (11, -14)}
"""Bits of the significand and exponent of the least normal number."""

FLOORS = {
    "f32": Fraction(1, 2**126),
    "bf16": Fraction(1, 2**126),
    "f16": Fraction(1, 2**24),
}


def round_to_format(value: Fraction, kind: str, up: bool = False) -> Fraction:
    """Nearest number of a format, ties to even, or the least that is not below a positive value."""
    precision, least_exponent = FORMATS[kind]
    if value == 0:
        return Fraction(0)
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** exponent > size:
        exponent -= 1
    step = Fraction(2) ** (max(exponent, least_exponent) - precision + 1)
    count = value / step
    return step * (-((-count.numerator) // count.denominator) if up else round(count))


def f32(value: Fraction) -> Fraction:
    """Round to float32."""
    return round_to_format(value, "f32")


def quantize_group(
    weights: Sequence[float], bits: int, symmetric: bool, scale_type: str
) -> tuple[list[int], Fraction, int]:
    """Codes, scale and zero point of one group."""
    exact = [Fraction(weight) for weight in weights]
    low, high = min(0, *exact), max(0, *exact)
    if symmetric:
        high = max(-low, high)
        low = -high
    if low == high:
        low, high = Fraction(-1), Fraction(1)
    steps = 2**bits - 1
    scale = f32(f32(high - low) / steps)
    scale = round_to_format(max(scale, FLOORS[scale_type]), scale_type, up=True)
    zero = 2 ** (bits - 1) if symmetric else min(max(round(f32(-low / scale)), 0), steps)
    codes = [min(max(round(f32(weight / scale)) + zero, 0), steps) for weight in exact]
    return codes, scale, zero
