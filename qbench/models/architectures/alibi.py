"""Decoders that know positions by linear biases of attention: BLOOM, MPT, and some Falcons."""

from __future__ import annotations

import dataclasses

from qbench.models.architectures.base import (
    Architecture,
    Common,
    activation,
    alibi_slopes,
    context_length,
    require,
    sizes,
    uniform,
)
from qbench.models.architectures.gpt import inner_size, layer_norm
from qbench.models.architectures.llama import rotary_of
from qbench.models.names import Fused, Names
from qbench.models.rope_config import usable_context
from qbench.models.spec import Alibi, Attention, DecoderSpec, FeedForward, Norm
from qbench.models.strict_json import Fields


def read_bloom(fields: Fields, common: Common) -> DecoderSpec:
    """BLOOM: a norm behind the embedding. It states no context; it was trained on 2,048 tokens."""
    key = "apply_residual_connection_post_layernorm"
    require(fields, key, False, False, "no released model has it")
    s = sizes(fields)
    alibi = Alibi(alibi_slopes(s.heads))
    return DecoderSpec(
        **common,
        **s.common,
        context_length=context_length(fields, 2048, "seq_length"),
        norm=layer_norm(fields, "layer_norm_epsilon"),
        attention=Attention(s.head_dim**-0.5, bias=True, out_bias=True, alibi=alibi),
        feed_forward=FeedForward("gelu_tanh", gated=False, bias=True),
        layers=uniform(s.n_layers, 4 * s.hidden),
        embedding_norm=True,
    )


def _mpt_slopes(n_heads: int, largest: int) -> tuple[float, ...]:
    """Slopes of MPT: those of the next power of two, every second one first."""
    power = 1 << (n_heads - 1).bit_length()
    slopes = [2.0 ** (-i * largest / power) for i in range(1, power + 1)]
    if power != n_heads:
        slopes = (slopes[1::2] + slopes[::2])[:n_heads]
    return tuple(slopes)


def read_mpt(fields: Fields, common: Common) -> DecoderSpec:
    """MPT: no bias anywhere, not even in LayerNorm."""
    require(fields, "no_bias", True, True, "biases are not")
    require(fields, "logit_scale", None, None, "no released model has it")
    s = sizes(fields)
    own = Fields(fields.object("attn_config") or {}, f"{fields.where}: attn_config")
    require(own, "alibi", True, True, "learned positions are not")
    require(own, "qk_ln", False, False, "norms of queries and keys are not")
    require(own, "attn_type", "multihead_attention", "multihead_attention", "one KV head is not")
    scale = own.values.get("softmax_scale")
    clip = own.values.get("clip_qkv")
    largest = own.integer("alibi_bias_max", 1, 1 << 16, 8)
    attention = Attention(
        own.number("softmax_scale", 0.0, 1e6) if scale else s.head_dim**-0.5,
        clip=own.number("clip_qkv", 0.0, 1e6) if clip else 0.0,
        alibi=Alibi(_mpt_slopes(s.heads, largest)),
    )
    ratio = fields.integer("expansion_ratio", 1, 1024, 4)
    return DecoderSpec(
        **common,
        **s.common,
        context_length=context_length(fields, 2048, "max_seq_len"),
        norm=Norm("layer", fields.number("layer_norm_epsilon", 0.0, 1.0, 1e-5)),
        attention=attention,
        feed_forward=FeedForward("gelu", gated=False),
        layers=uniform(s.n_layers, ratio * s.hidden),
    )


def read_falcon(fields: Fields, common: Common) -> DecoderSpec:
    """Falcon: one KV head, or groups of them in the later ones; in parallel but for the first."""
    grouped = fields.boolean("new_decoder_architecture", False)
    kv_heads = None if grouped or not fields.boolean("multi_query", True) else 1
    if kv_heads == 1:  # what the configuration says of KV heads is not meant then
        fields = Fields({**fields.values, "num_kv_heads": 1}, fields.where)
    s = sizes(fields, kv_key="num_kv_heads")
    context = context_length(fields, 2048)
    bias = fields.boolean("bias", False)
    with_alibi = fields.boolean("alibi", False)
    rotary = None if with_alibi else rotary_of(fields, s, context)
    scale = s.head_dim**-0.5
    alibi = Alibi(alibi_slopes(s.heads), scale, in_bf16=True) if with_alibi else None
    parallel = grouped or fields.boolean("parallel_attn", True)
    n_norms = fields.integer("num_ln_in_parallel_attn", 1, 2, 2 if grouped else 1)
    norm = layer_norm(fields, "layer_norm_epsilon")
    return DecoderSpec(
        **common,
        **s.common,
        context_length=context if rotary is None else usable_context(context, rotary.ropes),
        norm=dataclasses.replace(norm, shared=parallel and n_norms == 1),
        attention=Attention(scale, bias=bias, out_bias=bias, alibi=alibi),
        feed_forward=FeedForward(activation(fields, "gelu", "activation"), gated=False, bias=bias),
        layers=uniform(s.n_layers, inner_size(fields, s.hidden, "ffn_hidden_size")),
        rotary=rotary,
        parallel=parallel,
    )


def _falcon_names(spec: DecoderSpec) -> Names:
    """Falcon's table: two norms in parallel have names of their own."""
    two = spec.parallel and not spec.norm.shared
    return Names(
        {
            "attn_norm": "ln_attn" if two else "input_layernorm",
            "o": "self_attention.dense",
            "mlp_norm": "ln_mlp" if two else "post_attention_layernorm",
            "up": "mlp.dense_h_to_4h",
            "down": "mlp.dense_4h_to_h",
        },
        root="transformer.",
        embedding="word_embeddings",
        layer="h.{layer}.",
        final_norm="ln_f",
        fused=(Fused("self_attention.query_key_value", ("q", "k", "v"), "groups"),),
    )


BLOOM = Names(
    {
        "attn_norm": "input_layernorm",
        "o": "self_attention.dense",
        "mlp_norm": "post_attention_layernorm",
        "up": "mlp.dense_h_to_4h",
        "down": "mlp.dense_4h_to_h",
    },
    root="transformer.",
    embedding="word_embeddings",
    embedding_norm="word_embeddings_layernorm",
    layer="h.{layer}.",
    final_norm="ln_f",
    fused=(Fused("self_attention.query_key_value", ("q", "k", "v"), "groups"),),
)
MPT = Names(
    {
        "attn_norm": "norm_1",
        "o": "attn.out_proj",
        "mlp_norm": "norm_2",
        "up": "ffn.up_proj",
        "down": "ffn.down_proj",
    },
    root="transformer.",
    embedding="wte",
    layer="blocks.{layer}.",
    final_norm="norm_f",
    fused=(Fused("attn.Wqkv", ("q", "k", "v")),),
)

ARCHITECTURES = {
    "BloomForCausalLM": Architecture(read_bloom, BLOOM, tied=True),
    "MptForCausalLM": Architecture(read_mpt, MPT, tied=True),
    "FalconForCausalLM": Architecture(read_falcon, _falcon_names, tied=True),
}
