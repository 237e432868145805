"""The writer against the safetensors package and against our own strict reader."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qbench.models.safetensors import SafetensorsFile
from qbench.quant.safetensors_writer import Entry, write_safetensors


def entry(name: str, dtype: str, array: np.ndarray, pieces: int = 1) -> Entry:
    return Entry(name, dtype, array.shape, lambda: np.array_split(array, pieces))


@pytest.fixture
def arrays(rng: np.random.Generator) -> dict[str, tuple[str, np.ndarray]]:
    return {
        "z.codes": ("U8", rng.integers(0, 256, (3, 5), dtype=np.uint8)),
        "a.codes": ("U8", rng.integers(0, 256, (7, 3), dtype=np.uint8)),
        "b": ("F16", rng.standard_normal((5, 3)).astype(np.float16)),
        "d": ("BF16", rng.integers(0, 1 << 15, (3,), dtype=np.uint16)),
        "c": ("F32", rng.standard_normal((2, 2)).astype(np.float32)),
        "y": ("F32", rng.standard_normal((9,)).astype(np.float32)),
    }


def test_both_readers_find_what_was_written(
    arrays: dict[str, tuple[str, np.ndarray]], tmp_path: Path
) -> None:
    safetensors = pytest.importorskip("safetensors", reason="the oracle is not installed")
    path = tmp_path / "x.safetensors"
    entries = [entry(name, dtype, array, 2) for name, (dtype, array) in arrays.items()]
    write_safetensors(path, entries, {"format": "pt", "a": "b"})
    theirs = dict(safetensors.deserialize(path.read_bytes()))
    ours = SafetensorsFile(path)
    assert set(theirs) == set(ours.tensors) == set(arrays)
    assert ours.metadata == {"format": "pt", "a": "b"}
    for name, (dtype, array) in arrays.items():
        assert theirs[name]["dtype"] == dtype
        assert tuple(theirs[name]["shape"]) == array.shape
        assert bytes(theirs[name]["data"]) == array.tobytes()
        assert np.array_equal(ours.read_raw(name), array)
    ours.close()


def test_order_and_alignment(arrays: dict[str, tuple[str, np.ndarray]], tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, [entry(n, d, a) for n, (d, a) in arrays.items()], {})
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__")
    assert length % 8 == 0
    assert list(header) == ["c", "y", "b", "d", "a.codes", "z.codes"]
    for name, info in header.items():
        assert info["data_offsets"][0] % arrays[name][1].itemsize == 0


def test_the_order_of_entries_does_not_matter(
    arrays: dict[str, tuple[str, np.ndarray]], tmp_path: Path
) -> None:
    entries = [entry(name, dtype, array) for name, (dtype, array) in arrays.items()]
    write_safetensors(tmp_path / "a", entries, {"p": "1", "q": "2"})
    write_safetensors(tmp_path / "b", entries[::-1], {"q": "2", "p": "1"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_cannot_be_written(tmp_path: Path) -> None:
    array = np.ones((2, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="same name"):
        write_safetensors(tmp_path / "a", [entry("x", "F32", array)] * 2, {})
    short = Entry("x", "F32", (2, 3), lambda: [array[:1]])
    with pytest.raises(ValueError, match="x: 12 bytes, expected 24"):
        write_safetensors(tmp_path / "b", [short], {})
    (tmp_path / "c").touch()
    with pytest.raises(FileExistsError):
        write_safetensors(tmp_path / "c", [entry("x", "F32", array)], {})
