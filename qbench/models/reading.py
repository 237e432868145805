"""Weights of a decoder out of a checkpoint's tensors, and back.

Here a slot meets a file: rows of shared tensors, planes of stacks, transposed matrices, and FP8
values with their scales. It must not know what an architecture is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np

from qbench.errors import CheckpointError
from qbench.models.checkpoint import Weight, check_finite
from qbench.models.fp8 import is_fp8, read_fp8, scale_names
from qbench.models.slots import Source, TensorSlot, fitting_variant, tensor_slots
from qbench.models.spec import DecoderSpec


class Tensors(Protocol):
    """What is needed of a checkpoint."""

    def has(self, name: str) -> bool:
        """Whether a tensor of that name exists."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""

    def dtype(self, name: str) -> str:
        """Stored type of a tensor, as the file names it."""

    def read(self, name: str) -> Weight:
        """View a float tensor."""

    def read_raw(self, name: str) -> np.ndarray:
        """View a tensor of any type, as stored."""


_TYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def fitting(spec: DecoderSpec, checkpoint: Tensors) -> DecoderSpec:
    """Return the specification as a checkpoint is spelled, with its type where none is stated.

    Some configurations (the first Qwen, GPT-2) do not say in which type the weights are stored: it
    is that of the embedding then.
    """
    spec = fitting_variant(spec, checkpoint.has)
    text = spec.config.get("text_config")
    places = (spec.config, text if isinstance(text, dict) else {})
    if any(place.get(key) is not None for place in places for key in ("dtype", "torch_dtype")):
        return spec
    embedding = tensor_slots(spec)[0].source.name
    stored = checkpoint.dtype(embedding) if checkpoint.has(embedding) else ""
    return dataclasses.replace(spec, stored_dtype=_TYPES.get(stored, spec.stored_dtype))


def read_slot(checkpoint: Tensors, slot: TensorSlot) -> Weight:
    """Read one weight: a view of the checkpoint where that is possible.

    Raises
    ------
    CheckpointError
        If the tensor is missing or has no float type.
    """
    name = slot.source.name
    if is_fp8(checkpoint.dtype(name)):
        whole = Weight(read_fp8(checkpoint, name), "f32")
    else:
        whole = checkpoint.read(name)
    return Weight(take(whole.array, slot.source), whole.dtype)


def check_tensors(spec: DecoderSpec, checkpoint: Tensors) -> None:
    """Compare a float checkpoint with what the specification asks for.

    Raises
    ------
    CheckpointError
        Naming the first tensor that is missing or has another shape or no float type.
    """
    for slot in tensor_slots(spec):
        source = slot.source
        if not checkpoint.has(source.name):
            raise CheckpointError(
                f"the tensor {source.name} is missing, which the configuration asks for "
                f"({spec.n_layers} layers, tied head: {'yes' if spec.tied_head else 'no'})"
            )
        found = checkpoint.shape(source.name)
        if found != source.shape:
            raise CheckpointError(
                f"the tensor {source.name} has shape {found}, the configuration asks for "
                f"{source.shape}"
            )
        dtype = checkpoint.dtype(source.name)
        if is_fp8(dtype):
            if not any(checkpoint.has(name) for name in scale_names(source.name)):
                raise CheckpointError(f"the tensor {source.name} is {dtype} and has no scales")
        elif dtype not in ("F32", "F16", "BF16"):
            raise CheckpointError(
                f"the tensor {source.name} is stored as {dtype}; weights are F32, F16, BF16, or "
                "F8_E4M3 with scales"
            )


def check_all_finite(checkpoint: Tensors, slots: Iterable[TensorSlot]) -> None:
    """Run `check_finite` over the tensors that the slots are read from, once for each."""
    for name in dict.fromkeys(slot.source.name for slot in slots):
        if not is_fp8(checkpoint.dtype(name)):
            check_finite(checkpoint.read(name), name)


def take(tensor: np.ndarray, source: Source) -> np.ndarray:
    """Cut a weight out of the tensor that holds it; a view where that is possible."""
    part = tensor if source.plane is None else tensor[source.plane]
    if source.transposed:
        part = part.T
    if source.rows is None:
        return part
    period, begin, end = source.rows
    if period == part.shape[0]:
        return part[begin:end]
    grouped = part.reshape(-1, period, *part.shape[1:])[:, begin:end]
    return grouped.reshape(-1, *part.shape[1:])


def put(tensor: np.ndarray, source: Source, value: np.ndarray) -> None:
    """Write a weight into the tensor that holds it, the inverse of `take`."""
    part = tensor if source.plane is None else tensor[source.plane]
    if source.transposed:
        part = part.T
    if source.rows is None:
        part[...] = value
        return
    period, begin, end = source.rows
    groups = part.shape[0] // period
    for group in range(groups):
        rows = slice(group * period + begin, group * period + end)
        part[rows] = value.reshape(groups, end - begin, *value.shape[1:])[group]


def join(slots: Iterable[TensorSlot], values: Mapping[str, Weight]) -> dict[str, Weight]:
    """Put weights together into the tensors of a checkpoint, the inverse of `read_slot`.

    Parameters
    ----------
    slots
        All slots of a model.
    values
        Weights by the name of their slot. Those that share a tensor must have one type.
    """
    joined: dict[str, Weight] = {}
    for slot in slots:
        weight, source = values[slot.name], slot.source
        if slot.is_whole:
            joined[slot.name] = weight
            continue
        if source.name not in joined:
            whole = np.empty(source.shape, weight.array.dtype)
            joined[source.name] = Weight(whole, weight.dtype)
        put(joined[source.name].array, source, weight.array)
    return joined
