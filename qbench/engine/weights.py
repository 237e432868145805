"""Packed weights in their places, and a specification in the words of the core.

The names of places are those of ``csrc/model/weights.h``. Nothing runs here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qbench.core import PackedTensor
from qbench.models import DecoderSpec
from qbench.models.spec import Alibi

Part = PackedTensor | NDArray[np.float32]
Expert = tuple[PackedTensor | None, PackedTensor, PackedTensor]
"""Gate, up and down."""


@dataclass
class LayerWeights:
    """Weights of one layer by slot: packed matrices, and float32 vectors; and its experts."""

    parts: dict[str, Part] = field(default_factory=dict)
    experts: list[Expert] = field(default_factory=list)

    def matrices(self) -> Iterator[PackedTensor]:
        """All matrices, experts included."""
        yield from (part for part in self.parts.values() if isinstance(part, PackedTensor))
        for expert in self.experts:
            yield from (part for part in expert if part is not None)


@dataclass
class DecoderWeights:
    """Weights of a decoder: what belongs to no layer by slot, and the layers.

    ``parts["head"]`` may be the embedding itself.
    """

    parts: dict[str, Part]
    layers: list[LayerWeights]

    @property
    def embedding(self) -> PackedTensor:
        """The embedding."""
        return self._matrix("embedding")

    @property
    def head(self) -> PackedTensor:
        """The head."""
        return self._matrix("head")

    def _matrix(self, slot: str) -> PackedTensor:
        part = self.parts[slot]
        assert isinstance(part, PackedTensor)
        return part

    def linears(self) -> Iterator[PackedTensor]:
        """Matrices of the layers."""
        for layer in self.layers:
            yield from layer.matrices()

    @property
    def nbytes(self) -> int:
        """Bytes of all weights as they lie in memory."""
        found = {id(part): part.nbytes for part in self.parts.values()}
        for layer in self.layers:
            found |= {id(part): part.nbytes for part in layer.parts.values()}
            found |= {id(part): part.nbytes for part in layer.matrices()}
        return sum(found.values())


def core_weights(
    weights: DecoderWeights, spec: DecoderSpec
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Weights as the core takes them: those of the model, and for each layer a dictionary."""
    model = {slot: _raw(part) for slot, part in weights.parts.items()}
    alibi = spec.attention.alibi
    if alibi is not None:
        model["slopes"] = _slopes(alibi)
    layers = []
    for layer, own in zip(spec.layers, weights.layers, strict=True):
        entry: dict[str, Any] = {slot: _raw(part) for slot, part in own.parts.items()}
        entry["window"] = layer.window
        entry["rotation"] = layer.rotation if spec.rotary is not None else -1
        if own.experts:
            entry["experts"] = tuple(tuple(_raw(part) for part in e) for e in own.experts)
        layers.append(entry)
    return model, tuple(layers)


def _raw(part: Part | None) -> Any:
    return part.raw if isinstance(part, PackedTensor) else part


def _slopes(alibi: Alibi) -> NDArray[np.float32]:
    """Slopes of the heads, rounded to bfloat16 where that is how they are used."""
    slopes = np.array(alibi.slopes, np.float32)
    if not alibi.in_bf16:
        return slopes
    bits = slopes.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return rounded.astype(np.uint32).view(np.float32)


def core_spec(spec: DecoderSpec) -> dict[str, Any]:
    """A specification as the core takes it (``csrc/binding/py_spec.c`` lists the fields)."""
    attention, rotary, alibi, experts = (
        spec.attention,
        spec.rotary,
        spec.attention.alibi,
        spec.experts,
    )
    return {
        "n_heads": spec.n_heads,
        "n_kv_heads": spec.n_kv_heads,
        "dim": spec.head_dim,
        "value_dim": spec.value_dim,
        "context": spec.context_length,
        "norm": spec.norm.kind,
        "norm_eps": spec.norm.eps,
        "norm_each_head": attention.norm == "head",
        "activation": spec.feed_forward.activation,
        "parallel": spec.parallel,
        "rotary_begin": 0 if rotary is None else rotary.begin,
        "rotary_dim": 0 if rotary is None else rotary.dim,
        "interleaved": rotary is not None and rotary.interleaved,
        "position_offset": spec.position_offset,
        "score_scale": attention.scale,
        "score_cap": attention.cap,
        "logit_cap": spec.logit_cap,
        "slope_scale": 1.0 if alibi is None else alibi.scale,
        "slopes_in_bf16": alibi is not None and alibi.in_bf16,
        "logit_scale": spec.logit_scale,
        "embedding_scale": spec.embedding_scale,
        "residual_scale": spec.residual_scale,
        "clip": attention.clip,
        "log_scaled_from": attention.log_scaled_from,
        "latent": spec.latent,
        "n_active_experts": 0 if experts is None else experts.active,
        "n_expert_groups": 1 if experts is None else experts.groups,
        "n_active_groups": 1 if experts is None else experts.active_groups,
        "normalize_experts": experts is not None and experts.normalize,
        "expert_scale": 1.0 if experts is None else experts.scale,
    }
