"""Bytes that are told before loading against those of the loaded weights."""

from __future__ import annotations

import pytest
from quant.builders import checkpoint, spec

from qbench.quant.footprint import weight_bytes
from qbench.quant.load import pack
from qbench.quant.quantize import quantize_checkpoint
from qbench.quant.recipe import Recipe

RECIPES = [
    "f32", "f16", "bf16", "bf16+head8", "rtn-w4g32", "rtn-w3g16-sym", "rtn-w8gr", "rtn-w2g48+head4",
    "rtn-w4g128-sym{scale=f32}",
]  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("stored", ["f32", "bf16"])
def test_equals_the_bytes_of_the_packed_weights(recipe: str, tied: bool, stored: str) -> None:
    model = quantize_checkpoint(checkpoint(stored, tied), spec(stored, tied), recipe)
    assert weight_bytes(spec(stored, tied), Recipe.parse(recipe)) == pack(model).nbytes
