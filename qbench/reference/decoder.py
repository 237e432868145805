"""The whole Llama decoder over a full sequence in float64, without a cache.

The oracle of the C core, and its explanation: one page from token ids to logits. Tensor names are
those of Hugging Face. Nothing of qbench is known here: the specification is taken by its
attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from qbench.reference.attention import causal_attention
from qbench.reference.layers import linear, log_softmax, rms_norm, rotate, swiglu


class Rope(Protocol):
    """A rotary embedding."""

    def inv_freq(self, head_dim: int) -> np.ndarray:
        """Angle per position and pair, shape (head_dim / 2,)."""


class Spec(Protocol):
    """What the forward pass needs to know of a decoder."""

    @property
    def n_layers(self) -> int:
        """Number of layers."""

    @property
    def n_heads(self) -> int:
        """Query heads."""

    @property
    def n_kv_heads(self) -> int:
        """Key and value heads."""

    @property
    def head_dim(self) -> int:
        """Size of a head."""

    @property
    def norm_eps(self) -> float:
        """Epsilon of every RMSNorm."""

    @property
    def tied_head(self) -> bool:
        """Whether the head is the embedding."""

    @property
    def rope(self) -> Rope:
        """The rotary embedding."""


Watch = Callable[[str, np.ndarray], None]
"""Is told the name of a matrix and the activations that it multiplies, float64 of shape (n, in)."""


def reference_logits(
    spec: Spec,
    weights: Mapping[str, np.ndarray],
    ids: Sequence[int] | np.ndarray,
    watch: Watch | None = None,
) -> np.ndarray:
    """Logits of every position.

    Parameters
    ----------
    spec
        A `qbench.models.DecoderSpec`, or anything with its attributes.
    weights
        Float arrays (not bits) by the names of Hugging Face's Llama.
    ids
        Token ids, shape (n,), BOS included where the model wants it.
    watch
        Called before every matrix product, in the order of the computation: seven in each layer,
        then the head, under the name of the embedding if it is tied.

    Returns
    -------
    numpy.ndarray
        float64, shape (n, vocab).
    """

    def product(x: np.ndarray, matrix: str) -> np.ndarray:
        if watch is not None:
            watch(f"{matrix}.weight", x)
        return linear(x, weights[f"{matrix}.weight"])

    positions = np.arange(len(ids))
    inv_freq = spec.rope.inv_freq(spec.head_dim)
    x = np.asarray(weights["model.embed_tokens.weight"][np.asarray(ids)], np.float64)
    for layer in range(spec.n_layers):
        own = f"model.layers.{layer}"
        normed = rms_norm(x, weights[f"{own}.input_layernorm.weight"], spec.norm_eps)
        heads = (len(ids), -1, spec.head_dim)
        query = product(normed, f"{own}.self_attn.q_proj").reshape(heads)
        key = product(normed, f"{own}.self_attn.k_proj").reshape(heads)
        value = product(normed, f"{own}.self_attn.v_proj").reshape(heads)
        mixed = causal_attention(
            rotate(query, positions, inv_freq), rotate(key, positions, inv_freq), value
        )
        x = x + product(mixed.reshape(len(ids), -1), f"{own}.self_attn.o_proj")
        normed = rms_norm(x, weights[f"{own}.post_attention_layernorm.weight"], spec.norm_eps)
        gate = product(normed, f"{own}.mlp.gate_proj")
        up = product(normed, f"{own}.mlp.up_proj")
        x = x + product(swiglu(gate, up), f"{own}.mlp.down_proj")
    x = rms_norm(x, weights["model.norm.weight"], spec.norm_eps)
    return product(x, "model.embed_tokens" if spec.tied_head else "lm_head")


def reference_logprobs(
    spec: Spec, weights: Mapping[str, np.ndarray], ids: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Log-probability of every token after the first, given those before it; shape (n - 1,)."""
    logprobs = log_softmax(reference_logits(spec, weights, ids))
    targets = np.asarray(ids)[1:]
    out: np.ndarray = logprobs[np.arange(len(targets)), targets]
    return out
