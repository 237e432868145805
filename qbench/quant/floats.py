"""Conversions between the float types of weights and scales, rounding stated for each.

float32 to float16 and bfloat16 rounds to nearest even. bfloat16 has no NumPy type here: it is the
uint16 array of its bits. Everything works on blocks of rows, so that no whole tensor is copied in
float32. It must not know about groups or codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from qbench.errors import NonFiniteError
from qbench.models.checkpoint import Weight, as_float32, bf16_to_f32

__all__ = ["as_float32", "bf16_to_f32", "convert", "f32_to_bf16", "narrow_scales", "row_blocks"]

TYPE_BITS = {"f32": 32, "f16": 16, "bf16": 16}
ARRAY_DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<f2"),
    "bf16": np.dtype("<u2"),
}

BLOCK_VALUES = 1 << 18
"""Values per block of rows: one float32 copy of it (1 MiB) stays in a core's cache."""


def row_blocks(n_rows: int, row_length: int) -> Iterator[slice]:
    """Cut rows into consecutive blocks of about `BLOCK_VALUES` values, at least one row each."""
    step = max(1, BLOCK_VALUES // max(1, row_length))
    for first in range(0, n_rows, step):
        yield slice(first, min(first + step, n_rows))


def f32_to_bf16(values: np.ndarray) -> np.ndarray:
    """Round finite float32 to bfloat16 bits (uint16), to nearest even; too large gives infinity."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)


def narrow_scales(scales: np.ndarray, scale_type: str) -> np.ndarray:
    """Store scales that are representable in their type: bits for bfloat16, else floats."""
    if scale_type == "bf16":
        return f32_to_bf16(scales)
    return scales.astype(ARRAY_DTYPES[scale_type])


def convert(weight: Weight, dtype: str, name: str) -> Weight:
    """Convert a finite tensor to another float type, to nearest even.

    Parameters
    ----------
    weight
        Any shape. It comes back as it is where it has the type already.
    dtype
        ``"f32"``, ``"f16"`` or ``"bf16"``.
    name
        For errors.

    Raises
    ------
    NonFiniteError
        If a value exceeds the largest number of the type.
    """
    if weight.dtype == dtype:
        return weight
    rows = weight.array.reshape(-1, weight.array.shape[-1])
    out = np.empty(rows.shape, dtype=ARRAY_DTYPES[dtype])
    for block in row_blocks(*rows.shape):
        values = as_float32(rows[block], weight.dtype)
        if dtype == "bf16":
            out[block] = f32_to_bf16(values)
        else:
            with np.errstate(over="ignore"):
                out[block] = values.astype(out.dtype)
        _check_overflow(out[block], dtype, values, block.start, name)
    return Weight(out.reshape(weight.array.shape), dtype)


def _check_overflow(
    converted: np.ndarray, dtype: str, values: np.ndarray, first_row: int, name: str
) -> None:
    """Refuse a value that became infinite."""
    infinite = ~np.isfinite(as_float32(converted, dtype))
    if infinite.any():
        row, column = (int(index[0]) for index in np.nonzero(infinite))
        raise NonFiniteError(
            f"tensor {name}: {values[row, column]:g} at row {first_row + row}, column {column} "
            f"exceeds the range of {dtype}; use the recipe "
            f"{'bf16 or f32' if dtype == 'f16' else 'f32'}"
        )
