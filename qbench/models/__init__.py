"""Turning a checkpoint into a description, weights and a tokenizer."""

from __future__ import annotations

from qbench.models.checkpoint import Checkpoint, MemoryCheckpoint, Weight, check_finite
from qbench.models.config import decoder_spec, read_config
from qbench.models.hub import resolve
from qbench.models.reading import check_tensors
from qbench.models.rope import RopeSpec
from qbench.models.slots import LINEAR_SLOTS, TensorSlot, tensor_slots
from qbench.models.spec import DecoderSpec
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
