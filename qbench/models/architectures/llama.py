"""Llama and what differs from it in a field or two: Mistral, Qwen2, Qwen3, OLMo2, SmolLM3."""

from __future__ import annotations

from collections.abc import Callable

from qbench.models.architectures.base import (
    MAX_INNER,
    Architecture,
    Common,
    Sizes,
    activation,
    context_length,
    layer_kinds,
    rotated,
    sizes,
    sliding_window,
    uniform,
)
from qbench.models.names import Names
from qbench.models.rope import DEFAULT_THETA
from qbench.models.rope_config import partial_factor, read_rope, usable_context
from qbench.models.spec import Attention, DecoderSpec, FeedForward, Norm, Rotary
from qbench.models.strict_json import Fields

SLOTS = {
    "attn_norm": "input_layernorm",
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "q_norm": "self_attn.q_norm",
    "k_norm": "self_attn.k_norm",
    "mlp_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
NAMES = Names(SLOTS)


def rotary_of(
    fields: Fields, s: Sizes, context: int, theta: float = DEFAULT_THETA, share: float = 1.0
) -> Rotary:
    """Read one rotation for all layers; ``share`` of a head where nothing is said."""
    dim = rotated(fields, s.head_dim, partial_factor(fields, share))
    return Rotary((read_rope(fields, context, dim, theta=theta),), dim)


def read_like_llama(
    fields: Fields,
    common: Common,
    s: Sizes,
    *,
    context: int = 2048,
    eps: float = 1e-6,
    theta: float = DEFAULT_THETA,
    windows: int | tuple[int, ...] = 0,
    rotations: int | tuple[int, ...] = 0,
    bias: bool = False,
    out_bias: bool = False,
    mlp_bias: bool = False,
    qk_norm: str = "",
    norm: Norm | None = None,
) -> DecoderSpec:
    """Read a pre-norm decoder with RMSNorm, rotary positions and a gated feed-forward layer."""
    positions = context_length(fields, context)
    rotary = rotary_of(fields, s, positions, theta)
    inner = fields.integer("intermediate_size", 1, MAX_INNER)
    return DecoderSpec(
        **common,
        **s.common,
        context_length=usable_context(positions, rotary.ropes),
        norm=norm or Norm(eps=fields.number("rms_norm_eps", 0.0, 1.0, eps)),
        attention=Attention(s.head_dim**-0.5, bias=bias, out_bias=out_bias, norm=qk_norm),
        feed_forward=FeedForward(activation(fields, "silu", "hidden_act"), bias=mlp_bias),
        layers=uniform(s.n_layers, inner, windows, rotations),
        rotary=rotary,
    )


def read_llama(fields: Fields, common: Common) -> DecoderSpec:
    """Llama 1 to 3."""
    bias = fields.boolean("attention_bias", False)
    mlp_bias = fields.boolean("mlp_bias", False)
    return read_like_llama(
        fields, common, sizes(fields), bias=bias, out_bias=bias, mlp_bias=mlp_bias
    )


def read_mistral(fields: Fields, common: Common) -> DecoderSpec:
    """Mistral: one window for all layers."""
    s = sizes(fields, kv_heads=8)
    return read_like_llama(fields, common, s, context=131072, windows=sliding_window(fields, 4096))


def qwen_windows(fields: Fields, n_layers: int) -> tuple[int, ...]:
    """Windows of Qwen2 and Qwen3: from ``max_window_layers`` on, if they are used at all."""
    if not fields.boolean("use_sliding_window", False):
        return (0,) * n_layers
    window = sliding_window(fields, 4096)
    kinds = layer_kinds(fields, n_layers)
    if kinds is None:
        from_layer = fields.integer("max_window_layers", 0, 1 << 30, 28)
        kinds = tuple(i >= from_layer for i in range(n_layers))
    return tuple(window if has else 0 for has in kinds)


def read_qwen2(fields: Fields, common: Common) -> DecoderSpec:
    """Qwen 1.5 to 2.5: biases of queries, keys and values."""
    s = sizes(fields)
    windows = qwen_windows(fields, s.n_layers)
    return read_like_llama(fields, common, s, context=32768, windows=windows, bias=True)


def read_qwen3(fields: Fields, common: Common) -> DecoderSpec:
    """Qwen3: norms of queries and keys, heads of 128."""
    s = sizes(fields, head_dim=128)
    bias = fields.boolean("attention_bias", False)
    windows = qwen_windows(fields, s.n_layers)
    return read_like_llama(
        fields, common, s, context=32768, windows=windows, bias=bias, out_bias=bias, qk_norm="head"
    )


def read_olmo2(fields: Fields, common: Common) -> DecoderSpec:
    """OLMo 2: norms behind the sub-layers instead of in front, and over all queries and keys."""
    s = sizes(fields)
    bias = fields.boolean("attention_bias", False)
    norm = Norm(eps=fields.number("rms_norm_eps", 0.0, 1.0, 1e-5), before=False, after=True)
    return read_like_llama(fields, common, s, bias=bias, out_bias=bias, qk_norm="all", norm=norm)


def read_smollm3(fields: Fields, common: Common) -> DecoderSpec:
    """SmolLM3: every fourth layer without positions."""
    s = sizes(fields, kv_heads=4)
    interval = fields.integer("no_rope_layer_interval", 1, 1 << 20, 4)
    has_rope = fields.values.get("no_rope_layers")
    if has_rope is None:
        has_rope = [int((i + 1) % interval != 0) for i in range(s.n_layers)]
    if not isinstance(has_rope, list) or len(has_rope) != s.n_layers:
        fields.fail("no_rope_layers", f"a list of {s.n_layers} zeros and ones")
    kinds = layer_kinds(fields, s.n_layers) or tuple(not has for has in has_rope)
    used = fields.boolean("use_sliding_window", False)
    window = sliding_window(fields, None) if used else 0
    bias = fields.boolean("attention_bias", False)
    return read_like_llama(
        fields,
        common,
        s,
        context=32768,
        theta=2e6,
        windows=tuple(window if kind else 0 for kind in kinds),
        rotations=tuple(0 if has else -1 for has in has_rope),
        bias=bias,
        out_bias=bias,
        mlp_bias=fields.boolean("mlp_bias", False),
    )


def _simple(read: Callable[[Fields, Common], DecoderSpec], tied: bool = False) -> Architecture:
    return Architecture(read, NAMES, tied)


OLMO2_NAMES = Names(
    {
        **SLOTS,
        "attn_post_norm": "post_attention_layernorm",
        "mlp_post_norm": "post_feedforward_layernorm",
    }
)

ARCHITECTURES = {
    "LlamaForCausalLM": _simple(read_llama),
    "MistralForCausalLM": _simple(read_mistral),
    "Qwen2ForCausalLM": _simple(read_qwen2),
    "Qwen3ForCausalLM": _simple(read_qwen3),
    "SmolLM3ForCausalLM": _simple(read_smollm3, tied=True),
    "Olmo2ForCausalLM": Architecture(read_olmo2, OLMO2_NAMES),
}
