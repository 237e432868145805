"""FP8 weights: codes, scales of blocks, rows and matrices, and what is no such thing."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qbench.errors import CheckpointError, NonFiniteError
from qbench.models.checkpoint import Checkpoint
from qbench.models.fp8 import e4m3_values, read_fp8


def test_the_values_of_all_codes() -> None:
    values = e4m3_values()
    assert values[0x38] == 1.0 and values[0x7E] == 448.0 and values[0x01] == 2.0**-9
    assert values[0x08] == 2.0**-6 and values[0x07] == 7 / 8 * 2.0**-6
    assert np.array_equal(values[128:255], -values[:127])
    assert np.flatnonzero(np.isnan(values)).tolist() == [0x7F, 0xFF]
    assert np.all(np.diff(values[:127]) > 0)


def folder(path: Path, codes: np.ndarray, scales: np.ndarray, name: str) -> Checkpoint:
    """A checkpoint with one matrix of codes and its float32 scales."""
    import json

    entries: dict[str, Any] = {
        "w": {"dtype": "F8_E4M3", "shape": list(codes.shape), "data_offsets": [0, codes.size]},
        name: {
            "dtype": "F32",
            "shape": list(scales.shape),
            "data_offsets": [codes.size, codes.size + 4 * scales.size],
        },
    }
    header = json.dumps(entries).encode()
    data = struct.pack("<Q", len(header)) + header + codes.tobytes() + scales.tobytes()
    (path / "model.safetensors").write_bytes(data)
    return Checkpoint.open(path)


@pytest.mark.parametrize(
    ("shape", "scales", "block"),
    [
        ((256, 128), (2, 1), (128, 128)),
        ((300, 200), (3, 2), (128, 128)),
        ((130, 129), (2, 2), (128, 128)),
        ((6, 40), (6, 1), (1, 64)),
        ((6, 40), (6,), (1, 64)),
        ((6, 40), (1,), (8, 64)),
        ((6, 40), (), (8, 64)),
    ],
)
@pytest.mark.parametrize("suffix", ["_scale_inv", "_scale"])
def test_scales_belong_to_blocks(
    shape: tuple[int, int], scales: tuple[int, ...], block: tuple[int, int], suffix: str,
    tmp_path: Path, rng: np.random.Generator,
) -> None:  # fmt: skip
    codes = rng.integers(0, 127, shape, dtype=np.uint8)
    given = rng.uniform(0.5, 2.0, scales).astype(np.float32)
    found = read_fp8(folder(tmp_path, codes, given, f"w{suffix}"), "w")
    grid = given.reshape(-1, 1) if given.ndim < 2 else given
    for i in range(shape[0]):
        for j in range(0, shape[1], 7):
            scale = grid[i // block[0], j // block[1]]
            assert found[i, j] == e4m3_values()[codes[i, j]] * scale


def test_what_is_damaged_is_named(tmp_path: Path) -> None:
    codes, one = np.full((4, 4), 0x38, np.uint8), np.ones(1, np.float32)
    with pytest.raises(CheckpointError, match="no scales"):
        read_fp8(folder(tmp_path, codes, one, "other"), "w")
    with pytest.raises(NonFiniteError, match="w_scale: NaN"):
        read_fp8(folder(tmp_path, codes, one * np.float32(np.nan), "w_scale"), "w")
    with pytest.raises(CheckpointError, match="do not divide"):
        read_fp8(folder(tmp_path, codes, np.ones((5, 1), np.float32), "w_scale"), "w")
    with pytest.raises(CheckpointError, match=r"shape \(1, 1, 1\)"):
        read_fp8(folder(tmp_path, codes, np.ones((1, 1, 1), np.float32), "w_scale"), "w")
    codes[2, 1] = 0x7F
    with pytest.raises(NonFiniteError, match="tensor w: NaN"):
        read_fp8(folder(tmp_path, codes, one, "w_scale"), "w")
