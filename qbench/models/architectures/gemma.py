"""Gemma 1 to 3: weights of norms around one, large embeddings, windows in turn, softcaps."""

from __future__ import annotations

from qbench.models.architectures.base import (
    MAX_INNER,
    Architecture,
    Common,
    Sizes,
    activation,
    context_length,
    layer_kinds,
    require,
    sizes,
    sliding_window,
    uniform,
)
from qbench.models.architectures.llama import SLOTS, rotary_of
from qbench.models.names import Names
from qbench.models.rope_config import read_rope, rope_fields, usable_context
from qbench.models.spec import Attention, DecoderSpec, FeedForward, Norm, Rotary
from qbench.models.strict_json import Fields

_KEYS = ("hidden_activation", "hidden_act")


def _gemma(
    fields: Fields,
    common: Common,
    s: Sizes,
    rotary: Rotary,
    attention: Attention,
    windows: tuple[int, ...],
    rotations: tuple[int, ...] | int = 0,
    *,
    after: bool = True,
) -> DecoderSpec:
    """What the generations have in common."""
    inner = fields.integer("intermediate_size", 1, MAX_INNER)
    positions = context_length(fields, 8192)
    act = activation(fields, "gelu_pytorch_tanh", *_KEYS)
    return DecoderSpec(
        **common,
        **s.common,
        context_length=usable_context(positions, rotary.ropes),
        norm=Norm(eps=fields.number("rms_norm_eps", 0.0, 1.0, 1e-6), one_added=True, after=after),
        attention=attention,
        feed_forward=FeedForward(act),
        layers=uniform(s.n_layers, inner, windows, rotations),
        rotary=rotary,
        embedding_scale=s.hidden**0.5,
        logit_cap=_cap(fields, "final_logit_softcapping", 0.0),
    )


def _cap(fields: Fields, key: str, default: float) -> float:
    """Read a softcap; null switches it off."""
    if key not in fields.values:
        return default
    return 0.0 if fields.values[key] is None else fields.number(key, 0.0, 1e6)


def read_gemma(fields: Fields, common: Common) -> DecoderSpec:
    """Gemma 1. Its configurations say ``gelu`` and mean the approximation by tanh."""
    s = sizes(fields, kv_heads=16, head_dim=256)
    if fields.values.get("hidden_activation") is None:
        fields = Fields({**fields.values, "hidden_activation": "gelu_pytorch_tanh"}, fields.where)
    rotary = rotary_of(fields, s, context_length(fields, 8192))
    bias = fields.boolean("attention_bias", False)
    attention = Attention(s.head_dim**-0.5, bias=bias, out_bias=bias)
    return _gemma(fields, common, s, rotary, attention, (0,) * s.n_layers, after=False)


def _refuse_bidirectional(fields: Fields) -> None:
    require(fields, "use_bidirectional_attention", False, False, "only causal attention is")


def read_gemma2(fields: Fields, common: Common) -> DecoderSpec:
    """Gemma 2: every other layer with a window, scores and logits capped."""
    _refuse_bidirectional(fields)
    s = sizes(fields, kv_heads=4, head_dim=256)
    rotary = rotary_of(fields, s, context_length(fields, 8192))
    kinds = layer_kinds(fields, s.n_layers) or tuple(i % 2 == 0 for i in range(s.n_layers))
    window = sliding_window(fields, 4096)
    bias = fields.boolean("attention_bias", False)
    attention = Attention(
        fields.number("query_pre_attn_scalar", 0.0, 1e6, 256.0) ** -0.5,
        bias=bias,
        out_bias=bias,
        cap=_cap(fields, "attn_logit_softcapping", 50.0),
    )
    if "final_logit_softcapping" not in fields.values:
        fields = Fields({**fields.values, "final_logit_softcapping": 30.0}, fields.where)
    windows = tuple(window if has else 0 for has in kinds)
    return _gemma(fields, common, s, rotary, attention, windows)


def read_gemma3(fields: Fields, common: Common) -> DecoderSpec:
    """Gemma 3: five layers with a window and slow-turning heads to one with neither."""
    _refuse_bidirectional(fields)
    s = sizes(fields, kv_heads=4, head_dim=256)
    pattern = fields.integer("sliding_window_pattern", 1, 1 << 20, 6)
    kinds = layer_kinds(fields, s.n_layers)
    if kinds is None:
        kinds = tuple((i + 1) % pattern != 0 for i in range(s.n_layers))
    window = sliding_window(fields, 4096)
    context = context_length(fields, 131072)
    whole = read_rope(fields, context, s.head_dim, theta=1e6, layer_type="full_attention")
    local_theta = fields.number("rope_local_base_freq", 0.0, float("inf"), 1e4)
    nested = rope_fields(fields, "sliding_attention")
    is_nested = isinstance(rope_fields(fields).values.get("sliding_attention"), dict)
    inner = Fields(
        {"rope_parameters": {"rope_theta": local_theta, **(nested.values if is_nested else {})}},
        fields.where,
    )
    local = read_rope(inner, context, s.head_dim, theta=local_theta)
    bias = fields.boolean("attention_bias", False)
    attention = Attention(
        fields.number("query_pre_attn_scalar", 0.0, 1e6, 256.0) ** -0.5,
        bias=bias,
        out_bias=bias,
        norm="head",
        cap=_cap(fields, "attn_logit_softcapping", 0.0),
    )
    windows = tuple(window if has else 0 for has in kinds)
    rotations = tuple(1 if has else 0 for has in kinds)
    rotary = Rotary((whole, local), s.head_dim)
    if "max_position_embeddings" not in fields.values:
        fields = Fields({**fields.values, "max_position_embeddings": context}, fields.where)
    return _gemma(fields, common, s, rotary, attention, windows, rotations)


_FOUR_NORMS = {
    **SLOTS,
    "attn_post_norm": "post_attention_layernorm",
    "mlp_norm": "pre_feedforward_layernorm",
    "mlp_post_norm": "post_feedforward_layernorm",
}
_NESTED = ("", "language_model.model.", "model.language_model.")

ARCHITECTURES = {
    "GemmaForCausalLM": Architecture(read_gemma, Names(SLOTS), tied=True),
    "Gemma2ForCausalLM": Architecture(read_gemma2, Names(_FOUR_NORMS), tied=True),
    "Gemma3ForCausalLM": Architecture(
        read_gemma3, Names(_FOUR_NORMS, other_roots=_NESTED), tied=True
    ),
    "Gemma3ForConditionalGeneration": Architecture(
        read_gemma3, Names(_FOUR_NORMS, other_roots=_NESTED), tied=True, text_config="text_config"
    ),
}
