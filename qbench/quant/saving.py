"""Write a quantized model to a folder, and read it back bit for bit.

The folder has the Hugging Face layout: ``config.json`` with a ``quantization_config`` that names
the recipe, ``model.safetensors`` with the tensors of `qbench.quant.layout`, and the tokenizer's
files. Saving the same model twice gives the same bytes. It appears whole or not at all. Kernels'
panels are never saved.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from qbench.errors import CheckpointError, RequestError
from qbench.folders import new_folder, refuse_content
from qbench.models import tensor_slots
from qbench.models.checkpoint import SINGLE, Weight
from qbench.models.reading import join
from qbench.models.strict_json import read_object
from qbench.quant.bits import pack_rows, packed_width
from qbench.quant.config_writer import encode_config, saved_config
from qbench.quant.floats import narrow_scales, row_blocks
from qbench.quant.layout import STORED_TYPES, Place, is_plain, places
from qbench.quant.model import QuantizedModel
from qbench.quant.packed import PackedMatrix
from qbench.quant.safetensors_writer import Entry, write_safetensors
from qbench.quant.tensor import Grid, QuantizedTensor

COPIED_FILES = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "qwen.tiktoken",
    "chat_template.jinja",
    "chat_template.json",
)
"""Files of a model folder that are taken over as they are."""


def save_quantized(
    model: QuantizedModel,
    folder: Path | str,
    source_folder: Path | str | None,
    *,
    force: bool = False,
) -> Path:
    """Save a model.

    Parameters
    ----------
    model
        What `qbench.quant.quantize.quantize_checkpoint` or `load_quantized` returned.
    folder
        Where to; it must not exist, or be empty.
    source_folder
        Folder that the model came from: its configuration and tokenizer are taken over. None writes
        the configuration that the specification was read from, and no tokenizer.
    force
        Replace a model folder that is there: one with a ``config.json`` and no folders in it.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    RequestError
        If the folder is not empty and may not be replaced.
    CheckpointError
        If the model does not hold the tensors that its recipe asks for.
    QbenchError
        If the operating system refuses to write. Nothing is left behind in either case.
    """
    folder = Path(folder)
    source = None if source_folder is None else Path(source_folder)
    entries = _entries(model)
    with new_folder(folder, _refuse_other_folder if force else refuse_content) as work:
        original = None if source is None else read_object(source / "config.json")
        config = saved_config(model.recipe, model.spec, original)
        (work / "config.json").write_bytes(encode_config(config))
        write_safetensors(work / SINGLE, entries, {"format": "pt"})
        for name in COPIED_FILES:
            if source is not None and (source / name).is_file():
                shutil.copyfile(source / name, work / name)
    return folder


def _refuse_other_folder(folder: Path) -> None:
    """Refuse to replace what is no model folder."""
    if not (folder / "config.json").is_file() or any(path.is_dir() for path in folder.iterdir()):
        raise RequestError(
            f"the folder {folder} is no model folder (a config.json and no folders in it) and is "
            "not replaced; name another one"
        )


def _entries(model: QuantizedModel) -> list[Entry]:
    """List what the file holds; the data are made when they are written."""
    expected = places(model.spec, model.recipe)
    names = {place.name for place in expected}
    if names != set(model.tensors):
        odd = sorted(names ^ set(model.tensors))[0]
        raise CheckpointError(f"the model and its recipe {model.recipe} disagree on tensor {odd}")
    if is_plain(model.recipe):
        return _plain_entries(model, expected)
    entries: list[Entry] = []
    for place in expected:
        tensor = model.tensors[place.name]
        if isinstance(tensor, PackedMatrix):
            tensor = tensor.unpack()
        _check_place(place, tensor, model.recipe.canonical)
        if isinstance(tensor, QuantizedTensor):
            entries += _quantized_entries(place.name, tensor)
        else:
            entries.append(_dense_entry(place.name, tensor))
    return entries


def _plain_entries(model: QuantizedModel, expected: list[Place]) -> list[Entry]:
    """Tensors as the model's own library names them: what was cut apart is put together."""
    weights: dict[str, Weight] = {}
    for place in expected:
        tensor = model.tensors[place.name]
        assert isinstance(tensor, Weight)
        _check_place(place, tensor, model.recipe.canonical)
        weights[place.name] = tensor
    joined = join(tensor_slots(model.spec), weights)
    return [_dense_entry(name, weight) for name, weight in joined.items()]


def _check_place(place: Place, tensor: QuantizedTensor | Weight, recipe: str) -> None:
    """Require a tensor to be what the recipe makes of it."""
    grid = place.grid
    if isinstance(tensor, QuantizedTensor):
        tensor.check(place.name)
        shape: tuple[int, ...] = tensor.shape
        found = Grid(tensor.bits, tensor.group, tensor.symmetric, tensor.scale_type)
        fits = grid is not None and found == grid._replace(group=grid.group_for(shape[1]))
    else:
        shape = tensor.array.shape
        fits = grid is None and place.dtype in (None, tensor.dtype)
    if not fits or shape != place.shape:
        raise CheckpointError(f"tensor {place.name} is not what the recipe {recipe} makes of it")


def _quantized_entries(name: str, tensor: QuantizedTensor) -> Iterator[Entry]:
    """Codes, scales and zero points of one matrix."""
    n_out, n_in = tensor.shape
    shape = (n_out, packed_width(n_in, tensor.bits))
    yield Entry(f"{name}.codes", "U8", shape, lambda: _packed(tensor.codes, tensor.bits))
    yield Entry(
        f"{name}.scales",
        STORED_TYPES[tensor.scale_type],
        tensor.scales.shape,
        lambda: [narrow_scales(tensor.scales, tensor.scale_type)],
    )
    if tensor.zeros is not None:
        zeros = tensor.zeros
        shape = (n_out, packed_width(zeros.shape[1], tensor.bits))
        yield Entry(f"{name}.zeros", "U8", shape, lambda: _packed(zeros, tensor.bits))


def _packed(codes: np.ndarray, bits: int) -> Iterable[np.ndarray]:
    """Pack a matrix block by block."""
    return (pack_rows(codes[rows], bits) for rows in row_blocks(*codes.shape))


def _dense_entry(name: str, weight: Weight) -> Entry:
    """One float tensor, as it is."""
    little_endian = weight.array.dtype.newbyteorder("<")
    return Entry(
        name,
        STORED_TYPES[weight.dtype],
        weight.array.shape,
        lambda: [weight.array.astype(little_endian, copy=False)],
    )
