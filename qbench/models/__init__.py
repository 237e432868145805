"""Turning a checkpoint into a description, weights and a tokenizer."""

from __future__ import annotations

from qbench.models.checkpoint import Checkpoint, MemoryCheckpoint, Weight, check_finite
from qbench.models.hub import resolve
from qbench.models.rope import RopeSpec
from qbench.models.spec import (
    LINEAR_SLOTS,
    DecoderSpec,
    TensorSlot,
    check_tensors,
    decoder_spec,
    read_config,
    tensor_slots,
)
from qbench.models.tokenizer import Tokenizer

__all__ = [
    "LINEAR_SLOTS",
    "Checkpoint",
    "DecoderSpec",
    "MemoryCheckpoint",
    "RopeSpec",
    "TensorSlot",
    "Tokenizer",
    "Weight",
    "check_finite",
    "check_tensors",
    "decoder_spec",
    "read_config",
    "resolve",
    "tensor_slots",
]
