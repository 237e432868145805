"""DeepSeek-V2: keys and values from a latent vector, many small experts beside shared ones."""

from __future__ import annotations

from qbench.errors import CheckpointError
from qbench.models.architectures.base import (
    MAX_EXPERTS,
    MAX_HIDDEN,
    MAX_INNER,
    Architecture,
    Common,
    activation,
    context_length,
    first,
    require,
    rotated,
    sizes,
    uniform,
)
from qbench.models.architectures.llama import SLOTS
from qbench.models.architectures.mixture import EXPERTS, with_experts
from qbench.models.names import Names
from qbench.models.rope_config import read_rope, rope_fields, usable_context, yarn_mscale
from qbench.models.spec import Attention, DecoderSpec, Experts, FeedForward, Norm, Rotary
from qbench.models.strict_json import Fields


def _scale(fields: Fields, dim: int) -> float:
    """Scale of scores: with a stretched rotation its ``mscale_all_dim`` squared comes in."""
    own = rope_fields(fields)
    scale = float(dim**-0.5)
    if own.string("rope_type", own.string("type", "default")) == "default":
        return scale
    all_dims = own.number("mscale_all_dim", -1.0, 1e6, 0.0)
    stretched = yarn_mscale(own.number("factor", 0.0, 1e6), all_dims) if all_dims else 1.0
    return float(scale * stretched**2)


def _experts(fields: Fields) -> Experts:
    """Read the mixture: softmax, the best of all or of the best groups."""
    require(fields, "scoring_func", "softmax", "softmax", "the sigmoid of DeepSeek-V3 is not")
    require(fields, "norm_topk_prob", False, False, "weights are not normalized in DeepSeek-V2")
    require(fields, "moe_layer_freq", 1, 1, "every layer has a mixture")
    count = fields.integer(
        first(fields, "n_routed_experts", "num_local_experts"), 1, MAX_EXPERTS, 64
    )
    method = fields.string("topk_method", "greedy")
    groups = active = 1
    if method == "group_limited_greedy":
        groups = fields.integer("n_group", 1, count)
        active = fields.integer("topk_group", 1, groups)
        if count % groups:
            fields.fail("n_group", f"a divisor of the {count} experts")
    elif method != "greedy":
        fields.fail("topk_method", "'greedy' or 'group_limited_greedy'")
    size = fields.integer("moe_intermediate_size", 1, MAX_INNER, 1407)
    shared = fields.integer("n_shared_experts", 0, 1024, 2)
    return Experts(
        count,
        fields.integer("num_experts_per_tok", 1, count // groups * active),
        size,
        normalize=False,
        scale=fields.number("routed_scaling_factor", 0.0, 1e6, 1.0),
        groups=groups,
        active_groups=active,
        shared_size=shared * size,
    )


def read_deepseek_v2(fields: Fields, common: Common) -> DecoderSpec:
    """DeepSeek-V2-Lite: a key is a part from the latent vector and a turned part of all heads."""
    if "q_lora_rank" not in fields.values or fields.values["q_lora_rank"] is not None:
        raise CheckpointError(
            f"{fields.where}: q_lora_rank: queries from a latent vector are not supported "
            "(DeepSeek-V2-Lite has none: null)"
        )
    require(fields, "attention_bias", False, False, "no released model has it")
    require(fields, "mlp_bias", False, False, "no released model has it")
    plain = fields.integer("qk_nope_head_dim", 1, MAX_HIDDEN, 128)
    turned = rotated(fields, fields.integer("qk_rope_head_dim", 2, MAX_HIDDEN, 64), 1.0)
    values = {**fields.values, "head_dim": plain + turned, "num_key_value_heads": None}
    s = sizes(Fields(values, fields.where))
    context = context_length(fields, 2048)
    rope = read_rope(fields, context, turned)
    dense = fields.integer("first_k_dense_replace", 0, s.n_layers, 0)
    inner = fields.integer("intermediate_size", 1, MAX_INNER)
    spec = DecoderSpec(
        **common,
        **{**s.common, "value_dim": fields.integer("v_head_dim", 1, MAX_HIDDEN, 128)},
        context_length=usable_context(context, (rope,)),
        norm=Norm(eps=fields.number("rms_norm_eps", 0.0, 1.0, 1e-6)),
        attention=Attention(_scale(fields, s.head_dim)),
        feed_forward=FeedForward(activation(fields, "silu", "hidden_act")),
        layers=uniform(s.n_layers, inner),
        rotary=Rotary((rope,), turned, begin=plain, interleaved=True),
        latent=fields.integer("kv_lora_rank", 1, MAX_HIDDEN, 512),
    )
    return with_experts(spec, _experts(fields), [i >= dense for i in range(s.n_layers)], inner)


NAMES = Names(
    {
        **SLOTS,
        "kv_a": "self_attn.kv_a_proj_with_mqa",
        "kv_norm": "self_attn.kv_a_layernorm",
        "kv_b": "self_attn.kv_b_proj",
        "router": "mlp.gate",
    },
    experts=EXPERTS,
    shared={part: f"mlp.shared_experts.{part}_proj" for part in ("gate", "up", "down")},
)

ARCHITECTURES = {"DeepseekV2ForCausalLM": Architecture(read_deepseek_v2, NAMES)}
