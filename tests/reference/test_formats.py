from __future__ import annotations

import struct

import numpy as np
import pytest

from qbench.reference.formats import (
    bf16_bits,
    bf16_planes,
    bf16_values,
    decode_float,
    decode_groups,
    int8_planes,
    plane_values,
    round_bf16,
    round_f16,
)

SIZES = [1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 127, 128, 129, 255, 257]


def test_every_bf16_survives() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    values = bf16_values(bits)
    exact = struct.unpack(
        f"<{1 << 16}f", b"".join(struct.pack("<HH", 0, b) for b in range(1 << 16))
    )
    np.testing.assert_array_equal(values, np.array(exact, np.float32))
    finite = ~np.isnan(values)
    np.testing.assert_array_equal(bf16_bits(values)[finite], bits[finite])
    assert np.isnan(round_bf16(values[~finite])).all()


def test_bf16_rounding_is_nearest_even(rng: np.random.Generator) -> None:
    bits = rng.integers(0, 1 << 32, 20_000, dtype=np.uint32)
    bits[::2] = (bits[::2] & 0xFFFF0000) | 0x8000  # every second value is a tie
    values = bits.view(np.float32)
    values = values[np.isfinite(values) & (np.abs(values) < 3e38)]
    below = bf16_values((values.view(np.uint32) >> 16).astype(np.uint16)).astype(np.float64)
    above = bf16_values(((values.view(np.uint32) >> 16) + 1).astype(np.uint16)).astype(np.float64)
    down, up = np.abs(values - below), np.abs(values - above)
    expected = np.where(down < up, below, above)
    tie = down == up
    even = (values.view(np.uint32) >> 16) % 2 == 0
    expected[tie] = np.where(even, below, above)[tie]
    np.testing.assert_array_equal(round_bf16(values), expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.0, 1.0), (1.00390625, 1.0), (1.01171875, 1.015625), (-1.00390625, -1.0), (0.0, 0.0),
     (3.4e38, np.inf), (1e-45, 0.0), (np.inf, np.inf), (-np.inf, -np.inf)],
)  # fmt: skip
def test_bf16_by_hand(value: float, expected: float) -> None:
    found = round_bf16(np.array([value], np.float32))[0]
    assert found == expected and np.signbit(found) == np.signbit(np.float32(value))


def test_f16_and_decoding() -> None:
    values = np.array([1.0, 65504.0, 65520.0, 2.0**-24, 2.0**-25, 1 + 2**-11], np.float32)
    expected = np.array([1.0, 65504.0, np.inf, 2.0**-24, 0.0, 1.0], np.float32)
    np.testing.assert_array_equal(round_f16(values), expected)
    assert decode_float(np.array([0x3F80, 0xC040], np.uint16), "bf16").tolist() == [1.0, -3.0]
    assert decode_float(np.array([1.5], np.float16), "f16").dtype == np.float64


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("group", [1, 3, 16, 32, 1000])
@pytest.mark.parametrize("n_inputs", [1, 17, 33])
def test_groups_one_value_at_a_time(
    bits: int, group: int, n_inputs: int, rng: np.random.Generator
) -> None:
    n_groups = -(-n_inputs // group)
    codes = rng.integers(0, 1 << bits, (3, n_inputs), dtype=np.uint8)
    scales = rng.normal(size=(3, n_groups)).astype(np.float32)
    zeros = rng.integers(0, 1 << bits, (3, n_groups), dtype=np.uint8)
    asymmetric = decode_groups(codes, scales, zeros, bits=bits, group=group)
    symmetric = decode_groups(codes, scales, None, bits=bits, group=group)
    for row in range(3):
        for column in range(n_inputs):
            scale, code = float(scales[row, column // group]), int(codes[row, column])
            zero = int(zeros[row, column // group])
            assert asymmetric[row, column] == scale * (code - zero)
            assert symmetric[row, column] == scale * (code - 2 ** (bits - 1))


@pytest.mark.parametrize("n_inputs", SIZES)
@pytest.mark.parametrize("group", [32, 128])
def test_two_planes_hold_sixteen_bits(n_inputs: int, group: int, rng: np.random.Generator) -> None:
    values = (rng.normal(size=(3, n_inputs)) * 10.0 ** rng.integers(-6, 6)).astype(np.float32)
    planes = int8_planes(values, group)
    assert planes.hi.dtype == planes.lo.dtype == np.int8 and planes.scale.dtype == np.float32
    assert planes.scale.shape == (3, -(-n_inputs // group))
    error = np.abs(plane_values(planes, group) - values)
    for first in range(0, n_inputs, group):
        part = np.abs(values[:, first : first + group])
        bound = part.max(axis=1, keepdims=True) / 32512 * 0.51
        assert (error[:, first : first + group] <= bound).all()


def test_planes_at_the_edges() -> None:
    planes = int8_planes(np.array([[-2.0, 2.0, 0.0, 1.0]], np.float32))
    assert planes.hi.tolist() == [[-127, 127, 0, 64]] and planes.lo.tolist() == [[0, 0, 0, -128]]
    zeros = int8_planes(np.zeros((2, 5), np.float32))
    assert not zeros.hi.any() and not zeros.scale.any() and not plane_values(zeros).any()
    tiny = int8_planes(np.array([[2.0**-101, 0.0]], np.float32))
    assert not tiny.hi.any() and not tiny.scale.any()
    small = int8_planes(np.array([[2.0**-100, 0.0]], np.float32))
    assert small.hi.tolist() == [[127, 0]] and small.scale[0, 0] > 0


def test_two_bf16_planes(rng: np.random.Generator) -> None:
    values = rng.normal(size=4096).astype(np.float32)
    high, low = bf16_planes(values)
    np.testing.assert_array_equal(high, round_bf16(high))
    np.testing.assert_array_equal(low, round_bf16(low))
    error = np.abs(high.astype(float) + low - values)
    assert (error <= np.abs(values) * 2.0**-16).all() and error.max() > 0
    halves = rng.normal(size=4096).astype(np.float16).astype(np.float32)
    high, low = bf16_planes(halves)
    np.testing.assert_array_equal(high + low, halves)  # float16 splits exactly
