"""A checkpoint with outlier features that computes what it computed before.

Large models have a few hidden channels whose normalized activations are many times the others', in
every layer; LLM.int8() and SpQR were built on that, and small models lack them. Here the gain of
each norm is raised in some channels and the columns of the matrices behind it are lowered by as
much. The factor is a power of two, so that no bit of any product changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

FACTOR = 64.0
BEHIND = {
    "input_layernorm": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj"),
}


def with_outliers(
    weights: Mapping[str, np.ndarray], channels: Sequence[int], factor: float = FACTOR
) -> dict[str, np.ndarray]:
    """Return the weights of a Llama with outliers in some hidden channels of each layer.

    Parameters
    ----------
    weights
        Float32 arrays by the names of Hugging Face; left as they are.
    channels
        Hidden channels, the same in all layers, as in large models.
    factor
        How many times larger their normalized activations become; a power of two.
    """
    changed = {name: array.copy() for name, array in weights.items()}
    places = list(channels)
    for name in weights:
        layer, _, norm = name.removesuffix(".weight").rpartition(".")
        for matrix in BEHIND.get(norm, ()):
            changed[f"{layer}.{matrix}.weight"][:, places] /= factor
        if norm in BEHIND:
            changed[name][places] *= factor
    return changed
