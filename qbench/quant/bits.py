"""Codes of b bits as bytes and back: the canonical packing of saved models.

A row is one little-endian stream of bits: code i of a row occupies bits b·i to b·i + b − 1, counted
from the least significant bit of the row's first byte. Rows begin at a byte; the bits behind the
last code are zero, so that every matrix has exactly one packing. It must not know about scales.
"""

from __future__ import annotations

import numpy as np

from qbench.errors import FormatError
from qbench.quant.floats import row_blocks

_STEP = 8
"""Codes per word: 8 codes of b bits are exactly b bytes, for every b."""


def packed_width(n_codes: int, bits: int) -> int:
    """Bytes of a packed row."""
    return (n_codes * bits + 7) // 8


def pack_rows(codes: np.ndarray, bits: int) -> np.ndarray:
    """Pack codes.

    Parameters
    ----------
    codes
        uint8, shape ``(n_rows, n_codes)``, each below ``2**bits``.
    bits
        1 to 8.

    Returns
    -------
    numpy.ndarray
        uint8, shape ``(n_rows, packed_width(n_codes, bits))``.

    Raises
    ------
    FormatError
        If a code has more bits.
    """
    n_rows, n_codes = codes.shape
    if codes.size and int(codes.max()) >> bits:
        raise FormatError(f"the code {int(codes.max())} does not fit {bits} bits")
    if bits == 8:
        return np.ascontiguousarray(codes)
    out = np.empty((n_rows, packed_width(n_codes, bits)), dtype=np.uint8)
    n_words = -(-n_codes // _STEP)
    shifts = np.arange(_STEP, dtype=np.uint64) * np.uint64(bits)
    for block in row_blocks(n_rows, n_codes):
        padded = np.zeros((block.stop - block.start, n_words * _STEP), dtype="<u8")
        padded[:, :n_codes] = codes[block]
        words = padded.reshape(-1, n_words, _STEP)
        words <<= shifts
        merged = np.bitwise_or.reduce(words, axis=2)
        as_bytes = merged.astype("<u8").view(np.uint8).reshape(-1, n_words, 8)[:, :, :bits]
        out[block] = as_bytes.reshape(len(padded), -1)[:, : out.shape[1]]
    return out


def unpack_rows(packed: np.ndarray, n_codes: int, bits: int) -> np.ndarray:
    """Undo `pack_rows`.

    Parameters
    ----------
    packed
        uint8, shape ``(n_rows, packed_width(n_codes, bits))``.
    n_codes
        Codes per row.
    bits
        1 to 8.

    Returns
    -------
    numpy.ndarray
        uint8, shape ``(n_rows, n_codes)``.

    Raises
    ------
    FormatError
        If the width is not that of ``n_codes`` codes, or a bit behind the last code is set.
    """
    n_rows, width = packed.shape
    if width != packed_width(n_codes, bits):
        raise FormatError(
            f"{n_codes} codes of {bits} bits take {packed_width(n_codes, bits)} bytes per row, "
            f"found {width}"
        )
    spare = 8 * width - bits * n_codes
    if spare and (packed[:, -1] >> np.uint8(8 - spare)).any():
        raise FormatError("bits behind the last code of a row are set")
    if bits == 8:
        return packed.copy()
    out = np.empty((n_rows, n_codes), dtype=np.uint8)
    n_words = -(-n_codes // _STEP)
    shifts = np.arange(_STEP, dtype=np.uint64) * np.uint64(bits)
    mask = np.uint64((1 << bits) - 1)
    for block in row_blocks(n_rows, n_codes):
        n_block = block.stop - block.start
        flat = np.zeros((n_block, n_words * bits), dtype=np.uint8)
        flat[:, :width] = packed[block]
        padded = np.zeros((n_block, n_words, 8), dtype=np.uint8)
        padded[:, :, :bits] = flat.reshape(n_block, n_words, bits)
        words = padded.view("<u8")
        out[block] = ((words >> shifts) & mask).reshape(n_block, -1)[:, :n_codes]
    return out
