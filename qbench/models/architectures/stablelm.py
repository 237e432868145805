"""StableLM: Llama's frame with LayerNorm and a quarter of each head turned."""

from __future__ import annotations

from qbench.models.architectures.base import (
    MAX_INNER,
    Architecture,
    Common,
    activation,
    context_length,
    sizes,
    uniform,
)
from qbench.models.architectures.gpt import layer_norm
from qbench.models.architectures.llama import SLOTS, rotary_of
from qbench.models.names import Names
from qbench.models.rope_config import usable_context
from qbench.models.spec import Attention, DecoderSpec, FeedForward
from qbench.models.strict_json import Fields


def read_stablelm(fields: Fields, common: Common) -> DecoderSpec:
    """StableLM 3B and StableLM 2; the 12B has a norm of its own for each head."""
    s = sizes(fields)
    context = context_length(fields, 4096)
    rotary = rotary_of(fields, s, context, share=0.25)
    parallel = fields.boolean("use_parallel_residual", False)
    own_norms = fields.boolean("qk_layernorm", False)
    return DecoderSpec(
        **common,
        **s.common,
        context_length=usable_context(context, rotary.ropes),
        norm=layer_norm(fields, "layer_norm_eps", shared=parallel),
        attention=Attention(
            s.head_dim**-0.5,
            bias=fields.boolean("use_qkv_bias", False),
            norm="head" if own_norms else "",
            own_norms=own_norms,
        ),
        feed_forward=FeedForward(activation(fields, "silu", "hidden_act")),
        layers=uniform(s.n_layers, fields.integer("intermediate_size", 1, MAX_INNER)),
        rotary=rotary,
        parallel=parallel,
    )


NAMES = Names({**SLOTS, "q_norm": "self_attn.q_layernorm", "k_norm": "self_attn.k_layernorm"})

ARCHITECTURES = {"StableLmForCausalLM": Architecture(read_stablelm, NAMES)}
