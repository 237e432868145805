"""What a quantized model costs in bits, against sums written out by hand."""

from __future__ import annotations

import math

import pytest
from quant.builders import checkpoint, spec

from qbench.models import LINEAR_SLOTS, tensor_slots
from qbench.quant.quantize import quantize_checkpoint

LINEAR = 2 * (2 * 40 * 40 + 2 * 20 * 40 + 3 * 51 * 40)
NORM = 5 * 40
EMBEDDING = 37 * 40


def groups(n_inputs: int, group: int) -> int:
    return -(-n_inputs // min(group or n_inputs, n_inputs))


def test_the_sums_are_those_of_the_model() -> None:
    slots = tensor_slots(spec())
    linear = sum(math.prod(slot.shape) for slot in slots if slot.slot in LINEAR_SLOTS)
    assert linear == LINEAR
    assert sum(math.prod(slot.shape) for slot in slots) == LINEAR + NORM + EMBEDDING


@pytest.mark.parametrize(("recipe", "bits"), [("f32", 32.0), ("f16", 16.0), ("bf16", 16.0)])
@pytest.mark.parametrize("stored", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_baseline_has_the_bits_of_its_type(
    recipe: str, bits: float, stored: str, tied: bool
) -> None:
    model = quantize_checkpoint(checkpoint(stored, tied), spec(stored, tied), recipe)
    assert model.bits_per_weight == bits
    assert model.model_bits == bits


@pytest.mark.parametrize(
    ("recipe", "bits", "group", "scale", "zero"),
    [
        ("rtn-w4g32", 4, 32, 16, 4),
        ("rtn-w3gr-sym", 3, 0, 16, 0),
        ("rtn-w8g128{scale=f32}", 8, 128, 32, 8),
        ("rtn-w2g16", 2, 16, 16, 2),
    ],
)
@pytest.mark.parametrize("tied", [True, False])
def test_bits_of_a_quantized_model(
    recipe: str, bits: int, group: int, scale: int, zero: int, tied: bool
) -> None:
    per_layer = sum(
        n_out * n_in * bits + n_out * groups(n_in, group) * (scale + zero)
        for n_out, n_in in [(40, 40)] * 2 + [(20, 40)] * 2 + [(51, 40)] * 2 + [(40, 51)]
    )
    heads = 1 if tied else 2
    model = quantize_checkpoint(checkpoint("bf16", tied), spec("bf16", tied), recipe)
    assert model.bits_per_weight == 2 * per_layer / LINEAR
    whole = 2 * per_layer + 16 * (NORM + heads * EMBEDDING)
    assert model.model_bits == whole / (LINEAR + NORM + heads * EMBEDDING)


@pytest.mark.parametrize("tied", [True, False])
def test_a_quantized_head_counts_in_the_model_alone(tied: bool) -> None:
    plain = quantize_checkpoint(checkpoint("f32", tied), spec("f32", tied), "rtn-w4g32")
    model = quantize_checkpoint(checkpoint("f32", tied), spec("f32", tied), "rtn-w4g32+head8")
    head = 37 * (40 * 8 + 2 * (16 + 8))
    assert model.bits_per_weight == plain.bits_per_weight
    parameters = LINEAR + NORM + EMBEDDING * (1 if tied else 2)
    removed = 0 if tied else 32 * EMBEDDING
    assert model.model_bits * parameters == pytest.approx(
        plain.model_bits * parameters + head - removed, rel=1e-12
    )
