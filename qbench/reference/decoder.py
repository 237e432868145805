"""A whole decoder over a full sequence in float64, without a cache.

The oracle of the C core, and its explanation: one page from token ids to logits, for everything
that a specification can ask for. Nothing of qbench is known here: the specification is taken by
its attributes (`qbench.models.DecoderSpec` says what they mean), and weights by their places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qbench.reference.attention import causal_attention
from qbench.reference.layers import (
    ACTIVATIONS,
    layer_norm,
    linear,
    log_softmax,
    rms_norm,
    rotate,
    softcap,
)
from qbench.reference.mixture import route

Place = tuple[str, int, int]
"""Slot, layer and expert; -1 where there is none."""

Weights = Mapping[Place, np.ndarray]
Watch = Callable[[Place, np.ndarray], None]
"""Is told the place of a matrix and the activations that it multiplies, float64 (n, in)."""


def reference_logits(
    spec: Any, weights: Weights, ids: Sequence[int] | np.ndarray, watch: Watch | None = None
) -> np.ndarray:
    """Logits of every position.

    Parameters
    ----------
    spec
        A `qbench.models.DecoderSpec`, or anything with its attributes.
    weights
        Float arrays (not bits) by place.
    ids
        Token ids, shape (n,), BOS included where the model wants it.
    watch
        Called before every matrix product, in the order of the computation; a tied head has the
        place of the embedding.

    Returns
    -------
    numpy.ndarray
        float64, shape (n, vocab).
    """
    return _Forward(spec, weights, len(ids), watch).logits(np.asarray(ids))


class _Forward:
    """One sequence on its way."""

    def __init__(self, spec: Any, weights: Weights, n: int, watch: Watch | None) -> None:
        self.spec, self.weights, self.n, self.watch = spec, weights, n, watch
        self.positions = np.arange(n)
        self.rotations = spec.rotations(spec.rotation_key(n))

    def weight(self, slot: str, layer: int = -1, expert: int = -1) -> np.ndarray | None:
        """A weight in float64, None where the model has none."""
        found = self.weights.get((slot, layer, expert))
        return None if found is None else np.asarray(found, np.float64)

    def product(self, x: np.ndarray, slot: str, layer: int = -1, expert: int = -1) -> np.ndarray:
        """``x`` times a matrix, and its bias if it has one."""
        if self.watch is not None:
            self.watch((slot, layer, expert), x)
        bias = self.weight(f"{slot}_bias", layer, expert)
        return linear(x, self.weights[slot, layer, expert]) + (0.0 if bias is None else bias)

    def norm(self, x: np.ndarray, slot: str, layer: int = -1) -> np.ndarray:
        """The norm of rows."""
        weight = self.weight(slot, layer)
        assert weight is not None
        norm = self.spec.norm
        weight = weight + 1.0 if norm.one_added else weight
        if norm.kind == "rms":
            return rms_norm(x, weight, norm.eps)
        return layer_norm(x, weight, self.weight(f"{slot}_bias", layer), norm.eps)

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """From token ids to logits."""
        spec = self.spec
        x = np.asarray(self.weights["embedding", -1, -1][ids], np.float64) * spec.embedding_scale
        positions = self.weight("positions")
        if positions is not None:
            x = x + positions[self.positions + spec.position_offset]
        if spec.embedding_norm:
            x = self.norm(x, "embedding_norm")
        for number, layer in enumerate(spec.layers):
            x = self.layer(x, number, layer)
        x = self.norm(x, "final_norm")
        bias = self.weight("head_bias")
        y = self.product(x, "embedding" if spec.tied_head else "head") * spec.logit_scale
        if spec.tied_head and bias is not None:
            y = y + bias
        return softcap(y, spec.logit_cap)

    def layer(self, x: np.ndarray, number: int, layer: Any) -> np.ndarray:
        """Attention and feed-forward, each added to the residual."""
        norm, scale = self.spec.norm, self.spec.residual_scale
        before = self.norm(x, "attn_norm", number) if norm.before else x
        attended = self.attention(before, number, layer)
        if norm.after:
            attended = self.norm(attended, "attn_post_norm", number)
        middle = x if self.spec.parallel else x + attended * scale
        if norm.before:
            before = self.norm(middle, "attn_norm" if norm.shared else "mlp_norm", number)
        else:
            before = middle
        fed = self.feed_forward(before, number, layer)
        if norm.after:
            fed = self.norm(fed, "mlp_post_norm", number)
        out: np.ndarray = x + attended * scale + fed * scale
        return out

    def attention(self, x: np.ndarray, number: int, layer: Any) -> np.ndarray:
        """Attention of all tokens, up to its output matrix."""
        spec, own = self.spec, self.spec.attention
        query = self.product(x, "q", number)
        if spec.latent:
            key, value = self.latent(x, number)
        else:
            key, value = self.product(x, "k", number), self.product(x, "v", number)
        if own.clip:
            query, key, value = (np.clip(y, -own.clip, own.clip) for y in (query, key, value))
        query = self.head_norm(query, "q_norm", number).reshape(self.n, -1, spec.head_dim)
        key = self.head_norm(key, "k_norm", number).reshape(self.n, -1, spec.head_dim)
        if spec.rotary is not None and layer.rotation >= 0:
            inv_freq, factor = self.rotations[layer.rotation]
            query, key = (
                rotate(
                    y,
                    self.positions,
                    inv_freq,
                    begin=spec.rotary.begin,
                    interleaved=spec.rotary.interleaved,
                    factor=factor,
                )
                for y in (query, key)
            )
        if own.log_scaled_from:
            grown = np.log(self.positions + 1) / np.log(own.log_scaled_from)
            query = (
                query * np.where(self.positions >= own.log_scaled_from, grown, 1.0)[:, None, None]
            )
        mixed = causal_attention(
            query,
            key,
            value.reshape(self.n, -1, spec.value_dim),
            scale=own.scale,
            window=layer.window,
            cap=own.cap,
            alibi=own.alibi,
        )
        return self.product(mixed.reshape(self.n, -1), "o", number)

    def latent(self, x: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Keys and values from the latent vector; heads share the rotated part of a key."""
        spec = self.spec
        turned = spec.rotary.dim
        plain = spec.head_dim - turned
        both = self.product(x, "kv_a", number)
        weight = self.weight("kv_norm", number)
        assert weight is not None
        vector = rms_norm(both[:, : spec.latent], weight, spec.norm.eps)
        heads = self.product(vector, "kv_b", number).reshape(self.n, spec.n_heads, -1)
        shared = np.repeat(both[:, None, spec.latent :], spec.n_heads, axis=1)
        key = np.concatenate((heads[..., :plain], shared), axis=-1)
        return key, heads[..., plain:]

    def head_norm(self, x: np.ndarray, slot: str, number: int) -> np.ndarray:
        """The norm of queries or keys, over each head or over all, if there is one."""
        spec, kind = self.spec, self.spec.attention.norm
        if not kind:
            return x
        norm = rms_norm if spec.norm.kind == "rms" else _plain_layer_norm
        if kind == "all":
            weight = self.weight(slot, number)
            assert weight is not None
            return norm(x, weight + spec.norm.one_added, spec.norm.eps)
        heads = x.reshape(self.n, -1, spec.head_dim)
        own = spec.attention.own_norms
        parts = [
            norm(heads[:, h], self.weights[slot, number, h if own else -1] + spec.norm.one_added,
                 spec.norm.eps)
            for h in range(heads.shape[1])
        ]  # fmt: skip
        return np.stack(parts, axis=1)

    def feed_forward(self, x: np.ndarray, number: int, layer: Any) -> np.ndarray:
        """The feed-forward layer, and the mixture if the layer has one."""
        out = self.mlp(x, number, -1, "") if layer.intermediate else np.zeros_like(x)
        experts = self.spec.experts
        if not layer.experts:
            return out
        if experts.shared_gate:
            out = out / (1 + np.exp(-self.product(x, "shared_gate", number)))
        weights = route(self.product(x, "router", number), experts)
        for expert in range(experts.count):
            rows = np.flatnonzero(weights[:, expert])
            if len(rows):
                given = self.mlp(x[rows], number, expert, "expert_")
                out[rows] = out[rows] + given * weights[rows, expert, None]
        return out

    def mlp(self, x: np.ndarray, number: int, expert: int, prefix: str) -> np.ndarray:
        """``down(f(gate) * up)``, or ``down(f(up))``."""
        act = ACTIVATIONS[self.spec.feed_forward.activation]
        if not self.spec.feed_forward.gated:
            inner = act(self.product(x, f"{prefix}up", number, expert))
        else:
            gate = self.product(x, f"{prefix}gate", number, expert)
            inner = act(gate) * self.product(x, f"{prefix}up", number, expert)
        return self.product(inner, f"{prefix}down", number, expert)


def _plain_layer_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    return layer_norm(x, weight, None, eps)


def reference_logprobs(spec: Any, weights: Weights, ids: Sequence[int] | np.ndarray) -> np.ndarray:
    """Log-probability of every token after the first, given those before it; shape (n - 1,)."""
    logprobs = log_softmax(reference_logits(spec, weights, ids))
    targets = np.asarray(ids)[1:]
    out: np.ndarray = logprobs[np.arange(len(targets)), targets]
    return out
