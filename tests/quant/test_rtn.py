"""Round to nearest against an exact scalar oracle, published error figures, and its identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quant.builders import KINDS, hard_matrix
from quant.oracle import quantize_group, round_to_format

from qbench import core
from qbench.errors import NonFiniteError
from qbench.models.checkpoint import Weight
from qbench.quant.floats import as_float32, convert
from qbench.quant.quantize import quantize_tensor
from qbench.quant.rtn import round_to_nearest
from qbench.quant.tensor import Grid, QuantizedTensor

INPUTS = (1, 15, 17, 31, 33, 172)


def rtn(values: np.ndarray, grid: Grid) -> QuantizedTensor:
    return round_to_nearest(Weight(values, "f32"), grid, "w")


def nmse(values: np.ndarray, tensor: QuantizedTensor) -> float:
    exact = values.astype(np.float64)
    return float(((tensor.dequantize() - exact) ** 2).sum() / (exact**2).sum())


def assert_equals_oracle(values: np.ndarray, grid: Grid) -> None:
    found = rtn(values, grid)
    group = grid.group_for(values.shape[1])
    for row in range(values.shape[0]):
        for index, start in enumerate(range(0, values.shape[1], group)):
            weights = [float(weight) for weight in values[row, start : start + group]]
            codes, scale, zero = quantize_group(weights, grid.bits, grid.symmetric, grid.scale_type)
            assert float(found.scales[row, index]) == float(scale)
            if found.zeros is not None:
                assert int(found.zeros[row, index]) == zero
            assert found.codes[row, start : start + group].tolist() == codes


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(INPUTS),
    st.integers(1, 40),
    st.integers(0, 1000),
    st.sampled_from(KINDS),
    st.sampled_from((8, 4, 3, 2)),
    st.sampled_from((0, 16, 29, 32, 128, 256)),
    st.booleans(),
    st.sampled_from(("bf16", "f32")),
)
def test_equals_the_scalar_oracle(
    n_inputs: int,
    n_rows: int,
    seed: int,
    kind: str,
    bits: int,
    group: int,
    symmetric: bool,
    scale_type: str,
) -> None:
    values = hard_matrix(min(n_rows, 2000 // n_inputs + 1), n_inputs, seed, kind)
    assert_equals_oracle(values, Grid(bits, group, symmetric, scale_type))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [8, 4, 3, 2])
@pytest.mark.parametrize("symmetric", [False, True])
def test_every_kind_of_matrix_equals_the_oracle(kind: str, bits: int, symmetric: bool) -> None:
    assert_equals_oracle(hard_matrix(3, 67, 5, kind), Grid(bits, 32, symmetric, "bf16"))


@pytest.mark.parametrize("group", [0, 300])
@pytest.mark.parametrize("symmetric", [False, True])
def test_long_groups_equal_the_oracle(group: int, symmetric: bool) -> None:
    assert_equals_oracle(hard_matrix(2, 700, 9, "normal"), Grid(4, group, symmetric, "bf16"))


@pytest.mark.parametrize("kind", ["normal", "zeros", "denormal", "ties", "positive"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_float16_scales_equal_the_oracle(kind: str, symmetric: bool) -> None:
    values = hard_matrix(5, 50, 3, kind)
    for size in (1.0, 1e-3, 1e-6, 1e-9):
        assert_equals_oracle(values * np.float32(size), Grid(4, 16, symmetric, "f16"))


@pytest.mark.parametrize("stored", ["f16", "bf16"])
@pytest.mark.parametrize("group", [0, 16, 48, 300])
@pytest.mark.parametrize("symmetric", [False, True])
def test_a_stored_type_gives_what_its_values_give(
    stored: str, group: int, symmetric: bool, rng: np.random.Generator
) -> None:
    values = (rng.standard_normal((5, 700)) * 2.0 ** rng.integers(-8, 8, (5, 1))).astype(np.float32)
    weight = convert(Weight(values, "f32"), stored, "w")
    grid = Grid(4, group, symmetric, "bf16")
    found = round_to_nearest(weight, grid, "w")
    expected = rtn(as_float32(weight.array, stored), grid)
    for part in ("codes", "scales", "zeros"):
        np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))


def test_rounding_does_not_depend_on_threads(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = rng.standard_normal((67, 130)).astype(np.float32)
    alone = rtn(values, Grid(4, 32, False, "bf16"))
    monkeypatch.setattr(core, "VALUES_PER_THREAD", 1)
    monkeypatch.setattr(core, "default_threads", lambda: 5)
    together = rtn(values, Grid(4, 32, False, "bf16"))
    for part in ("codes", "scales", "zeros"):
        np.testing.assert_array_equal(getattr(together, part), getattr(alone, part))


PUBLISHED = {
    (128, 8): (3.51e-5, 4.26e-5),
    (128, 4): (1.01e-2, 1.23e-2),
    (128, 3): (4.66e-2, 5.64e-2),
    (128, 2): (0.254, 0.303),
    (32, 4): (6.5e-3, 9.0e-3),
    (32, 3): (3.0e-2, 4.1e-2),
    (32, 2): (0.165, 0.223),
}


@pytest.mark.parametrize("scale_type", ["f32", "bf16"])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("key", PUBLISHED)
def test_error_on_gaussian_weights_is_the_known_one(
    key: tuple[int, int], symmetric: bool, scale_type: str
) -> None:
    """Figures of the GPTQ family's quantizer on 512 x 1024 normal values, asym and sym."""
    group, bits = key
    values = np.random.default_rng(7).standard_normal((512, 1024)).astype(np.float32)
    found = nmse(values, rtn(values, Grid(bits, group, symmetric, scale_type)))
    assert found == pytest.approx(PUBLISHED[key][symmetric], rel=0.05)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(16, 40), st.sampled_from((33, 172)), st.booleans())
def test_error_falls_with_bits(seed: int, n_rows: int, n_inputs: int, symmetric: bool) -> None:
    values = np.random.default_rng(seed).standard_normal((n_rows, n_inputs)).astype(np.float32)
    errors = [nmse(values, rtn(values, Grid(bits, 32, symmetric, "bf16"))) for bits in (2, 3, 4, 8)]
    assert errors == sorted(errors, reverse=True)
    assert len(set(errors)) == 4


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from((4, 3, 2)), st.booleans())
def test_error_falls_with_smaller_groups(seed: int, bits: int, symmetric: bool) -> None:
    values = np.random.default_rng(seed).standard_normal((40, 516)).astype(np.float32)
    errors = [
        nmse(values, rtn(values, Grid(bits, group, symmetric, "bf16")))
        for group in (0, 256, 128, 64, 32, 16)
    ]
    assert errors == sorted(errors, reverse=True)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(INPUTS),
    st.integers(1, 40),
    st.integers(0, 1000),
    st.sampled_from(("normal", "constant", "spike", "positive", "ties")),
    st.sampled_from((8, 4, 3, 2)),
    st.booleans(),
)
def test_no_weight_is_off_by_more_than_a_step(
    n_inputs: int, n_rows: int, seed: int, kind: str, bits: int, symmetric: bool
) -> None:
    values = hard_matrix(n_rows, n_inputs, seed, kind)
    tensor = rtn(values, Grid(bits, 32, symmetric, "bf16"))
    steps = np.repeat(tensor.scales, tensor.group, axis=1)[:, :n_inputs]
    assert (np.abs(tensor.dequantize() - values) <= steps * np.float32(1.0001)).all()


@pytest.mark.parametrize("power", [-20, -1, 3, 17])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("scale_type", ["bf16", "f32"])
def test_powers_of_two_scale_the_scales_alone(
    power: int, symmetric: bool, scale_type: str, rng: np.random.Generator
) -> None:
    values = rng.standard_normal((9, 172)).astype(np.float32)
    grid = Grid(4, 32, symmetric, scale_type)
    plain, scaled = rtn(values, grid), rtn(values * np.float32(2.0**power), grid)
    assert np.array_equal(plain.codes, scaled.codes)
    assert np.array_equal(plain.scales * np.float32(2.0**power), scaled.scales)
    if plain.zeros is not None and scaled.zeros is not None:
        assert np.array_equal(plain.zeros, scaled.zeros)


def test_a_group_without_negative_values_keeps_its_range() -> None:
    """The reference's symmetric special case would clip the upper half of such a group."""
    values = np.linspace(0, 1, 32, dtype=np.float32)[None, :]
    found = rtn(values, Grid(4, 32, True, "f32")).dequantize()
    assert found.max() > 0.9


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_two_bits_symmetric_clip_the_positive_extreme(bits: int, symmetric: bool) -> None:
    values = np.array([[-3.0, 3.0, 0.0]], dtype=np.float32)
    found = rtn(values, Grid(bits, 0, symmetric, "f32")).dequantize()[0]
    step = 6 / (2**bits - 1)
    top = (2 ** (bits - 1) - 1) * step
    if symmetric:
        assert found[1] == pytest.approx(top, rel=1e-6)
    assert found[2] == 0
    assert abs(found[0] + 3) <= step / 2 + 1e-6


@pytest.mark.parametrize("stored", ["f16", "bf16"])
def test_narrow_weights_are_widened_exactly(stored: str, rng: np.random.Generator) -> None:
    values = rng.standard_normal((6, 40)).astype(np.float16).astype(np.float32)
    if stored == "bf16":
        bits = (values.view(np.uint32) >> 16).astype(np.uint16)
        narrow, wide = Weight(bits, "bf16"), (bits.astype(np.uint32) << 16).view(np.float32)
    else:
        narrow, wide = Weight(values.astype(np.float16), "f16"), values
    grid = Grid(4, 32, False, "bf16")
    a, b = round_to_nearest(narrow, grid, "w"), rtn(wide, grid)
    assert np.array_equal(a.codes, b.codes)
    assert np.array_equal(a.scales, b.scales)


def test_a_scale_beyond_float16_is_refused_by_name() -> None:
    values = np.ones((3, 40), dtype=np.float32)
    values[2, 35] = 3e6
    with pytest.raises(NonFiniteError, match=r"layer\.x.*row 2, group 1.*float16"):
        quantize_tensor(values, "rtn-w4g32{scale=f16}", "layer.x")
    assert quantize_tensor(values, "rtn-w4g32", "layer.x").dequantize()[2, 35] > 2.9e6


def test_weights_whose_grid_leaves_float32_are_refused_by_name() -> None:
    values = np.ones((3, 40), dtype=np.float32)
    values[1, 39] = -1e38
    with pytest.raises(NonFiniteError, match=r"layer\.x: row 1, group 1 holds weights beyond"):
        quantize_tensor(values, "rtn-w4g32", "layer.x")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_non_finite_weight_is_named(bad: float) -> None:
    values = np.ones((3, 40), dtype=np.float32)
    values[1, 33] = bad
    with pytest.raises(NonFiniteError, match=r"layer\.x.*row 1, column 33"):
        quantize_tensor(values, "rtn-w4g32", "layer.x")


def test_the_oracle_rounds_like_the_machine(rng: np.random.Generator) -> None:
    from fractions import Fraction

    wide = rng.standard_normal(500) * 2.0 ** rng.integers(-148, 120, 500)
    for value in wide:
        assert float(round_to_format(Fraction(float(value)), "f32")) == float(np.float32(value))
    for value in rng.standard_normal(500) * 2.0 ** rng.integers(-25, 15, 500):
        assert float(round_to_format(Fraction(float(value)), "f16")) == float(np.float16(value))
