"""Configurations of saved models read back as the same decoder."""

from __future__ import annotations

import json
from typing import Any

import pytest
from quant.builders import config, spec

from qbench.models import decoder_spec
from qbench.quant.config_writer import encode_config, saved_config
from qbench.quant.recipe import Recipe


def reread(document: dict[str, Any]) -> Any:
    return json.loads(encode_config(document))


def test_without_a_folder_the_configuration_it_was_read_from_is_saved() -> None:
    given = decoder_spec(config(), "config")
    assert reread(saved_config(Recipe.parse("f32"), given, None)) == config()


def test_the_recipe_is_recorded_and_nothing_is_lost() -> None:
    source = config() | {"quantization_config": {"quant_method": "qbench", "old": 1}}
    saved = reread(saved_config(Recipe.parse("rtn-w4+kv16"), spec(), source))
    assert saved.pop("quantization_config") == {
        "quant_method": "qbench",
        "version": 1,
        "recipe": "rtn-w4g32+kv16",
    }
    assert saved == config()
    assert source["quantization_config"] == {"quant_method": "qbench", "old": 1}


def test_a_baseline_is_an_ordinary_checkpoint() -> None:
    source = config() | {"quantization_config": {"quant_method": "qbench"}}
    saved = saved_config(Recipe.parse("f16"), spec(), source)
    assert saved == config() | {"torch_dtype": "float16"}


@pytest.mark.parametrize("keys", [("dtype",), ("torch_dtype",), ("dtype", "torch_dtype")])
def test_every_spelling_of_the_type_follows_a_baseline(keys: tuple[str, ...]) -> None:
    source = {key: value for key, value in config().items() if key != "torch_dtype"}
    source |= dict.fromkeys(keys, "float32")
    saved = saved_config(Recipe.parse("bf16+head8"), spec(), source)
    assert {key: saved.get(key) for key in ("dtype", "torch_dtype")} == {
        key: "bfloat16" if key in keys else None for key in ("dtype", "torch_dtype")
    }
    assert saved["quantization_config"]["recipe"] == "bf16+head8"
