"""The ``config.json`` of a saved model.

Taken from the model's source where there is one, so that nothing a later reader may want is lost;
else written from the decoder specification. It must not know about tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qbench.models.rope import RopeSpec
from qbench.models.spec import DecoderSpec
from qbench.quant.layout import QUANT_METHOD, VERSION, is_plain
from qbench.quant.recipe import Recipe

_DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


def saved_config(
    recipe: Recipe, spec: DecoderSpec, source: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the configuration that describes a model under a recipe.

    Parameters
    ----------
    recipe
        Recorded in ``quantization_config``, unless the result is an ordinary float checkpoint.
    spec
        The decoder.
    source
        Configuration of the model that was quantized; None writes one from the specification.
    """
    config = config_from_spec(spec) if source is None else dict(source)
    config.pop("quantization_config", None)
    if recipe.is_dense:
        # transformers 5 reads "dtype", transformers 4 "torch_dtype"; neither may stay stale.
        for key in [k for k in ("dtype", "torch_dtype") if k in config] or ["torch_dtype"]:
            config[key] = _DTYPES[recipe.method]
    if not is_plain(recipe):
        config["quantization_config"] = {
            "quant_method": QUANT_METHOD,
            "version": VERSION,
            "recipe": recipe.canonical,
        }
    return config


def config_from_spec(spec: DecoderSpec) -> dict[str, Any]:
    """Write a specification as a configuration that ``decoder_spec`` reads back as the same."""
    return {
        "architectures": [spec.architecture],
        "model_type": spec.model_type,
        "hidden_size": spec.hidden_size,
        "intermediate_size": spec.intermediate_size,
        "num_hidden_layers": spec.n_layers,
        "num_attention_heads": spec.n_heads,
        "num_key_value_heads": spec.n_kv_heads,
        "head_dim": spec.head_dim,
        "vocab_size": spec.vocab_size,
        "max_position_embeddings": spec.context_length,
        "hidden_act": "silu",
        "rms_norm_eps": spec.norm_eps,
        "rope_theta": spec.rope.theta,
        "rope_scaling": _rope_scaling(spec.rope),
        "tie_word_embeddings": spec.tied_head,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": spec.bos_token_id,
        "eos_token_id": list(spec.eos_token_ids) or None,
        "torch_dtype": spec.stored_dtype,
    }


def _rope_scaling(rope: RopeSpec) -> dict[str, Any] | None:
    """Spell the scaling of the rotary embedding, or None for the plain one."""
    if rope.kind == "default":
        return None
    scaling: dict[str, Any] = {"rope_type": rope.kind, "factor": rope.factor}
    if rope.kind == "llama3":
        scaling["low_freq_factor"] = rope.low_freq_factor
        scaling["high_freq_factor"] = rope.high_freq_factor
        scaling["original_max_position_embeddings"] = rope.original_context
    return scaling


def encode_config(config: Mapping[str, Any]) -> bytes:
    """Encode a configuration as the text of its file."""
    return (json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
