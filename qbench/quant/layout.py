"""How the tensors of a quantized model are named, typed and shaped in its file.

A quantized matrix ``x`` of shape ``(out, in)`` is stored as ``x.codes`` (U8, rows of packed bits),
``x.scales`` (``(out, n_groups)`` in the scale type) and, unless its codes are symmetric,
``x.zeros`` (U8, rows of packed bits). All other tensors keep name, type and shape. Which matrices
are quantized, and to which grid, follows from specification and recipe alone, so a file cannot
contradict its recipe unseen.
"""

from __future__ import annotations

from typing import NamedTuple

from qbench.models import LINEAR_SLOTS, DecoderSpec, tensor_slots
from qbench.quant.method import grid_of, head_grid
from qbench.quant.model import HEAD
from qbench.quant.recipe import Recipe
from qbench.quant.tensor import Grid

QUANT_METHOD = "qbench"
VERSION = 1
STORED_TYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16"}
"""Type names of safetensors."""


class Place(NamedTuple):
    """What the file holds for one tensor: its shape, and its grid or its float type.

    Both are None for a float tensor that keeps whatever type it was stored in.
    """

    name: str
    shape: tuple[int, ...]
    grid: Grid | None
    dtype: str | None


def places(spec: DecoderSpec, recipe: Recipe) -> list[Place]:
    """List the tensors of a model under a recipe, in the order of the forward pass."""
    found = []
    for slot in tensor_slots(spec):
        grid, dtype = None, None
        if slot.slot == "head" and recipe.head_bits is not None:
            grid = head_grid(recipe)
        elif recipe.is_dense:
            dtype = None if slot.is_vector else recipe.method
        elif slot.slot in LINEAR_SLOTS:
            grid = grid_of(recipe)
        found.append(Place(slot.name, slot.shape, grid, dtype))
    if spec.tied_head and recipe.head_bits is not None:
        shape = (spec.vocab_size, spec.hidden_size)
        found.append(Place(HEAD, shape, head_grid(recipe), None))
    return found


def is_plain(recipe: Recipe) -> bool:
    """Whether a model under the recipe is an ordinary float checkpoint, to be saved as one."""
    return recipe.is_dense and recipe.head_bits is None and recipe.kv_bits is None
