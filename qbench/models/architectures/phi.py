"""Phi: the second generation with layers in parallel, the third and fourth on Llama's frame."""

from __future__ import annotations

from qbench.models.architectures.base import (
    MAX_INNER,
    Architecture,
    Common,
    activation,
    context_length,
    require,
    sizes,
    sliding_window,
    uniform,
)
from qbench.models.architectures.llama import SLOTS, read_like_llama, rotary_of
from qbench.models.names import Fused, Names
from qbench.models.spec import Attention, DecoderSpec, FeedForward, Norm
from qbench.models.strict_json import Fields


def read_phi(fields: Fields, common: Common) -> DecoderSpec:
    """Phi 1 to 2: one LayerNorm for attention and feed-forward, biases everywhere."""
    require(fields, "qk_layernorm", False, False, "norms of queries and keys are not")
    s = sizes(fields)
    context = context_length(fields, 2048)
    return DecoderSpec(
        **common,
        **s.common,
        context_length=context,
        norm=Norm("layer", fields.number("layer_norm_eps", 0.0, 1.0, 1e-5), bias=True, shared=True),
        attention=Attention(s.head_dim**-0.5, bias=True, out_bias=True),
        feed_forward=FeedForward(
            activation(fields, "gelu_new", "hidden_act"), gated=False, bias=True
        ),
        layers=uniform(s.n_layers, fields.integer("intermediate_size", 1, MAX_INNER)),
        rotary=rotary_of(fields, s, context, share=0.5),
        parallel=True,
        head_bias=True,
    )


def read_phi3(fields: Fields, common: Common) -> DecoderSpec:
    """Phi 3 and 4: Llama with fused matrices and LongRoPE."""
    s = sizes(fields)
    return read_like_llama(
        fields, common, s, context=4096, eps=1e-5, windows=sliding_window(fields, None)
    )


PHI = Names(
    {
        "attn_norm": "input_layernorm",
        "q": "self_attn.q_proj",
        "k": "self_attn.k_proj",
        "v": "self_attn.v_proj",
        "o": "self_attn.dense",
        "up": "mlp.fc1",
        "down": "mlp.fc2",
    },
    final_norm="final_layernorm",
)
PHI3 = Names(
    SLOTS,
    fused=(
        Fused("self_attn.qkv_proj", ("q", "k", "v")),
        Fused("mlp.gate_up_proj", ("gate", "up")),
    ),
)

ARCHITECTURES = {
    "PhiForCausalLM": Architecture(read_phi, PHI),
    "Phi3ForCausalLM": Architecture(read_phi3, PHI3),
}
