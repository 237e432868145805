"""Packing of codes against an oracle on Python's big integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbench.errors import FormatError
from qbench.quant import floats
from qbench.quant.bits import pack_rows, packed_width, unpack_rows


def oracle(codes: np.ndarray, bits: int) -> list[bytes]:
    """Each row as one little-endian integer."""
    rows = []
    for row in codes:
        number = sum(int(code) << (bits * place) for place, code in enumerate(row))
        rows.append(number.to_bytes(-(-len(row) * bits // 8), "little"))
    return rows


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1, 8), st.integers(1, 9), st.integers(1, 70), st.integers(0, 10**6))
def test_pack_and_unpack(bits: int, n_rows: int, n_codes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 1 << bits, (n_rows, n_codes), dtype=np.uint8)
    packed = pack_rows(codes, bits)
    assert packed.dtype == np.uint8
    assert packed.shape == (n_rows, packed_width(n_codes, bits))
    assert [row.tobytes() for row in packed] == oracle(codes, bits)
    assert np.array_equal(unpack_rows(packed, n_codes, bits), codes)


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_a_hundred_thousand_random_codes_survive(bits: int, rng: np.random.Generator) -> None:
    codes = rng.integers(0, 1 << bits, (331, 303), dtype=np.uint8)
    assert np.array_equal(unpack_rows(pack_rows(codes, bits), 303, bits), codes)


@pytest.mark.parametrize("bits", [4, 3, 2])
def test_random_bytes_decode_to_codes_in_range(bits: int, rng: np.random.Generator) -> None:
    packed = rng.integers(0, 256, (100, 3 * bits), dtype=np.uint8)
    codes = unpack_rows(packed, 24, bits)
    assert codes.max() < 1 << bits
    assert np.array_equal(pack_rows(codes, bits), packed)


def test_blocks_of_rows_do_not_matter(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = rng.integers(0, 8, (50, 17), dtype=np.uint8)
    whole = pack_rows(codes, 3)
    monkeypatch.setattr(floats, "BLOCK_VALUES", 40)
    assert np.array_equal(pack_rows(codes, 3), whole)
    assert np.array_equal(unpack_rows(whole, 17, 3), codes)


def test_a_code_too_large_is_refused() -> None:
    with pytest.raises(FormatError, match="code 8 does not fit 3 bits"):
        pack_rows(np.array([[1, 8]], dtype=np.uint8), 3)


@pytest.mark.parametrize(("n_codes", "bits"), [(1, 4), (3, 3), (5, 3), (3, 2), (1, 7)])
def test_spare_bits_must_be_zero(n_codes: int, bits: int) -> None:
    packed = pack_rows(np.zeros((2, n_codes), dtype=np.uint8), bits)
    packed[1, -1] |= 0x80
    with pytest.raises(FormatError, match="behind the last code"):
        unpack_rows(packed, n_codes, bits)


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(FormatError, match="9 codes of 4 bits take 5 bytes per row, found 4"):
        unpack_rows(np.zeros((2, 4), dtype=np.uint8), 9, 4)
