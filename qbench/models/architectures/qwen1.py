"""The first Qwen (``QWenLMHeadModel``), from its published code; none of that code is run.

Beyond its trained length the base of the rotation is stretched by a power of two less one, which
depends on the length that a sequence is read to, and queries grow by the logarithm of their
position (log-n attention).
"""

from __future__ import annotations

from qbench.models.architectures.base import (
    MAX_INNER,
    Architecture,
    Common,
    context_length,
    require,
    rotated,
    sizes,
    uniform,
)
from qbench.models.names import Fused, Names
from qbench.models.rope import DEFAULT_THETA, RopeSpec
from qbench.models.spec import Attention, DecoderSpec, FeedForward, Norm, Rotary
from qbench.models.strict_json import Fields


def read_qwen1(fields: Fields, common: Common) -> DecoderSpec:
    """Qwen-1.8B to Qwen-72B and their chat models."""
    require(fields, "scale_attn_weights", True, True, "no released model has it")
    values = {**fields.values, "head_dim": fields.values.get("kv_channels")}
    s = sizes(Fields(values, fields.where))
    trained = fields.integer("seq_length", 1, 1 << 24, 2048)
    share = fields.number("rotary_pct", 0.0, 1.0 + 1e-9, 1.0)
    theta = fields.number("rotary_emb_base", 0.0, float("inf"), DEFAULT_THETA)
    dynamic = fields.boolean("use_dynamic_ntk", True)
    rope = RopeSpec(theta, "qwen", original_context=trained) if dynamic else RopeSpec(theta)
    inner = fields.integer("intermediate_size", 2, MAX_INNER)  # of both halves together
    bias = not fields.boolean("no_bias", True)
    return DecoderSpec(
        **common,
        **s.common,
        context_length=max(trained, context_length(fields, trained)),
        norm=Norm(eps=fields.number("layer_norm_epsilon", 0.0, 1.0, 1e-6)),
        attention=Attention(
            s.head_dim**-0.5,
            bias=True,
            out_bias=bias,
            log_scaled_from=trained if fields.boolean("use_logn_attn", True) else 0,
        ),
        feed_forward=FeedForward("silu", bias=bias),
        layers=uniform(s.n_layers, inner // 2),
        rotary=Rotary((rope,), rotated(fields, s.head_dim, share)),
    )


NAMES = Names(
    {
        "attn_norm": "ln_1",
        "o": "attn.c_proj",
        "mlp_norm": "ln_2",
        "gate": "mlp.w2",
        "up": "mlp.w1",
        "down": "mlp.c_proj",
    },
    root="transformer.",
    embedding="wte",
    layer="h.{layer}.",
    final_norm="ln_f",
    fused=(Fused("attn.c_attn", ("q", "k", "v")),),
)

ARCHITECTURES = {"QWenLMHeadModel": Architecture(read_qwen1, NAMES)}
