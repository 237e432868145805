"""The contract of every registered method."""

from __future__ import annotations

import numpy as np
import pytest
from quant.builders import KINDS, hard_matrix

from qbench.models.checkpoint import Weight
from qbench.quant import floats
from qbench.quant.method_table import METHOD_INFO
from qbench.quant.methods import METHODS
from qbench.quant.recipe import Recipe
from qbench.quant.tensor import QuantizedTensor

BITS = (8, 4, 3, 2)
FORMS = ("g32", "gr", "g17-sym", "gr-sym")


def same(a: QuantizedTensor, b: QuantizedTensor) -> bool:
    zeros = (
        a.zeros is b.zeros
        if a.zeros is None or b.zeros is None
        else np.array_equal(a.zeros, b.zeros)
    )
    return zeros and np.array_equal(a.codes, b.codes) and np.array_equal(a.scales, b.scales)


@pytest.fixture(params=[f"{m}-w{b}{f}" for m in METHODS for b in BITS for f in FORMS])
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return Recipe.parse(request.param)


def apply(recipe: Recipe, values: np.ndarray) -> QuantizedTensor:
    return METHODS.get(recipe.method).quantize(Weight(values, "f32"), recipe, "w")


def test_registered_names_are_in_the_grammar() -> None:
    assert len(METHODS) > 0
    for name in METHODS:
        assert METHODS.get(name).name == name
        assert METHOD_INFO[name].form == "integer"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_inputs", [1, 15, 17, 31, 33, 172])
def test_parts_fit_each_other(recipe: Recipe, n_inputs: int, kind: str) -> None:
    tensor = apply(recipe, hard_matrix(3, n_inputs, 1, kind))
    tensor.check("w")
    assert tensor.shape == (3, n_inputs)
    assert tensor.bits == recipe.bits
    assert tensor.symmetric == recipe.symmetric
    assert tensor.group == min(recipe.group or n_inputs, n_inputs)
    assert tensor.codes.dtype == np.uint8
    assert tensor.scales.dtype == np.float32
    assert np.isfinite(tensor.dequantize()).all()


def test_zeros_decode_to_zeros(recipe: Recipe) -> None:
    assert not apply(recipe, np.zeros((4, 50), dtype=np.float32)).dequantize().any()


def test_rows_are_independent(recipe: Recipe, rng: np.random.Generator) -> None:
    values = rng.standard_normal((11, 70)).astype(np.float32)
    whole, part = apply(recipe, values), apply(recipe, values[3:7])
    assert np.array_equal(whole.codes[3:7], part.codes)
    assert np.array_equal(whole.scales[3:7], part.scales)


def test_blocks_do_not_matter(
    recipe: Recipe, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = rng.standard_normal((23, 70)).astype(np.float32)
    before = values.copy()
    whole = apply(recipe, values)
    monkeypatch.setattr(floats, "BLOCK_VALUES", 200)
    assert same(whole, apply(recipe, values))
    assert np.array_equal(values, before)
