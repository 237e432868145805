"""Configurations of saved models read back as the same decoder."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from quant.builders import config, spec

from qbench.models import decoder_spec
from qbench.models.rope import RopeSpec
from qbench.quant.config_writer import config_from_spec, encode_config, saved_config
from qbench.quant.recipe import Recipe

ROPES = [
    RopeSpec(10000.0),
    RopeSpec(5e5, "linear", 2.5),
    RopeSpec(5e5, "llama3", 8.0, 1.0, 4.0, 8192),
]


def reread(document: dict[str, Any]) -> Any:
    return json.loads(encode_config(document))


@pytest.mark.parametrize("rope", ROPES, ids=lambda rope: rope.kind)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("tokens", [(None, ()), (1, (2,)), (0, (2, 36))])
def test_a_specification_survives(
    rope: RopeSpec, tied: bool, tokens: tuple[int | None, tuple[int, ...]]
) -> None:
    given = dataclasses.replace(
        spec("bf16", tied), rope=rope, bos_token_id=tokens[0], eos_token_ids=tokens[1]
    )
    assert decoder_spec(reread(config_from_spec(given)), "config") == given


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
