"""Number formats, written for reading: what a stored code means, and how a float is rounded.

The oracle of ``csrc/formats`` and of the activation quantizer. Everything is computed in float64 or
exact integers unless a format itself is narrower. Nothing of qbench is known here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PLANE_TOP = 32512
"""Largest two-plane code, 127 * 256: the one for which both planes fit int8."""

PLANE_SMALLEST = np.float32(2.0**-100)
"""A group whose largest magnitude is below this counts as zeros: 1 / x would overflow."""


def bf16_bits(values: np.ndarray) -> np.ndarray:
    """Round float32 to bfloat16, ties to even.

    Parameters
    ----------
    values
        float32, any shape. NaN stays NaN; what exceeds the range becomes infinity.

    Returns
    -------
    numpy.ndarray
        uint16 bits, same shape.
    """
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16)
    quiet_nan = (bits >> np.uint64(16)) | np.uint64(0x40)
    out = np.where(np.isnan(values), quiet_nan, rounded)
    return np.asarray(out).astype(np.uint16)


def bf16_values(bits: np.ndarray) -> np.ndarray:
    """Turn bfloat16 bits (uint16) into the float32 values they stand for."""
    values: np.ndarray = (np.asarray(bits, np.uint16).astype(np.uint32) << 16).view(np.float32)
    return values


def round_bf16(values: np.ndarray) -> np.ndarray:
    """Round float32 to values that bfloat16 can hold, ties to even; the result is float32."""
    return bf16_values(bf16_bits(values))


def round_f16(values: np.ndarray) -> np.ndarray:
    """Round float32 to values that float16 can hold, ties to even; the result is float32."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32).astype(np.float16).astype(np.float32)


def decode_float(array: np.ndarray, dtype: str) -> np.ndarray:
    """Values of a stored float tensor.

    Parameters
    ----------
    array
        float32 for ``"f32"``, float16 for ``"f16"``, uint16 bits for ``"bf16"``.
    dtype
        One of the three names.

    Returns
    -------
    numpy.ndarray
        float64, same shape.
    """
    values = bf16_values(array) if dtype == "bf16" else array
    return np.asarray(values, np.float64)


def decode_groups(
    codes: np.ndarray, scales: np.ndarray, zeros: np.ndarray | None, *, bits: int, group: int
) -> np.ndarray:
    """Values of a group-quantized matrix: ``scale * (code - zero)``.

    Parameters
    ----------
    codes
        Unsigned integers below ``2**bits``, shape (out, in).
    scales
        Shape (out, n_groups).
    zeros
        Unsigned integers, shape (out, n_groups); None for a symmetric format, whose zero is
        ``2**(bits - 1)``.
    bits
        Width of a code.
    group
        Consecutive inputs that share a scale; the last group of a row may be shorter.

    Returns
    -------
    numpy.ndarray
        float64, shape (out, in).
    """
    which = np.arange(codes.shape[1]) // group
    zero = np.float64(1 << (bits - 1)) if zeros is None else zeros[:, which].astype(np.float64)
    values: np.ndarray = scales[:, which].astype(np.float64) * (codes.astype(np.float64) - zero)
    return values


class Planes(NamedTuple):
    """Activations as two int8 planes: a value is ``(256 * hi + lo) * scale`` of its group."""

    hi: np.ndarray
    lo: np.ndarray
    scale: np.ndarray


def int8_planes(values: np.ndarray, group: int = 128) -> Planes:
    """Quantize activations to the two-plane grid of mode ``faithful``.

    Parameters
    ----------
    values
        float32, shape (n_tokens, n_inputs).
    group
        Consecutive inputs that share a scale; the last group may be shorter.

    Returns
    -------
    Planes
        ``hi`` and ``lo`` int8 of the shape of the values; ``scale`` float32, shape
        (n_tokens, n_groups): the group's largest magnitude divided by 32512, 0 for a group whose
        values are all below 2**-100. Codes are rounded in float32, ties to even.
    """
    values = np.asarray(values, np.float32)
    n_inputs = values.shape[1]
    which = np.arange(n_inputs) // group
    largest = np.maximum.reduceat(np.abs(values), np.arange(0, n_inputs, group), axis=1)
    usable = largest >= PLANE_SMALLEST
    scale = np.where(usable, largest / np.float32(PLANE_TOP), np.float32(0))
    inverse = np.zeros_like(largest)
    np.divide(np.float32(PLANE_TOP), largest, out=inverse, where=usable)
    codes = np.rint(values * inverse[:, which]).astype(np.int32)
    hi = (codes + 128) >> 8
    lo = codes - (hi << 8)
    return Planes(hi.astype(np.int8), lo.astype(np.int8), scale)


def plane_values(planes: Planes, group: int = 128) -> np.ndarray:
    """Values that two int8 planes stand for, float64."""
    which = np.arange(planes.hi.shape[1]) // group
    codes = planes.hi.astype(np.float64) * 256 + planes.lo
    values: np.ndarray = codes * planes.scale[:, which].astype(np.float64)
    return values


def bf16_planes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split float32 into two bfloat16 values whose sum is within 2**-17 of it, relatively.

    Returns
    -------
    tuple of two numpy.ndarray
        float32 arrays that bfloat16 can hold: the rounded value, and the rounded rest.
    """
    values = np.asarray(values, np.float32)
    high = round_bf16(values)
    return high, round_bf16(values - high)
