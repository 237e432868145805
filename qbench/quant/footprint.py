"""Bytes that the weights of a model take under a recipe, told before anything is read.

Follows the layout of the core's panels (``csrc/formats/panel.h``): rows in whole panels of 32,
positions of a group in whole units of 16, and a header of scales and zero points for each group.
"""

from __future__ import annotations

import math

from qbench.models import DecoderSpec
from qbench.quant.floats import TYPE_BITS
from qbench.quant.layout import Place, places
from qbench.quant.quantize import STORED_RECIPES
from qbench.quant.recipe import Recipe
from qbench.quant.tensor import n_groups

PANEL_ROWS, UNIT = 32, 16
ZERO_BYTES = 64
NORM_BYTES = 4


def weight_bytes(spec: DecoderSpec, recipe: Recipe) -> int:
    """Bytes of all weights of a model that is loaded under a recipe.

    Parameters
    ----------
    spec
        The decoder; a matrix that the recipe leaves alone counts in its stored type.
    recipe
        One that gives codes, or floats.
    """
    return sum(_bytes(place, STORED_RECIPES[spec.stored_dtype]) for place in places(spec, recipe))


def _bytes(place: Place, stored: str) -> int:
    """Bytes of one tensor."""
    if len(place.shape) == 1:
        return place.shape[0] * NORM_BYTES
    n_out, n_in = place.shape
    panels = -(-n_out // PANEL_ROWS)
    if place.grid is None:
        dtype = place.dtype or stored
        columns = n_in + n_in % 2 if dtype == "bf16" else n_in
        return panels * PANEL_ROWS * columns * TYPE_BITS[dtype] // 8
    group = place.grid.group_for(n_in)
    groups = n_groups(n_in, group)
    last = n_in - group * (groups - 1)
    positions = (groups - 1) * _padded(group) + _padded(last)
    header = PANEL_ROWS * TYPE_BITS[place.grid.scale_type] // 8
    header += 0 if place.grid.symmetric else ZERO_BYTES
    return panels * (groups * header + positions * PANEL_ROWS * place.grid.bits // 8)


def _padded(n: int) -> int:
    """Positions of a group of n inputs."""
    return math.ceil(n / UNIT) * UNIT
