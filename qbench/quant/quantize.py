"""Apply a recipe to one matrix or to a whole checkpoint.

The walk over a checkpoint decides which tensors a recipe touches; the methods decide how. Every
float is checked before anything is quantized, because codes would hide a NaN. It must not know how
a method works or where the result goes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qbench.errors import RecipeError, RequestError
from qbench.models import LINEAR_SLOTS, DecoderSpec, TensorSlot, tensor_slots
from qbench.models.checkpoint import Checkpoint, MemoryCheckpoint, Weight, check_finite
from qbench.models.reading import check_all_finite, check_tensors, fitting, read_slot
from qbench.quant.floats import convert
from qbench.quant.method import head_grid
from qbench.quant.methods import METHODS
from qbench.quant.model import HEAD, QuantizedModel
from qbench.quant.packed import PackedMatrix
from qbench.quant.recipe import Recipe, require_available
from qbench.quant.rtn import round_to_nearest
from qbench.quant.tensor import QuantizedTensor

Progress = Callable[[int, int], None]
"""Called with the weights done so far and those there are."""

STORED_RECIPES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
"""Recipe that leaves a checkpoint of a stored type as it is."""


def stored_recipe(spec: DecoderSpec) -> Recipe:
    """Recipe of a float checkpoint for which none is given: its stored type."""
    return Recipe.parse(STORED_RECIPES[spec.stored_dtype])


def quantize_tensor(
    weight: np.ndarray | Weight, recipe: Recipe | str, name: str = "weight"
) -> QuantizedTensor:
    """Quantize one matrix.

    Parameters
    ----------
    weight
        float32 or float16 of shape ``(out, in)``, or a `Weight`.
    recipe
        A recipe of a method that gives codes.
    name
        Name of the tensor, for errors.

    Raises
    ------
    RecipeError
        If the recipe does not parse, is not there yet, or leaves weights alone.
    RequestError
        If the weight is no matrix of floats.
    NonFiniteError
        Naming row and column of a NaN or infinity.
    """
    recipe = Recipe.parse(recipe) if isinstance(recipe, str) else recipe
    require_available(recipe)
    if recipe.method not in METHODS:
        raise RecipeError(f"the recipe {recipe.canonical} gives no codes; use {_with_codes()}")
    if not isinstance(weight, Weight):
        types = {np.dtype(np.float32): "f32", np.dtype(np.float16): "f16"}
        if not isinstance(weight, np.ndarray) or weight.dtype not in types:
            found = weight.dtype if isinstance(weight, np.ndarray) else type(weight).__name__
            raise RequestError(f"tensor {name}: expected a float32 array, found {found}")
        weight = Weight(weight, types[weight.dtype])
    if weight.array.ndim != 2 or 0 in weight.array.shape:
        raise RequestError(
            f"tensor {name}: expected a matrix (out, in), found shape {weight.array.shape}"
        )
    check_finite(weight, name)
    return METHODS.get(recipe.method).quantize(weight, recipe, name)


def quantize_checkpoint(
    checkpoint: Checkpoint | MemoryCheckpoint,
    spec: DecoderSpec,
    recipe: Recipe | str | None,
    on_progress: Progress | None = None,
    *,
    packed: bool = False,
) -> QuantizedModel:
    """Apply a recipe to the tensors of a float checkpoint.

    Parameters
    ----------
    checkpoint
        Tensors by name; what is not changed stays a view of it.
    spec
        The decoder that the checkpoint holds.
    recipe
        Linears follow it; embedding and head stay in their stored type unless it is one of the
        unquantized recipes, which convert them too. Norms are never changed. None keeps the stored
        type.
    on_progress
        Called after each tensor with weights done and weights in all.
    packed
        Whether to pack each matrix at once, so that its codes are held in the panels alone.

    Raises
    ------
    RecipeError
        If the recipe does not parse or is not there yet, or asks for a quantized checkpoint.
    CheckpointError
        If a tensor is missing or has another shape or type than the specification asks for.
    NonFiniteError
        Naming tensor, row and column of a NaN or infinity, or of a value that the recipe's type
        cannot hold.
    """
    spec = fitting(spec, checkpoint)
    recipe = _resolve(recipe, spec)
    check_tensors(spec, checkpoint)
    slots = tensor_slots(spec)
    check_all_finite(checkpoint, slots)
    total = sum(slot.size for slot in slots)
    done = 0
    tensors: dict[str, QuantizedTensor | PackedMatrix | Weight] = {}
    for slot in slots:
        tensor = _apply(recipe, slot, read_slot(checkpoint, slot))
        tensors[slot.name] = pack_codes(tensor) if packed else tensor
        done += slot.size
        if on_progress is not None:
            on_progress(done, total)
    if spec.tied_head and recipe.head_bits is not None:
        embedding = next(slot.name for slot in slots if slot.slot == "embedding")
        head = round_to_nearest(checkpoint.read(embedding), head_grid(recipe), HEAD)
        tensors[HEAD] = pack_codes(head) if packed else head
    return QuantizedModel(spec, recipe, tensors)


def pack_codes(tensor: QuantizedTensor | Weight) -> PackedMatrix | Weight:
    """Pack a matrix of codes; floats stay as they are."""
    return tensor if isinstance(tensor, Weight) else PackedMatrix.of(tensor)


def _resolve(recipe: Recipe | str | None, spec: DecoderSpec) -> Recipe:
    """Return the recipe that is meant, if it can be applied to floats."""
    if recipe is None:
        return stored_recipe(spec)
    recipe = Recipe.parse(recipe) if isinstance(recipe, str) else recipe
    require_available(recipe)
    if recipe.method == "as-is":
        raise RecipeError(
            f"the recipe as-is needs a checkpoint that is already quantized, this one holds "
            f"{spec.stored_dtype}; use {STORED_RECIPES[spec.stored_dtype]} or {_with_codes()}"
        )
    return recipe


def _apply(recipe: Recipe, slot: TensorSlot, weight: Weight) -> QuantizedTensor | Weight:
    """Do to one tensor what the recipe says of its slot."""
    if slot.slot == "head" and recipe.head_bits is not None:
        return round_to_nearest(weight, head_grid(recipe), slot.name)
    if recipe.is_dense:
        return weight if slot.is_vector else convert(weight, recipe.method, slot.name)
    if slot.slot in LINEAR_SLOTS:
        return METHODS.get(recipe.method).quantize(weight, recipe, slot.name)
    return weight


def _with_codes() -> str:
    """Example of each method that gives codes, for errors."""
    return ", ".join(f"{name}-w4" for name in METHODS)
