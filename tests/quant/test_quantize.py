"""Which tensors a recipe touches, and what is refused before anything is quantized."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from quant.builders import arrays, bf16_bits, checkpoint, spec

from qbench.errors import CheckpointError, NonFiniteError, RecipeError, RequestError
from qbench.models import LINEAR_SLOTS, tensor_slots
from qbench.models.checkpoint import MemoryCheckpoint, Weight
from qbench.quant import quantize
from qbench.quant.model import HEAD, QuantizedModel
from qbench.quant.packed import PackedMatrix
from qbench.quant.quantize import quantize_checkpoint, quantize_tensor, stored_recipe
from qbench.quant.recipe import Recipe
from qbench.quant.tensor import QuantizedTensor

EMBEDDING = "model.embed_tokens.weight"


def dense(model: QuantizedModel, name: str) -> Weight:
    tensor = model.tensors[name]
    assert isinstance(tensor, Weight)
    return tensor


def codes(model: QuantizedModel, name: str) -> QuantizedTensor:
    tensor = model.tensors[name]
    assert isinstance(tensor, QuantizedTensor)
    return tensor


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("stored", ["f32", "f16", "bf16"])
def test_rtn_touches_the_linears_alone(stored: str, tied: bool) -> None:
    source = checkpoint(stored, tied)
    model = quantize_checkpoint(source, spec(stored, tied), "rtn-w4g32")
    slots = tensor_slots(spec(stored, tied))
    assert list(model.tensors) == [slot.name for slot in slots]
    for slot in slots:
        if slot.slot in LINEAR_SLOTS:
            tensor = codes(model, slot.name)
            assert tensor.shape == slot.shape
            alone = quantize_tensor(source.read(slot.name), "rtn-w4g32", slot.name)
            assert np.array_equal(tensor.codes, alone.codes)
        else:
            assert dense(model, slot.name).array is source.read(slot.name).array


@pytest.mark.parametrize("recipe", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("stored", ["f32", "f16", "bf16"])
def test_baselines_convert_all_but_the_norms(recipe: str, stored: str) -> None:
    source = checkpoint(stored, tied=False)
    model = quantize_checkpoint(source, spec(stored, tied=False), recipe)
    for slot in tensor_slots(spec(stored, tied=False)):
        kept = len(slot.shape) == 1
        assert dense(model, slot.name).dtype == (stored if kept else recipe)
    if stored == recipe:
        assert dense(model, HEAD).array is source.read(HEAD).array


@pytest.mark.parametrize("stored", ["f32", "f16", "bf16"])
def test_no_recipe_keeps_the_stored_type(stored: str) -> None:
    model = quantize_checkpoint(checkpoint(stored), spec(stored), None)
    assert model.recipe == Recipe(stored) == stored_recipe(spec(stored))


@pytest.mark.parametrize(
    "recipe", ["rtn-w4g16-sym+head8", "f16+head8", "rtn-w3gr+head4{scale=f16}"]
)
@pytest.mark.parametrize("tied", [True, False])
def test_a_quantized_head(recipe: str, tied: bool) -> None:
    source = checkpoint("f32", tied)
    model = quantize_checkpoint(source, spec("f32", tied), recipe)
    head = codes(model, HEAD)
    parsed = Recipe.parse(recipe)
    alone = Recipe.parse("rtn-w4") if parsed.is_dense else parsed
    alone = dataclasses.replace(alone, bits=parsed.head_bits, head_bits=None)
    expected = quantize_tensor(source.read(EMBEDDING if tied else HEAD), alone)
    assert np.array_equal(head.codes, expected.codes)
    assert np.array_equal(head.scales, expected.scales)
    assert (head.symmetric, head.group, head.scale_type) == (
        expected.symmetric,
        expected.group,
        expected.scale_type,
    )
    assert isinstance(model.tensors[EMBEDDING], Weight)


@pytest.mark.parametrize("recipe", ["rtn-w3g16", "rtn-w4-sym+head8"])
def test_a_packed_model_is_the_same_model(recipe: str) -> None:
    plain = quantize_checkpoint(checkpoint(), spec(), recipe)
    packed = quantize_checkpoint(checkpoint(), spec(), recipe, packed=True)
    assert packed.bits_per_weight == plain.bits_per_weight
    assert packed.model_bits == plain.model_bits
    for name, expected in plain.tensors.items():
        found = packed.tensors[name]
        if isinstance(expected, Weight):
            assert isinstance(found, Weight)
            continue
        assert isinstance(found, PackedMatrix)
        unpacked = found.unpack()
        for part in ("codes", "scales", "zeros"):
            np.testing.assert_array_equal(getattr(unpacked, part), getattr(expected, part))


def test_progress_counts_the_weights() -> None:
    seen: list[tuple[int, int]] = []
    quantize_checkpoint(checkpoint(), spec(), "rtn-w4", lambda *counts: seen.append(counts))
    done = [counts[0] for counts in seen]
    assert done == sorted(set(done))
    assert seen[-1][0] == seen[-1][1] == sum(a.size for a in arrays().values())


@pytest.mark.parametrize("name", ["model.norm.weight", "model.layers.1.mlp.down_proj.weight"])
@pytest.mark.parametrize("recipe", ["f32", "rtn-w4"])
def test_every_float_is_checked_first(
    name: str, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a tensor was quantized before all were checked")

    monkeypatch.setattr(quantize, "_apply", never)
    weights = arrays()
    weights[name].reshape(-1)[-1] = np.nan
    with pytest.raises(NonFiniteError, match=name):
        quantize_checkpoint(MemoryCheckpoint(weights), spec(), recipe)


def test_bfloat16_infinity_is_found() -> None:
    weights = arrays("bf16")
    weights[EMBEDDING][3, 5] = bf16_bits(np.float32([np.inf]))[0]
    with pytest.raises(NonFiniteError, match=rf"{EMBEDDING}.*row 3, column 5"):
        quantize_checkpoint(MemoryCheckpoint(weights), spec("bf16"), "rtn-w4")


def test_float16_overflow_is_named() -> None:
    weights = arrays()
    weights[EMBEDDING][2, 1] = 1e5
    with pytest.raises(NonFiniteError, match=rf"{EMBEDDING}.*row 2, column 1.*bf16 or f32"):
        quantize_checkpoint(MemoryCheckpoint(weights), spec(), "f16")


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_a_checkpoint_that_does_not_fit(change: str) -> None:
    weights = arrays()
    name = "model.layers.0.self_attn.k_proj.weight"
    if change == "missing":
        del weights[name]
    else:
        weights[name] = weights[name].T.copy()
    with pytest.raises(CheckpointError, match=name):
        quantize_checkpoint(MemoryCheckpoint(weights), spec(), "rtn-w4")


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("gptq-w4", "the method gptq is not there yet"),
        ("rtn-w4+kv8", "kv8 is not there yet"),
        ("as-is", "already quantized, this one holds float32; use f32 or rtn-w4"),
        ("nonsense", "unknown method"),
    ],
)
def test_recipes_that_cannot_be_applied(recipe: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        quantize_checkpoint(checkpoint(), spec(), recipe)


@pytest.mark.parametrize(
    ("weight", "recipe", "error", "message"),
    [
        (np.ones(4, np.float32), "rtn-w4", RequestError, r"tensor x: expected a matrix.*\(4,\)"),
        (np.ones((0, 4), np.float32), "rtn-w4", RequestError, "expected a matrix"),
        (np.ones((2, 4)), "rtn-w4", RequestError, "expected a float32 array, found float64"),
        ([[1.0]], "rtn-w4", RequestError, "expected a float32 array, found list"),
        (np.ones((2, 4), np.float32), "f16", RecipeError, "f16 gives no codes; use rtn-w4"),
        (np.ones((2, 4), np.float32), "as-is", RecipeError, "as-is gives no codes"),
    ],
)
def test_tensors_that_cannot_be_quantized(
    weight: np.ndarray, recipe: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        quantize_tensor(weight, recipe, "x")


def test_half_precision_arrays_are_taken() -> None:
    values = np.linspace(-1, 1, 80, dtype=np.float16).reshape(2, 40)
    a, b = quantize_tensor(values, "rtn-w4"), quantize_tensor(values.astype(np.float32), "rtn-w4")
    assert np.array_equal(a.codes, b.codes)
