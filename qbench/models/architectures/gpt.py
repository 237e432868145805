"""The line of GPT: GPT-2, GPT-Neo, GPT-J, GPT-NeoX (Pythia), OPT, StarCoder2."""

from __future__ import annotations

import itertools

from qbench.errors import CheckpointError
from qbench.models.architectures.base import (
    MAX_HIDDEN,
    MAX_INNER,
    Architecture,
    Common,
    Sizes,
    activation,
    context_length,
    first,
    require,
    rotated,
    sizes,
    sliding_window,
    uniform,
)
from qbench.models.architectures.llama import SLOTS, rotary_of
from qbench.models.names import Fused, Names
from qbench.models.rope import RopeSpec
from qbench.models.rope_config import usable_context
from qbench.models.spec import Attention, DecoderSpec, FeedForward, Norm, Rotary
from qbench.models.strict_json import Fields


def layer_norm(fields: Fields, *keys: str, shared: bool = False) -> Norm:
    """Read the epsilon of LayerNorm with biases."""
    return Norm(
        "layer", fields.number(first(fields, *keys), 0.0, 1.0, 1e-5), bias=True, shared=shared
    )


def inner_size(fields: Fields, hidden: int, *keys: str) -> int:
    """Read the width of the feed-forward layer, four times the hidden size if it is not said."""
    return fields.integer(first(fields, *keys), 1, MAX_INNER, 4 * hidden)


def _learned(fields: Fields, context: int) -> Common:
    """A table of positions, one for each token of a context."""
    return {"context_length": context, "learned_positions": context}


def read_gpt2(fields: Fields, common: Common) -> DecoderSpec:
    """GPT-2: learned positions, one matrix for queries, keys and values."""
    for key, wanted in (("scale_attn_by_inverse_layer_idx", False), ("scale_attn_weights", True)):
        require(fields, key, wanted, wanted, "no released model has it")
    require(fields, "add_cross_attention", False, False, "a decoder only")
    s = sizes(fields)
    act = activation(fields, "gelu_new", "activation_function")
    return DecoderSpec(
        **common,
        **s.common,
        **_learned(fields, context_length(fields, 1024, "n_positions")),
        norm=layer_norm(fields, "layer_norm_epsilon"),
        attention=Attention(s.head_dim**-0.5, bias=True, out_bias=True),
        feed_forward=FeedForward(act, gated=False, bias=True),
        layers=uniform(s.n_layers, inner_size(fields, s.hidden, "n_inner")),
    )


def _neo_windows(fields: Fields, n_layers: int) -> list[int]:
    """Windows of GPT-Neo: kinds of layers in turn, given as ``[[["global", "local"], 12]]``."""
    window = fields.integer("window_size", 1, 1 << 30, 256)
    kinds = fields.values.get("attention_layers")
    if kinds is None:
        types = fields.values.get("attention_types") or [[["global", "local"], n_layers // 2]]
        try:
            repeated = (kind for names, times in types for _ in range(times) for kind in names)
            kinds = list(itertools.islice(repeated, n_layers + 1))
        except (TypeError, ValueError):
            kinds = None
    if not isinstance(kinds, list) or len(kinds) != n_layers or {*kinds} - {"global", "local"}:
        raise CheckpointError(
            f"{fields.where}: attention_types: expected global or local for {n_layers} layers"
        )
    return [window if kind == "local" else 0 for kind in kinds]


def read_gpt_neo(fields: Fields, common: Common) -> DecoderSpec:
    """GPT-Neo: every other layer with a window, scores that are not scaled."""
    s = sizes(fields)
    act = activation(fields, "gelu_new", "activation_function")
    return DecoderSpec(
        **common,
        **s.common,
        **_learned(fields, context_length(fields, 2048)),
        norm=layer_norm(fields, "layer_norm_epsilon"),
        attention=Attention(1.0, out_bias=True),
        feed_forward=FeedForward(act, gated=False, bias=True),
        layers=uniform(
            s.n_layers,
            inner_size(fields, s.hidden, "intermediate_size"),
            _neo_windows(fields, s.n_layers),
        ),
    )


def read_gptj(fields: Fields, common: Common) -> DecoderSpec:
    """GPT-J: neighbouring values turned in pairs, attention and feed-forward in parallel."""
    s = sizes(fields)
    dim = fields.integer("rotary_dim", 2, s.head_dim, min(64, s.head_dim))
    act = activation(fields, "gelu_new", "activation_function")
    return DecoderSpec(
        **common,
        **s.common,
        context_length=context_length(fields, 2048, "n_positions"),
        norm=layer_norm(fields, "layer_norm_epsilon", shared=True),
        attention=Attention(s.head_dim**-0.5),
        feed_forward=FeedForward(act, gated=False, bias=True),
        layers=uniform(s.n_layers, inner_size(fields, s.hidden, "n_inner")),
        rotary=Rotary((RopeSpec(10000.0),), rotated(fields, dim, 1.0), interleaved=True),
        parallel=True,
        head_bias=True,
    )


def _neox_rotary(fields: Fields, s: Sizes, context: int) -> Rotary:
    """Read the rotation under GPT-NeoX's own names, if it has them."""
    named = dict(fields.values)
    for old, new in (("rotary_emb_base", "rope_theta"), ("rotary_pct", "partial_rotary_factor")):
        if named.get(new) is None and named.get(old) is not None:
            named[new] = named[old]
    return rotary_of(Fields(named, fields.where), s, context, share=0.25)


def read_gpt_neox(fields: Fields, common: Common) -> DecoderSpec:
    """GPT-NeoX and Pythia: a quarter of each head turned, two norms in parallel."""
    s = sizes(fields)
    context = context_length(fields, 2048)
    rotary = _neox_rotary(fields, s, context)
    bias = fields.boolean("attention_bias", True)
    return DecoderSpec(
        **common,
        **s.common,
        context_length=usable_context(context, rotary.ropes),
        norm=layer_norm(fields, "layer_norm_eps"),
        attention=Attention(s.head_dim**-0.5, bias=bias, out_bias=bias),
        feed_forward=FeedForward(activation(fields, "gelu", "hidden_act"), gated=False, bias=True),
        layers=uniform(s.n_layers, fields.integer("intermediate_size", 1, MAX_INNER)),
        rotary=rotary,
        parallel=fields.boolean("use_parallel_residual", True),
    )


def read_opt(fields: Fields, common: Common) -> DecoderSpec:
    """OPT: learned positions whose table begins with two rows that are not used."""
    require(fields, "do_layer_norm_before", True, True, "norms behind the layers, as in OPT-350m")
    require(fields, "_remove_final_layer_norm", False, False, "a model without its last norm")
    require(fields, "layer_norm_elementwise_affine", True, True, "norms without weights")
    s = sizes(fields)
    narrow = fields.integer("word_embed_proj_dim", 1, MAX_HIDDEN, s.hidden)
    if narrow != s.hidden:
        fields.fail(
            "word_embed_proj_dim", f"{s.hidden}, the hidden size (projections are not known)"
        )
    bias = fields.boolean("enable_bias", True)
    context = context_length(fields, 2048)
    act = activation(fields, "relu", "activation_function")
    return DecoderSpec(
        **common,
        **s.common,
        context_length=context,
        learned_positions=context + 2,
        position_offset=2,
        norm=Norm("layer", 1e-5, bias=True),
        attention=Attention(s.head_dim**-0.5, bias=bias, out_bias=bias),
        feed_forward=FeedForward(act, gated=False, bias=bias),
        layers=uniform(s.n_layers, fields.integer("ffn_dim", 1, MAX_INNER)),
    )


def read_starcoder2(fields: Fields, common: Common) -> DecoderSpec:
    """StarCoder2: few KV heads, a window, LayerNorm and biases."""
    s = sizes(fields, kv_heads=2)
    context = context_length(fields, 4096)
    rotary = rotary_of(fields, s, context)
    bias = fields.boolean("use_bias", True)
    act = activation(fields, "gelu_pytorch_tanh", "hidden_act")
    return DecoderSpec(
        **common,
        **s.common,
        context_length=usable_context(context, rotary.ropes),
        norm=layer_norm(fields, "norm_epsilon"),
        attention=Attention(s.head_dim**-0.5, bias=bias, out_bias=bias),
        feed_forward=FeedForward(act, gated=False, bias=bias),
        layers=uniform(
            s.n_layers,
            fields.integer("intermediate_size", 1, MAX_INNER),
            sliding_window(fields, None),
        ),
        rotary=rotary,
    )


GPT2 = Names(
    {
        "attn_norm": "ln_1",
        "o": "attn.c_proj",
        "mlp_norm": "ln_2",
        "up": "mlp.c_fc",
        "down": "mlp.c_proj",
    },
    root="transformer.",
    embedding="wte",
    positions="wpe",
    layer="h.{layer}.",
    final_norm="ln_f",
    fused=(Fused("attn.c_attn", ("q", "k", "v")),),
    transposed=True,
)
GPT_NEO = Names(
    {
        "attn_norm": "ln_1",
        "q": "attn.attention.q_proj",
        "k": "attn.attention.k_proj",
        "v": "attn.attention.v_proj",
        "o": "attn.attention.out_proj",
        "mlp_norm": "ln_2",
        "up": "mlp.c_fc",
        "down": "mlp.c_proj",
    },
    root="transformer.",
    embedding="wte",
    positions="wpe",
    layer="h.{layer}.",
    final_norm="ln_f",
)
GPTJ = Names(
    {
        "attn_norm": "ln_1",
        "q": "attn.q_proj",
        "k": "attn.k_proj",
        "v": "attn.v_proj",
        "o": "attn.out_proj",
        "up": "mlp.fc_in",
        "down": "mlp.fc_out",
    },
    root="transformer.",
    embedding="wte",
    layer="h.{layer}.",
    final_norm="ln_f",
)
GPT_NEOX = Names(
    {
        "attn_norm": "input_layernorm",
        "o": "attention.dense",
        "mlp_norm": "post_attention_layernorm",
        "up": "mlp.dense_h_to_4h",
        "down": "mlp.dense_4h_to_h",
    },
    root="gpt_neox.",
    embedding="embed_in",
    final_norm="final_layer_norm",
    head="embed_out",
    other_heads=("lm_head",),
    fused=(Fused("attention.query_key_value", ("q", "k", "v"), "groups"),),
)
OPT = Names(
    {
        "attn_norm": "self_attn_layer_norm",
        "q": "self_attn.q_proj",
        "k": "self_attn.k_proj",
        "v": "self_attn.v_proj",
        "o": "self_attn.out_proj",
        "mlp_norm": "final_layer_norm",
        "up": "fc1",
        "down": "fc2",
    },
    root="model.decoder.",
    other_roots=("decoder.", ""),
    positions="embed_positions",
    final_norm="final_layer_norm",
)
STARCODER2 = Names({**SLOTS, "up": "mlp.c_fc", "down": "mlp.c_proj"})

ARCHITECTURES = {
    "GPT2LMHeadModel": Architecture(read_gpt2, GPT2, tied=True),
    "GPTNeoForCausalLM": Architecture(read_gpt_neo, GPT_NEO, tied=True),
    "GPTJForCausalLM": Architecture(read_gptj, GPTJ),
    "GPTNeoXForCausalLM": Architecture(read_gpt_neox, GPT_NEOX),
    "OPTForCausalLM": Architecture(read_opt, OPT, tied=True),
    "Starcoder2ForCausalLM": Architecture(read_starcoder2, STARCODER2, tied=True),
}
