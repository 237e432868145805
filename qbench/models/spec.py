"""A decoder as data: what an architecture consists of, declared and not programmed.

`DecoderSpec` says everything that the rest of qbench needs to know about a model; the core, the
float64 twin and the planner follow it. What a configuration calls these things, and what a
checkpoint calls the weights, stands in ``architectures/``. Nothing here reads anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qbench.models.names import Variant
from qbench.models.rope import RopeSpec


@dataclass(frozen=True)
class Norm:
    """Normalization of rows.

    ``kind`` is ``"rms"`` (Zhang 2019) or ``"layer"`` (Ba 2016). ``one_added``: a weight is stored
    as its difference from one (Gemma). ``before``, ``after``: whether a sub-layer has one in front
    and one behind. ``shared``: attention and feed-forward read the same normalized rows.
    """

    kind: str = "rms"
    eps: float = 1e-6
    bias: bool = False
    one_added: bool = False
    before: bool = True
    after: bool = False
    shared: bool = False


@dataclass(frozen=True)
class Rotary:
    """Rotary positions: which values of a head are turned, and how fast.

    ``dim`` values from ``begin`` on, in pairs ``(i, i + dim / 2)``, or ``(2 i, 2 i + 1)`` if
    ``interleaved``. Layers name one of the ``ropes``.
    """

    ropes: tuple[RopeSpec, ...]
    dim: int
    begin: int = 0
    interleaved: bool = False


@dataclass(frozen=True)
class Alibi:
    """Attention with linear biases (Press 2022): a slope for each head.

    Scores grow by ``slope * (key - query) * scale``; ``in_bf16``: positions and products are
    rounded to bfloat16, as Falcon computes them.
    """

    slopes: tuple[float, ...]
    scale: float = 1.0
    in_bf16: bool = False


@dataclass(frozen=True)
class Attention:
    """What attention adds to softmax(scale q k) v.

    ``scale``: of the scores. ``cap``: scores become ``cap * tanh(score / cap)``; 0: they do not.
    ``clip``: bound of queries, keys and values; 0: none. ``norm``: of queries and keys, over each
    ``"head"``, over ``"all"`` heads, or ``""``; ``own_norms``: every head has weights of its own.
    ``log_scaled_from``: queries at positions from there on grow by the logarithm of their position
    to that base (log-n attention); 0: none.
    """

    scale: float
    bias: bool = False
    out_bias: bool = False
    cap: float = 0.0
    clip: float = 0.0
    norm: str = ""
    own_norms: bool = False
    log_scaled_from: int = 0
    alibi: Alibi | None = None


@dataclass(frozen=True)
class FeedForward:
    """``down(f(gate(x)) * up(x))``, or ``down(f(up(x)))`` where it is not gated."""

    activation: str = "silu"
    gated: bool = True
    bias: bool = False


@dataclass(frozen=True)
class Experts:
    """A mixture: each token goes through ``active`` of ``count`` feed-forward layers of ``size``.

    The router's softmax says which; its values are their weights, made to add up to one if
    ``normalize``, times ``scale``. With groups only the experts of the best ``active_groups`` take
    part. ``shared_size``: of the layer that all tokens go through as well, 0 if there is none;
    ``shared_gate``: it is weighed by a sigmoid.
    """

    count: int
    active: int
    size: int
    normalize: bool
    scale: float = 1.0
    groups: int = 1
    active_groups: int = 1
    shared_size: int = 0
    shared_gate: bool = False


@dataclass(frozen=True)
class Layer:
    """Where layers differ.

    ``window``: a query sees itself and the ``window - 1`` tokens before it; 0: all. ``rotation``:
    which of the ropes, -1 for none. ``intermediate``: width of its own feed-forward layer, 0 where
    a mixture stands alone. ``experts``: whether it has a mixture.
    """

    intermediate: int
    window: int = 0
    rotation: int = 0
    experts: bool = False


@dataclass(frozen=True)
class DecoderSpec:
    """A decoder-only transformer.

    ``latent``: size of the vector that keys and values are made from (multi-head latent
    attention), 0 for none. ``parallel``: attention and feed-forward are added to the same residual.
    ``learned_positions``: rows of a table of positions, 0 for none; position 0 is row
    ``position_offset``. ``variant`` says in which of its spellings a checkpoint names the weights,
    None: the usual one. ``config`` is what all this was read from.
    """

    architecture: str
    model_type: str
    hidden_size: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    value_dim: int
    vocab_size: int
    context_length: int
    norm: Norm
    attention: Attention
    feed_forward: FeedForward
    layers: tuple[Layer, ...]
    rotary: Rotary | None = None
    experts: Experts | None = None
    latent: int = 0
    parallel: bool = False
    learned_positions: int = 0
    position_offset: int = 0
    embedding_scale: float = 1.0
    embedding_norm: bool = False
    residual_scale: float = 1.0
    logit_scale: float = 1.0
    logit_cap: float = 0.0
    head_bias: bool = False
    tied_head: bool = False
    stored_dtype: str = "float32"
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    variant: Variant | None = None
    config: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def n_weights(self) -> int:
        """About how many weights there are, none of them listed: those of experts, and heads."""
        experts = 0 if self.experts is None else 3 * self.experts.count
        norms = self.n_heads + self.n_kv_heads if self.attention.own_norms else 0
        return sum(20 + norms + (experts if layer.experts else 0) for layer in self.layers)

    @property
    def widest(self) -> int:
        """Width of the widest feed-forward layer, an expert's included."""
        own = max(layer.intermediate for layer in self.layers)
        return max(own, self.experts.size if self.experts is not None else 0)

    def rotation_key(self, length: int) -> int:
        """Name the rotations of a sequence that is read to that length; most models have key 0.

        Sequences of different keys cannot share a prefix: their keys are turned differently.
        """
        if self.rotary is None:
            return 0
        return max(rope.key(length) for rope in self.rotary.ropes)

    def rotation_limit(self, key: int) -> int | None:
        """Length beyond which a sequence of that key must be read again; None: never."""
        ropes = () if self.rotary is None else self.rotary.ropes
        limits = [limit for rope in ropes if (limit := rope.limit(key)) is not None]
        return min(limits, default=None)

    def rotations(self, key: int = 0) -> tuple[tuple[np.ndarray, float], ...]:
        """Inverse frequencies, float32 (rotary dim / 2,), and factor of each rope under a key."""
        if self.rotary is None:
            return ()
        dim = self.rotary.dim
        return tuple((rope.inv_freq(dim, key), rope.attention_factor) for rope in self.rotary.ropes)
