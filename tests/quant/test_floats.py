"""Float conversions against exhaustive and independent references."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from quant.oracle import round_to_format

from qbench.errors import NonFiniteError
from qbench.models.checkpoint import Weight
from qbench.quant import floats
from qbench.quant.floats import (
    bf16_to_f32,
    convert,
    f32_to_bf16,
    row_blocks,
)


def test_every_finite_bfloat16_survives_the_way_through_float32() -> None:
    bits = np.arange(65536, dtype=np.uint16)
    finite = bits[(bits & 0x7F80) != 0x7F80]
    assert np.array_equal(f32_to_bf16(bf16_to_f32(finite)), finite)


def test_float32_rounds_to_the_nearest_bfloat16(rng: np.random.Generator) -> None:
    values = (rng.standard_normal(800) * 2.0 ** rng.integers(-140, 100, 800)).astype(np.float32)
    ties = bf16_to_f32(np.array([0x3F80, 0x3F81, 0xC001], np.uint16)).view(np.uint32) + 0x8000
    for value in np.concatenate([values, ties.view(np.float32)]):
        found = float(bf16_to_f32(f32_to_bf16(np.array([value])))[0])
        assert found == float(round_to_format(Fraction(float(value)), "bf16"))


@pytest.mark.parametrize("shape", [(7,), (1, 1), (5, 33)])
def test_convert(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    values = rng.standard_normal(shape).astype(np.float32)
    half = convert(Weight(values, "f32"), "f16", "w")
    assert half.array.dtype == np.float16
    assert np.array_equal(half.array, values.astype(np.float16))
    brain = convert(half, "bf16", "w")
    assert np.array_equal(brain.array, f32_to_bf16(half.array.astype(np.float32)))
    back = convert(brain, "f32", "w")
    assert back.array.shape == shape
    assert np.array_equal(back.array, bf16_to_f32(brain.array))


def test_the_same_type_is_not_copied() -> None:
    weight = Weight(np.ones((2, 3), dtype=np.float32), "f32")
    assert convert(weight, "f32", "w") is weight


@pytest.mark.parametrize(("value", "dtype"), [(65520.0, "f16"), (-1e30, "f16"), (3.4e38, "bf16")])
def test_overflow_is_named(value: float, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floats, "BLOCK_VALUES", 4)
    values = np.ones((5, 3), dtype=np.float32)
    values[4, 2] = value
    with pytest.raises(NonFiniteError, match=rf"tensor w: .* row 4, column 2 .*range of {dtype}"):
        convert(Weight(values, "f32"), dtype, "w")


def test_the_largest_halves_fit() -> None:
    values = np.float32([[65504, -65504, 65519]])
    assert np.isfinite(convert(Weight(values, "f32"), "f16", "w").array).all()


@pytest.mark.parametrize(("n_rows", "length"), [(1, 1), (10, 1 << 19), (1000, 1000), (3, 0)])
def test_row_blocks_tile_the_rows(n_rows: int, length: int) -> None:
    rows = [row for block in row_blocks(n_rows, length) for row in range(block.start, block.stop)]
    assert rows == list(range(n_rows))
