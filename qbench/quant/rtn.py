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

A scale is at least the floor of its type (the least normal number of float32 and bfloat16, the
least number of float16): weights far below 1e-38 decode to zero or to one step. Weights beyond
2**126 are refused, because a level of their grid may lie beyond float32.

The loops stand in ``csrc/ops/round_nearest.c``.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from qbench import core
from qbench.errors import NonFiniteError
from qbench.models.checkpoint import Weight
from qbench.quant.method import Method, grid_of
from qbench.quant.recipe import Recipe
from qbench.quant.tensor import Grid, QuantizedTensor


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
        If a weight is larger than 2**126, or a scale than its storage type can hold (float16
        only); names tensor, row and group.
    """
    group = grid.group_for(weight.array.shape[1])
    codes, scales, zeros = core.round_nearest(
        weight.array,
        weight.dtype,
        bits=grid.bits,
        group=group,
        symmetric=grid.symmetric,
        scale_type=grid.scale_type,
    )
    bad = ~np.isfinite(scales)
    if bad.any():
        row, index = (int(places[0]) for places in np.nonzero(bad))
        what = "has a scale beyond float16; use {scale=bf16}"
        if np.isnan(scales[row, index]):
            what = "holds weights beyond 8.5e37"
        raise NonFiniteError(f"tensor {name}: row {row}, group {index} {what}")
    return QuantizedTensor(codes, scales, zeros, grid.bits, group, grid.scale_type)
