"""Mixtures of experts on Llama's frame: Mixtral, Qwen2-MoE, Qwen3-MoE."""

from __future__ import annotations

import dataclasses

from qbench.errors import CheckpointError
from qbench.models.architectures.base import (
    MAX_EXPERTS,
    MAX_INNER,
    Architecture,
    Common,
    first,
    layer_kinds,
    sizes,
    sliding_window,
)
from qbench.models.architectures.llama import SLOTS, read_like_llama
from qbench.models.names import Names
from qbench.models.spec import DecoderSpec, Experts, Layer
from qbench.models.strict_json import Fields


def with_experts(spec: DecoderSpec, experts: Experts, where: list[bool], dense: int) -> DecoderSpec:
    """Put a mixture into some layers; the others have a feed-forward layer of their own."""
    layers = tuple(
        Layer(experts.shared_size if has else dense, layer.window, layer.rotation, has)
        for layer, has in zip(spec.layers, where, strict=True)
    )
    return dataclasses.replace(spec, experts=experts, layers=layers)


def active_experts(fields: Fields, count: int, default: int | None) -> int:
    """Read how many experts a token goes through."""
    return fields.integer("num_experts_per_tok", 1, count, default)


def read_mixtral(fields: Fields, common: Common) -> DecoderSpec:
    """Mixtral: two of eight experts in every layer, weights that add up to one."""
    s = sizes(fields, kv_heads=8)
    spec = read_like_llama(
        fields,
        common,
        s,
        context=131072,
        eps=1e-5,
        theta=1e6,
        windows=sliding_window(fields, None),
    )
    count = fields.integer(first(fields, "num_local_experts", "num_experts"), 1, MAX_EXPERTS, 8)
    inner = fields.integer("intermediate_size", 1, MAX_INNER)
    experts = Experts(count, active_experts(fields, count, 2), inner, normalize=True)
    return with_experts(spec, experts, [True] * s.n_layers, 0)


def _sparse_layers(fields: Fields, n_layers: int, count: int) -> list[bool]:
    """Which layers of a Qwen model have a mixture."""
    step = fields.integer("decoder_sparse_step", 1, 1 << 20, 1)
    dense = fields.values.get("mlp_only_layers") or []
    if not isinstance(dense, list) or any(type(i) is not int for i in dense):
        fields.fail("mlp_only_layers", "a list of layer numbers")
    return [count > 0 and i not in dense and (i + 1) % step == 0 for i in range(n_layers)]


def _qwen_experts(fields: Fields, defaults: tuple[int, int, int], shared: int) -> Experts:
    """Read the mixture of a Qwen model; defaults of count, active and size."""
    count = fields.integer(
        first(fields, "num_experts", "num_local_experts"), 0, MAX_EXPERTS, defaults[0]
    )
    return Experts(
        count,
        active_experts(fields, max(count, 1), defaults[1]),
        fields.integer("moe_intermediate_size", 1, MAX_INNER, defaults[2]),
        normalize=fields.boolean("norm_topk_prob", False),
        shared_size=shared,
        shared_gate=shared > 0,
    )


def read_qwen2_moe(fields: Fields, common: Common) -> DecoderSpec:
    """Qwen1.5-MoE and Qwen2-MoE: small experts beside one that all tokens share."""
    s = sizes(fields)
    bias = fields.boolean("qkv_bias", True)
    windows = [0] * s.n_layers
    if fields.boolean("use_sliding_window", False):
        until = fields.integer("max_window_layers", 0, 1 << 30, 28)
        kinds = layer_kinds(fields, s.n_layers)
        if kinds is None:
            kinds = tuple(i % 2 == 0 and i < until for i in range(s.n_layers))
        windows = [sliding_window(fields, 4096) if has else 0 for has in kinds]
    spec = read_like_llama(fields, common, s, context=32768, windows=tuple(windows), bias=bias)
    shared = fields.integer("shared_expert_intermediate_size", 1, MAX_INNER, 5632)
    experts = _qwen_experts(fields, (60, 4, 1408), shared)
    where = _sparse_layers(fields, s.n_layers, experts.count)
    return with_experts(spec, experts, where, fields.integer("intermediate_size", 1, MAX_INNER))


def read_qwen3_moe(fields: Fields, common: Common) -> DecoderSpec:
    """Qwen3-MoE: Qwen3 with 128 experts and none shared."""
    s = sizes(fields, kv_heads=4)
    bias = fields.boolean("attention_bias", False)
    used = fields.boolean("use_sliding_window", False)
    spec = read_like_llama(
        fields,
        common,
        s,
        context=32768,
        windows=sliding_window(fields, 4096) if used else 0,
        bias=bias,
        out_bias=bias,
        qk_norm="head",
    )
    experts = _qwen_experts(fields, (128, 8, 768), 0)
    where = _sparse_layers(fields, s.n_layers, experts.count)
    if experts.count and experts.active > experts.count:
        raise CheckpointError(f"{fields.where}: num_experts_per_tok exceeds num_experts")
    return with_experts(spec, experts, where, fields.integer("intermediate_size", 1, MAX_INNER))


EXPERTS = {part: f"mlp.experts.{{expert}}.{part}_proj" for part in ("gate", "up", "down")}

MIXTRAL = Names(
    {**SLOTS, "router": "block_sparse_moe.gate"},
    experts={
        "gate": "block_sparse_moe.experts.{expert}.w1",
        "up": "block_sparse_moe.experts.{expert}.w3",
        "down": "block_sparse_moe.experts.{expert}.w2",
    },
    stacked_slots={"router": "mlp.gate"},
)
QWEN = Names(
    {**SLOTS, "router": "mlp.gate", "shared_gate": "mlp.shared_expert_gate"},
    experts=EXPERTS,
    shared={part: f"mlp.shared_expert.{part}_proj" for part in ("gate", "up", "down")},
)

ARCHITECTURES = {
    "MixtralForCausalLM": Architecture(read_mixtral, MIXTRAL),
    "Qwen2MoeForCausalLM": Architecture(read_qwen2_moe, QWEN),
    "Qwen3MoeForCausalLM": Architecture(read_qwen3_moe, QWEN),
}
