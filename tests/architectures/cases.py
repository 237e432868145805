"""Small but honest models of every architecture: what transformers builds them from.

Grouped heads where the family has them, odd sizes, three layers or more, and so few trained
positions that windows, scalings and tables of positions matter within `LENGTH` tokens.
"""

from __future__ import annotations

from typing import Any, NamedTuple

LENGTH = 150
TRAINED = 64
"""Positions that stretched rotations were trained for."""

SMALL = {
    "vocab_size": 211,
    "hidden_size": 48,
    "intermediate_size": 76,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}


class Case(NamedTuple):
    """A configuration class of transformers, what to give it, and how long a sequence to read.

    ``attention``: the implementation of transformers, None for its default: its eager one counts
    the slopes of Falcon twice.
    """

    config: str
    fields: dict[str, Any]
    length: int = LENGTH
    attention: str | None = None


def _rope(kind: str, **more: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 1e4, **more}}


def _llama(**more: Any) -> Case:
    return Case("LlamaConfig", {**SMALL, **more})


_OLD_GPT = {"vocab_size": 211, "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 256}
_QWEN3 = {**SMALL, "head_dim": 20, "num_attention_heads": 4}
_FALCON = {
    "vocab_size": 211,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 256,
}
_STRETCHED = {"original_max_position_embeddings": TRAINED}
_PAIRS = 4  # of a head of 8

CASES: dict[str, Case] = {
    "llama": _llama(),
    "llama, biases": _llama(attention_bias=True, mlp_bias=True, head_dim=10),
    "llama, linear": _llama(**_rope("linear", factor=4.0)),
    "llama, dynamic": _llama(
        **_rope("dynamic", factor=2.0) | {"max_position_embeddings": TRAINED * 2}
    ),
    "llama, yarn": _llama(**_rope("yarn", factor=4.0, **_STRETCHED)),
    "llama 3": _llama(
        **_rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, **_STRETCHED)
    ),
    "mistral": Case("MistralConfig", {**SMALL, "sliding_window": 37}),
    "mixtral": Case(
        "MixtralConfig",
        {**SMALL, "num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": None},
    ),
    "qwen2": Case("Qwen2Config", SMALL),
    "qwen2, windows": Case(
        "Qwen2Config",
        {**SMALL, "use_sliding_window": True, "sliding_window": 40, "max_window_layers": 1},
    ),
    "qwen2-moe": Case(
        "Qwen2MoeConfig",
        {
            **SMALL,
            "num_hidden_layers": 4,
            "num_experts": 7,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 28,
            "shared_expert_intermediate_size": 52,
            "decoder_sparse_step": 2,
        },
    ),
    "qwen3": Case("Qwen3Config", _QWEN3),
    "qwen3-moe": Case(
        "Qwen3MoeConfig",
        {
            **_QWEN3,
            "num_experts": 9,
            "num_experts_per_tok": 4,
            "moe_intermediate_size": 20,
            "norm_topk_prob": True,
            "mlp_only_layers": [1],
        },
    ),
    "phi-2": Case("PhiConfig", {**SMALL, "partial_rotary_factor": 0.5}),
    "phi-3": Case("Phi3Config", {**SMALL, "sliding_window": 50, "pad_token_id": 0}),
    "phi-3, longrope, short": Case(
        "Phi3Config",
        {
            **SMALL,
            "pad_token_id": 0,
            "original_max_position_embeddings": 200,
            **_rope(
                "longrope",
                short_factor=[1.0, 1.1, 1.3, 1.6][:_PAIRS],
                long_factor=[1.0, 2.0, 4.0, 6.5][:_PAIRS],
            ),
        },
    ),
    "phi-4, longrope, long": Case(
        "Phi3Config",
        {
            **SMALL,
            "pad_token_id": 0,
            "partial_rotary_factor": 0.75,
            "original_max_position_embeddings": TRAINED,
            **_rope(
                "longrope",
                short_factor=[1.0, 1.1, 1.3],
                long_factor=[1.0, 2.0, 4.0],
                partial_rotary_factor=0.75,
            ),
        },
    ),
    "gemma": Case("GemmaConfig", {**SMALL, "head_dim": 10}),
    "gemma 2": Case(
        "Gemma2Config",
        {**SMALL, "head_dim": 10, "sliding_window": 33, "query_pre_attn_scalar": 24},
        attention="eager",  # the other one has no softcap
    ),
    "gemma 3": Case(
        "Gemma3TextConfig",
        {**SMALL, "head_dim": 10, "num_hidden_layers": 7, "sliding_window": 30}
        | {
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            }
        },
    ),
    "gpt-2": Case("GPT2Config", _OLD_GPT),
    "gpt-neo": Case(
        "GPTNeoConfig",
        {
            "vocab_size": 211,
            "hidden_size": 48,
            "num_layers": 4,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 2]],
            "window_size": 21,
            "max_position_embeddings": 256,
        },
    ),
    "gpt-j": Case("GPTJConfig", {**_OLD_GPT, "rotary_dim": 6}),
    "gpt-neox": Case(
        "GPTNeoXConfig", {k: v for k, v in SMALL.items() if k != "num_key_value_heads"}
        | {"rotary_pct": 0.5},
    ),
    "gpt-neox, in sequence": Case(
        "GPTNeoXConfig", {k: v for k, v in SMALL.items() if k != "num_key_value_heads"}
        | {"rotary_pct": 0.25, "use_parallel_residual": False},
    ),
    "opt": Case(
        "OPTConfig",
        {
            "vocab_size": 211,
            "hidden_size": 48,
            "ffn_dim": 76,
            "num_hidden_layers": 3,
            "num_attention_heads": 6,
            "max_position_embeddings": 200,
            "word_embed_proj_dim": 48,
        },
    ),
    "bloom": Case("BloomConfig", {"vocab_size": 211, "hidden_size": 60, "n_layer": 3, "n_head": 6}),
    "falcon-7b": Case("FalconConfig", _FALCON),
    "falcon-40b": Case(
        "FalconConfig", {**_FALCON, "new_decoder_architecture": True, "num_kv_heads": 2}
    ),
    "falcon-2": Case(
        "FalconConfig",
        {
            **_FALCON,
            "new_decoder_architecture": True,
            "num_kv_heads": 3,
            "num_ln_in_parallel_attn": 1,
        },
    ),
    "falcon-rw": Case(
        "FalconConfig",
        {
            **_FALCON,
            "alibi": True,
            "multi_query": False,
            "parallel_attn": False,
            "bias": True,
        },
    ),
    "mpt": Case(
        "MptConfig",
        {
            "vocab_size": 211,
            "d_model": 60,
            "n_layers": 3,
            "n_heads": 6,
            "max_seq_len": 256,
            "attn_config": {"clip_qkv": 1.5, "alibi_bias_max": 8},
        },
    ),
    "stablelm": Case("StableLmConfig", {**SMALL, "num_attention_heads": 4, "use_qkv_bias": True}
                     | {"partial_rotary_factor": 0.5}),
    "stablelm 2 12b": Case(
        "StableLmConfig",
        {
            **SMALL,
            "num_attention_heads": 4,
            "partial_rotary_factor": 0.5,
            "qk_layernorm": True,
            "use_parallel_residual": True,
        },
    ),
    "starcoder2": Case("Starcoder2Config", {**SMALL, "sliding_window": 45}),
    "granite": Case(
        "GraniteConfig",
        {
            **SMALL,
            "attention_multiplier": 0.2,
            "embedding_multiplier": 3.0,
            "residual_multiplier": 0.7,
            "logits_scaling": 1.6,
        },
    ),
    "olmo 2": Case("Olmo2Config", SMALL),
    "smollm3": Case("SmolLM3Config", {**SMALL, "num_hidden_layers": 5, "pad_token_id": 0}),
    "deepseek-v2-lite": Case(
        "DeepseekV2Config",
        {
            **SMALL,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "q_lora_rank": None,
            "kv_lora_rank": 20,
            "qk_nope_head_dim": 10,
            "qk_rope_head_dim": 6,
            "v_head_dim": 14,
            "n_routed_experts": 8,
            "num_experts_per_tok": 3,
            "n_shared_experts": 2,
            "moe_intermediate_size": 28,
            "first_k_dense_replace": 1,
            "routed_scaling_factor": 1.3,
            **_rope(
                "yarn", factor=4.0, mscale=0.707, mscale_all_dim=0.707, beta_fast=32, beta_slow=1,
                **_STRETCHED,
            ),
        },
    ),
    "deepseek-v2, groups": Case(
        "DeepseekV2Config",
        {
            **SMALL,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "q_lora_rank": None,
            "kv_lora_rank": 20,
            "qk_nope_head_dim": 10,
            "qk_rope_head_dim": 6,
            "v_head_dim": 16,
            "n_routed_experts": 8,
            "num_experts_per_tok": 3,
            "n_group": 4,
            "topk_group": 2,
            "topk_method": "group_limited_greedy",
            "moe_intermediate_size": 28,
        },
    ),
    "qwen": Case(
        "QwenConfig",
        {
            "vocab_size": 211,
            "hidden_size": 48,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "kv_channels": 12,
            "intermediate_size": 152,
            "seq_length": TRAINED,
            "max_position_embeddings": 4 * TRAINED,
        },
    ),
}  # fmt: skip
