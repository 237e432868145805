"""Round to nearest: the baseline that needs no calibration, and the control for every other method.

Each group's range becomes a grid of ``2**bits`` levels and each weight takes the nearest one. The
formulas are those of the GPTQ family (quantizer of IST-DASLab/gptq), in float32, with one change:
the scale is rounded up to its storage type first, and zero point and codes are chosen with the
rounded scale, so that the decoder sees the grid that they were chosen for.

Per group, with ``n = 2**bits - 1``:

* asymmetric: ``lo = min(0, min w)``, ``hi = max(0, max w)``, ``s = (hi - lo) / n``,
  ``z = round(-lo / s)``; a group of zeros takes ``lo = -1, hi = 1``;
* symmetric: ``a = max |w|`` (1 for a group of zeros), ``s = 2 a / n``, ``z = 2**(bits - 1)``. The
  positive extreme lies half a step outside the grid and is clipped: that is the family's price for
  a grid that uses every level. (Its special case of groups without negative values, which would
  clip half of their range, is not followed.)
* codes are ``clip(round(w / s) + z, 0, n)``. Rounding is half to even throughout.

A scale is at least the floor of its type (`qbench.quant.floats.SCALE_FLOOR`): weights far below
1e-38 decode to zero or to one step. Weights beyond `LARGEST` are refused, because a level of their
grid may lie beyond float32.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from qbench.errors import NonFiniteError
from qbench.models.checkpoint import Weight
from qbench.quant.floats import as_float32, round_scales_up, row_blocks
from qbench.quant.method import Method, grid_of
from qbench.quant.recipe import Recipe
from qbench.quant.tensor import Grid, QuantizedTensor, n_groups

LARGEST = np.float32(2.0**126)
"""Largest weight: its range (at most 2**127) and every level of its grid are finite."""


class RoundToNearest(Method):
    """``rtn``: no calibration, no error compensation."""

    name: ClassVar[str] = "rtn"

    def quantize(self, weight: Weight, recipe: Recipe, name: str) -> QuantizedTensor:
        """Quantize one matrix; see `Method.quantize`."""
        return round_to_nearest(weight, grid_of(recipe), name)


def round_to_nearest(weight: Weight, grid: Grid, name: str) -> QuantizedTensor:
    """Quantize one matrix to the nearest levels of each group's range.

    Parameters
    ----------
    weight
        Shape ``(out, in)``, finite.
    grid
        Bits, group, symmetry, scale type.
    name
        For errors.

    Raises
    ------
    NonFiniteError
        If a weight is larger than `LARGEST`, or a scale than its storage type can hold (float16
        only); names tensor, row and group.
    """
    n_out, n_in = weight.array.shape
    group = grid.group_for(n_in)
    codes = np.empty((n_out, n_in), dtype=np.uint8)
    scales = np.empty((n_out, n_groups(n_in, group)), dtype=np.float32)
    zeros = None if grid.symmetric else np.empty(scales.shape, dtype=np.uint8)
    whole = n_in // group
    for rows in row_blocks(n_out, n_in):
        values = as_float32(weight.array[rows], weight.dtype)
        for columns, groups in _parts(n_in, group, whole):
            part = values[:, columns].reshape(len(values), groups.stop - groups.start, -1)
            low, high = _range(part, grid)
            place = rows.start, groups.start
            _refuse(np.maximum(-low, high) > LARGEST, place, name, "holds weights beyond 8.5e37")
            scale = _scales(low, high, grid)
            _refuse(np.isinf(scale), place, name, "has a scale beyond float16; use {scale=bf16}")
            scales[rows, groups] = scale
            zero = _zeros(low, scale, grid)
            if zeros is not None:
                zeros[rows, groups] = zero
            codes[rows, columns] = _codes(part, scale, zero, grid).reshape(len(values), -1)
    return QuantizedTensor(codes, scales, zeros, grid.bits, group, grid.scale_type)


def _parts(n_in: int, group: int, whole: int) -> list[tuple[slice, slice]]:
    """Columns and groups of the whole groups of a row, and of the shorter one at its end."""
    parts = [(slice(0, whole * group), slice(0, whole))]
    if whole * group < n_in:
        parts.append((slice(whole * group, n_in), slice(whole, whole + 1)))
    return parts


def _range(part: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the range of each group of ``(rows, groups, inputs)``, zero included."""
    low = np.minimum(part.min(axis=2), np.float32(0))
    high = np.maximum(part.max(axis=2), np.float32(0))
    if grid.symmetric:
        high = np.maximum(-low, high)
        low = -high
    empty = high == low
    low[empty], high[empty] = -1, 1
    return low, high


def _scales(low: np.ndarray, high: np.ndarray, grid: Grid) -> np.ndarray:
    """Scale of each group, rounded up to its storage type."""
    steps = np.float32((1 << grid.bits) - 1)
    return round_scales_up((high - low) / steps, grid.scale_type)


def _refuse(bad: np.ndarray, first: tuple[int, int], name: str, what: str) -> None:
    """Name the first bad group of a block that begins at row and group ``first``."""
    if bad.any():
        row, group = (int(index[0]) for index in np.nonzero(bad))
        raise NonFiniteError(
            f"tensor {name}: row {first[0] + row}, group {first[1] + group} {what}"
        )


def _zeros(low: np.ndarray, scale: np.ndarray, grid: Grid) -> np.ndarray:
    """Zero point of each group, float32 with whole values."""
    if grid.symmetric:
        return np.full(scale.shape, 1 << (grid.bits - 1), dtype=np.float32)
    zeros: np.ndarray = np.clip(np.rint(-low / scale), 0, (1 << grid.bits) - 1)
    return zeros


def _codes(part: np.ndarray, scale: np.ndarray, zero: np.ndarray, grid: Grid) -> np.ndarray:
    """Nearest level of each weight, uint8."""
    levels: np.ndarray = part / scale[:, :, None]
    np.rint(levels, out=levels)
    levels += zero[:, :, None]
    np.clip(levels, 0, (1 << grid.bits) - 1, out=levels)
    return levels.astype(np.uint8)
