"""Read a saved model back, and refuse whatever it cannot have been saved as.

Names, shapes and types of all tensors follow from specification and recipe; each code, scale and
zero point is checked. It must not run or pack anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qbench.errors import CheckpointError, FormatError, RecipeError
from qbench.models.checkpoint import Checkpoint, Weight, check_finite
from qbench.models.config import decoder_spec, read_config
from qbench.models.slots import fitting_variant
from qbench.models.spec import DecoderSpec
from qbench.models.strict_json import Fields
from qbench.quant.bits import packed_width, unpack_rows
from qbench.quant.floats import as_float32
from qbench.quant.layout import QUANT_METHOD, STORED_TYPES, VERSION, Place, places
from qbench.quant.model import QuantizedModel
from qbench.quant.packed import PackedMatrix
from qbench.quant.quantize import pack_codes, quantize_checkpoint
from qbench.quant.recipe import Recipe, available_methods
from qbench.quant.tensor import Grid, QuantizedTensor, n_groups


def is_quantized(config: Mapping[str, Any]) -> bool:
    """Whether a configuration belongs to a model that qbench has quantized and saved."""
    found = config.get("quantization_config")
    return isinstance(found, dict) and found.get("quant_method") == QUANT_METHOD


def load_quantized(folder: Path | str, *, packed: bool = False) -> QuantizedModel:
    """Load a model that `qbench.quant.saving.save_quantized` wrote.

    Parameters
    ----------
    folder
        A folder whose ``config.json`` has a ``quantization_config`` of qbench. A float checkpoint
        without one is read under the recipe of its stored type, because that is how an unquantized
        model is saved.

    Returns
    -------
    QuantizedModel
        Bit for bit the one that was saved.

    Raises
    ------
    CheckpointError
        If a file is missing or broken, was written by another version, or contradicts its recipe.
    NonFiniteError
        If a float tensor holds NaN or infinity.
    """
    folder = Path(folder)
    config = read_config(folder)
    where = str(folder / "config.json")
    spec = decoder_spec(config, where)
    checkpoint = Checkpoint.open(folder)
    try:
        if not is_quantized(config):
            return quantize_checkpoint(checkpoint, spec, None, packed=packed)
        return _read(checkpoint, spec, saved_recipe(config, where), packed)
    finally:
        checkpoint.close()


def saved_recipe(config: Mapping[str, Any], where: str) -> Recipe:
    """Recipe that a configuration records."""
    fields = Fields(config["quantization_config"], f"{where}: quantization_config")
    version = fields.integer("version", 1, 1 << 30)
    if version != VERSION:
        raise CheckpointError(
            f"{where}: the model was saved in version {version} of the format, this qbench reads "
            f"version {VERSION}; install a newer one or quantize again"
        )
    text = fields.string("recipe")
    try:
        recipe = Recipe.parse(text)
    except RecipeError as error:
        raise CheckpointError(f"{where}: quantization_config: {error}") from None
    if recipe.method not in available_methods() or recipe.method == "as-is":
        raise CheckpointError(
            f"{where}: this qbench does not know the method of the recipe {text!r}; there are: "
            + ", ".join(name for name in available_methods() if name != "as-is")
        )
    return recipe


def _read(
    checkpoint: Checkpoint, spec: DecoderSpec, recipe: Recipe, packed: bool
) -> QuantizedModel:
    """Read every tensor of the recipe, and find no other."""
    spec = fitting_variant(spec, checkpoint.has)
    expected = places(spec, recipe)
    _check_names(checkpoint, expected, recipe)
    tensors: dict[str, QuantizedTensor | PackedMatrix | Weight] = {}
    for place in expected:
        if place.grid is None:
            tensors[place.name] = _read_dense(checkpoint, place)
        else:
            tensor = _read_quantized(checkpoint, place, place.grid)
            tensors[place.name] = pack_codes(tensor) if packed else tensor
    return QuantizedModel(spec, recipe, tensors)


def _parts(place: Place) -> list[str]:
    """Names that one place has in the file."""
    if place.grid is None:
        return [place.name]
    kinds = ("codes", "scales") if place.grid.symmetric else ("codes", "scales", "zeros")
    return [f"{place.name}.{kind}" for kind in kinds]


def _check_names(checkpoint: Checkpoint, expected: list[Place], recipe: Recipe) -> None:
    """Require exactly the tensors of the recipe."""
    wanted = {name for place in expected for name in _parts(place)}
    for name in sorted(wanted - set(checkpoint.names)):
        raise CheckpointError(
            f"{checkpoint.folder}: the tensor {name} is missing, which the recipe {recipe} needs"
        )
    for name in sorted(set(checkpoint.names) - wanted):
        raise CheckpointError(
            f"{checkpoint.folder}: the tensor {name!r:.80} does not belong to the recipe {recipe}"
        )


def _read_dense(checkpoint: Checkpoint, place: Place) -> Weight:
    """Read a float tensor."""
    dtypes = STORED_TYPES.values() if place.dtype is None else [STORED_TYPES[place.dtype]]
    _check_stored(checkpoint, place.name, place.shape, list(dtypes))
    weight = checkpoint.read(place.name)
    check_finite(weight, place.name)
    return weight


def _read_quantized(checkpoint: Checkpoint, place: Place, grid: Grid) -> QuantizedTensor:
    """Read codes, scales and zero points of one matrix."""
    n_out, n_in = place.shape
    group = grid.group_for(n_in)
    shape = (n_out, n_groups(n_in, group))
    scales_name = f"{place.name}.scales"
    _check_stored(checkpoint, scales_name, shape, [STORED_TYPES[grid.scale_type]])
    scales = as_float32(checkpoint.read_raw(scales_name), grid.scale_type)
    codes = _read_codes(checkpoint, f"{place.name}.codes", place.shape, grid.bits)
    zeros = None
    if not grid.symmetric:
        zeros = _read_codes(checkpoint, f"{place.name}.zeros", shape, grid.bits)
    tensor = QuantizedTensor(codes, scales, zeros, grid.bits, group, grid.scale_type)
    tensor.check(f"{place.name} of {checkpoint.folder}")
    return tensor


def _read_codes(checkpoint: Checkpoint, name: str, shape: tuple[int, ...], bits: int) -> np.ndarray:
    """Read a matrix of packed codes."""
    n_rows, n_codes = shape
    _check_stored(checkpoint, name, (n_rows, packed_width(n_codes, bits)), ["U8"])
    try:
        return unpack_rows(checkpoint.read_raw(name), n_codes, bits)
    except FormatError as error:
        raise CheckpointError(f"{checkpoint.folder}: tensor {name}: {error}") from None


def _check_stored(
    checkpoint: Checkpoint, name: str, shape: tuple[int, ...], dtypes: list[str]
) -> None:
    """Require shape and type, before anything is read or allocated."""
    found = checkpoint.shape(name), checkpoint.dtype(name)
    if found[0] != shape or found[1] not in dtypes:
        raise CheckpointError(
            f"{checkpoint.folder}: tensor {name} is {found[1]} {list(found[0])}, expected "
            f"{' or '.join(dtypes)} {list(shape)}"
        )
