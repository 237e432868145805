"""The ``config.json`` of a saved model.

What the model was read from, so that nothing that a later reader may want is lost. It must not know
about tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

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
        Configuration of the model that was quantized; None: what the specification was read
        from.
    """
    config = dict(spec.config if source is None else source)
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


def encode_config(config: Mapping[str, Any]) -> bytes:
    """Encode a configuration as the text of its file."""
    return (json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
