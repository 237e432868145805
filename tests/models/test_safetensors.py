from __future__ import annotations

import json
import os
import pickle
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qbench.errors import CheckpointError
from qbench.models import safetensors
from qbench.models.safetensors import DTYPE_BITS, SafetensorsFile, parse_header, tensor_bytes

GOOD = {
    "a": np.arange(6, dtype="<f4").reshape(2, 3),
    "b": np.arange(5, dtype="<f2"),
    "c": np.arange(4, dtype="<u2").reshape(2, 1, 2),
    "scalar": np.array(7, "<f4"),
    "none": np.zeros((0, 4), "<f4"),
    "codes": np.arange(3, dtype="u1"),
}


def pack(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A file from a header (text, or anything that JSON can write)."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


def one(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8), name: str = "t") -> Any:
    return {name: {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def two(first: tuple[int, int], second: tuple[int, int], size: int = 16) -> bytes:
    entries = one(offsets=first) | one(offsets=second, name="u")
    return pack(entries, bytes(size))


class Canary:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


BIG = 1 << 62
ATTACKS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "seven bytes": (b"1234567", "only 7 bytes"),
    "length only": (bytes([2, 0, 0, 0, 0, 0, 0, 0]), "truncated"),
    "zero length": (pack(b"", b"{}"), "does not start"),
    "length one": (pack(b"{", b"}", 1), "does not start with"),
    "length beyond file": (pack(b"{}", length=3), "claims a header of 3 bytes"),
    "length 2**63": (pack(b"{}", length=1 << 63), "claims a header of 9223372036854775808"),
    "length all ones": (b"\xff" * 8 + b"{}", "at most 100000000"),
    "length above cap": (pack(b"{}", length=100_000_001), "at most 100000000"),
    "no brace": (pack(b"[]"), "does not start with"),
    "space before brace": (pack(b" {}"), "does not start with"),
    "unclosed": (pack(b'{"a":'), "no valid JSON"),
    "text after": (pack(b"{}{}"), "no valid JSON"),
    "no utf-8": (pack(b'{"\xff": 1}'), "no UTF-8"),
    "nan": (pack(b'{"t": NaN}'), "NaN is no JSON"),
    "duplicate key": (
        pack(b'{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
             b'"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"),
        "'t' stands twice",
    ),
    "duplicate field": (
        pack(b'{"t":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', b"x"),
        "'dtype' stands twice",
    ),
    "deep": (pack(b'{"a":' * 10 + b"1" + b"}" * 10), "nested deeper than 4"),
    "very deep": (pack(b'{"a":' + b"[" * 100_000), "nested deeper than 4"),
    "metadata list": (pack({"__metadata__": ["a"]}), "__metadata__ must map"),
    "metadata number": (pack({"__metadata__": {"a": 1}}), "__metadata__ must map"),
    "metadata object": (pack({"__metadata__": {"a": {}}}), "__metadata__ must map"),
    "entry no object": (pack({"t": 3}), "expected an object with exactly"),
    "entry list": (pack({"t": []}), "expected an object with exactly"),
    "no dtype": (pack({"t": {"shape": [], "data_offsets": [0, 0]}}), "exactly dtype"),
    "no offsets": (pack({"t": {"dtype": "F32", "shape": []}}), "exactly dtype"),
    "extra field": (
        pack({"t": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1], "x": 1}}, b"x"),
        "exactly dtype",
    ),
    "unknown dtype": (pack(one("F31"), bytes(8)), "unknown dtype, the string 'F31'"),
    "lower case dtype": (pack(one("f32"), bytes(8)), "unknown dtype"),
    "dtype number": (pack(one(32), bytes(8)), "unknown dtype, the integer 32"),
    "dtype list": (pack(one(["F32"]), bytes(8)), "unknown dtype, an array"),
    "shape number": (pack(one(shape=2), bytes(8)), "shape must be a list"),
    "shape negative": (pack(one(shape=[-2]), bytes(8)), "shape must hold integers"),
    "shape float": (pack(one(shape=[2.0]), bytes(8)), "shape must hold integers"),
    "shape bool": (pack(one(shape=[True, 2]), bytes(8)), "shape must hold integers"),
    "shape text": (pack(one(shape=["2"]), bytes(8)), "shape must hold integers"),
    "shape 2**64": (pack(one(shape=[1 << 64]), bytes(8)), "shape must hold integers"),
    "rank 9": (pack(one(shape=[2] + [1] * 8), bytes(8)), "at most 8 sizes"),
    "product wraps to 0": (pack(one(shape=[1 << 32, 1 << 32], offsets=[0, 0])), "overflows"),
    "product wraps to 8": (pack(one(shape=[BIG + 2], offsets=[0, 8]), bytes(8)), "overflows"),
    "int max times 2": (pack(one("U8", [(1 << 63) - 1, 2], [0, 0])), "overflows"),
    "bits wrap": (pack(one("F64", [1 << 58], [0, 0])), "overflows"),
    "zero hides overflow": (pack(one(shape=[0, BIG, BIG], offsets=[0, 0])), "overflows"),
    "overflow before zero": (pack(one(shape=[BIG, BIG, 0], offsets=[0, 0])), "overflows"),
    "half a byte": (pack(one("F4", [3], [0, 2]), bytes(2)), "no whole number of bytes"),
    "six bits": (pack(one("F6_E2M3", [3], [0, 2]), bytes(2)), "no whole number of bytes"),
    "offsets single": (pack(one(offsets=[0]), bytes(8)), "must be a pair"),
    "offsets three": (pack(one(offsets=[0, 8, 8]), bytes(8)), "must be a pair"),
    "offsets text": (pack(one(offsets="08"), bytes(8)), "must be a pair"),
    "offsets negative": (pack(one(offsets=[-8, 0]), bytes(8)), "integers from 0"),
    "offsets bool": (pack(one("U8", [1], [False, True]), b"x"), "integers from 0"),
    "offsets float": (pack(one(offsets=[0.0, 8.0]), bytes(8)), "integers from 0"),
    "offsets 2**64": (pack(one(offsets=[0, 1 << 64]), bytes(8)), "integers from 0"),
    "offsets backwards": (pack(one(offsets=[8, 0]), bytes(8)), "run backwards"),
    "end beyond file": (pack(one(offsets=[0, 8]), bytes(7)), "the file is truncated"),
    "end far beyond": (pack(one(offsets=[BIG, BIG + 8]), bytes(8)), "the file is truncated"),
    "size too small": (pack(one(shape=[1]), bytes(8)), "takes 4 bytes, data_offsets give 8"),
    "size too large": (pack(one(shape=[3]), bytes(8)), "takes 12 bytes, data_offsets give 8"),
    "hole at start": (pack(one(offsets=[1, 9]), bytes(9)), "leaves a hole"),
    "hole between": (two((0, 8), (9, 17), 17), "leaves a hole"),
    "overlap": (two((0, 8), (4, 12), 12), "overlaps the one before"),
    "same range": (two((0, 8), (0, 8), 8), "overlaps the one before"),
    "polyglot tail": (pack(one(), bytes(8) + b"PK\x03\x04"), "belong to no tensor"),
    "data without tensors": (pack({}, b"x"), "belong to no tensor"),
    "name empty": (pack(one(name=""), bytes(8)), "1 to 512 bytes"),
    "name 513 bytes": (pack(one(name="n" * 513), bytes(8)), "1 to 512 bytes"),
    "name 513 bytes of utf-8": (pack(one(name="é" * 257), bytes(8)), "1 to 512 bytes"),
    "name newline": (pack(one(name="a\nb"), bytes(8)), "control characters"),
    "name nul": (pack(one(name="a\0"), bytes(8)), "control characters"),
    "name escape": (pack(one(name="\x1b[2J"), bytes(8)), "control characters"),
    "name c1": (pack(one(name="a\x9b"), bytes(8)), "control characters"),
    "name surrogate": (pack(one(name="\ud800"), bytes(8)), "surrogate"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "html": (b"\n<!DOCTYPE html><html><body>404", "an HTML page"),
    "html bare": (b"<html><head></head></html>", "an HTML page"),
    "zip": (b"PK\x03\x04" + bytes(60), "a zip or torch archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(60), "a 7z archive"),
    "gguf": (b"GGUF\x03\0\0\0" + bytes(60), "a GGUF file"),
    "zeros": (bytes(4096), "nothing but zeros"),
}  # fmt: skip


def test_the_corpus_is_large_enough() -> None:
    assert len(ATTACKS) >= 40


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(name: str, tmp_path: Path) -> None:
    data, fragment = ATTACKS[name]
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(CheckpointError) as caught:
        SafetensorsFile(path)
    assert fragment in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_is_refused_and_never_run(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps([Canary(tmp_path / "hit"), "x" * 99], protocol))
    with pytest.raises(CheckpointError, match="pickle"):
        SafetensorsFile(path)
    assert not (tmp_path / "hit").exists()


@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "loop", "missing", "newline"])
def test_special_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "newline":
        path = tmp_path / "a\nb"
    start = time.perf_counter()
    with pytest.raises(CheckpointError, match="cannot read"):
        SafetensorsFile(path)
    assert time.perf_counter() - start < 1


def test_sparse_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(CheckpointError, match="zeros"):
        SafetensorsFile(path)


@pytest.fixture
def good(tmp_path: Path, write_safetensors: Callable[..., bytes]) -> Path:
    path = tmp_path / "good.safetensors"
    path.write_bytes(write_safetensors(GOOD, {"format": "pt"}))
    return path


def test_reads_what_was_written(good: Path) -> None:
    file = SafetensorsFile(good)
    assert set(file.tensors) == set(GOOD) and file.metadata == {"format": "pt"}
    for name, array in GOOD.items():
        found = file.read_raw(name)
        assert found.dtype == array.dtype and found.shape == array.shape
        assert found.flags.aligned and not found.flags.writeable
        np.testing.assert_array_equal(found, array)
    file.close()
    np.testing.assert_array_equal(found, GOOD["codes"])


@pytest.mark.parametrize("shift", range(8))
def test_unaligned_data_is_copied(shift: int, tmp_path: Path) -> None:
    header = json.dumps(one("F64", [2], [0, 16])).encode() + b" " * shift
    path = tmp_path / "f.safetensors"
    path.write_bytes(pack(header, np.array([1.5, -2.0]).tobytes()))
    found = SafetensorsFile(path).read_raw("t")
    assert found.tolist() == [1.5, -2.0] and found.flags.aligned and not found.flags.writeable


def test_same_answer_as_the_safetensors_package(
    tmp_path: Path, write_safetensors: Callable[..., bytes], rng: np.random.Generator
) -> None:
    from safetensors.numpy import load, save

    arrays = {f"t{i}": rng.normal(size=(i, 3)).astype("<f4") for i in range(1, 9)}
    path = tmp_path / "f.safetensors"
    path.write_bytes(save(arrays))
    file = SafetensorsFile(path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(file.read_raw(name), array)
    for name, array in load(write_safetensors(arrays)).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_whatever_we_accept_the_package_accepts_too(good: Path, tmp_path: Path) -> None:
    from safetensors import SafetensorError, deserialize

    draw = random.Random(7)
    data, mutant = good.read_bytes(), tmp_path / "m.safetensors"
    header_end = 8 + int.from_bytes(data[:8], "little")
    accepted = 0
    for _ in range(800):
        changed = bytearray(data)
        for _ in range(draw.randint(1, 3)):
            changed[draw.randrange(header_end)] = draw.choice(b'0123456789{}[]:,"F\x00\xff')
        mutant.write_bytes(changed)
        try:
            file = SafetensorsFile(mutant)
        except CheckpointError:
            continue
        accepted += 1
        try:
            theirs = {name: info["shape"] for name, info in deserialize(bytes(changed))}
        except SafetensorError as exc:
            pytest.fail(f"accepted what the reference reader refuses: {exc}")
        assert {n: list(i.shape) for n, i in file.tensors.items()} == theirs
    assert accepted > 10


def test_truncation_at_every_byte(good: Path, tmp_path: Path) -> None:
    data, path = good.read_bytes(), tmp_path / "cut.safetensors"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(CheckpointError):
            SafetensorsFile(path)


def test_every_bit_flip_in_the_header(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    header_end = 8 + int.from_bytes(data[:8], "little")
    header, data_size = data[8:header_end], len(data) - header_end
    accepted = 0
    for bit in range(8 * len(header)):
        flipped = bytearray(header)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            tensors = parse_header(bytes(flipped), data_size, "f").tensors
        except CheckpointError:
            continue
        accepted += 1
        position = len(data)  # what is accepted keeps every invariant of the format
        for info in reversed(tensors.values()):
            assert info.end == position
            position = info.begin
            assert info.end - info.begin == tensor_bytes(info.dtype, list(info.shape))
        assert position == header_end
    assert accepted > 100
    path = tmp_path / "flip.safetensors"
    for bit in range(64):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError):
            SafetensorsFile(path)


def test_size_arithmetic_against_big_integers() -> None:
    draw = random.Random(11)
    edges = [0, 1, 2, 3, 7, 8, 255, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32]
    edges += [(1 << 32) + 1, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
    for _ in range(100_000):
        dtype = draw.choice(list(DTYPE_BITS))
        shape = draw.choices(edges, k=draw.randint(0, 5))
        bits = DTYPE_BITS[dtype]
        for size in shape:
            bits *= size or 1
        fits = bits < 1 << 64
        exact = 0 in shape or bits % 8 == 0
        expected = (0 if 0 in shape else bits // 8) if fits and exact else None
        assert tensor_bytes(dtype, shape) == expected, (dtype, shape)


def test_count_bomb_is_cheap(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    for length in (99_999_999, 1 << 40, (1 << 64) - 1):
        path = tmp_path / "bomb.safetensors"
        path.write_bytes(pack(b"{" + b" " * 900, length=length))
        with pytest.raises(CheckpointError):
            SafetensorsFile(path)
    assert time.perf_counter() - start < 0.3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10


def test_many_tensors_are_read_quickly() -> None:
    entries = {
        f"model.layers.{i}.weight": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]}
        for i in range(20_000)
    }
    header = json.dumps(entries).encode()
    start = time.perf_counter()
    assert len(parse_header(header, 20_000, "f").tensors) == 20_000
    assert time.perf_counter() - start < 2


def test_too_many_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors, "MAX_TENSORS", 1)
    header = json.dumps(one(offsets=[0, 8]) | one(offsets=[8, 16], name="u")).encode()
    with pytest.raises(CheckpointError, match="2 tensors, more than 1"):
        parse_header(header, 16, "f")


@pytest.mark.parametrize("change", ["shrink", "grow", "touch"])
def test_a_file_changed_under_us_is_refused(good: Path, change: str) -> None:
    file = SafetensorsFile(good)
    if change == "shrink":
        os.truncate(good, 100)
    elif change == "grow":
        os.truncate(good, 100_000)
    else:
        os.utime(good, ns=(1, 1))
    with pytest.raises(CheckpointError, match="changed while it was open"):
        file.read_raw("a")


def test_a_type_numpy_lacks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    path.write_bytes(pack(one("F8_E5M2", [8], [0, 8]), bytes(8)))
    with pytest.raises(CheckpointError, match="F8_E5M2 cannot be read"):
        SafetensorsFile(path).read_raw("t")


def test_no_descriptor_is_left_open(good: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(good.read_bytes()[:-1])
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        SafetensorsFile(good).close()
        with pytest.raises(CheckpointError):
            SafetensorsFile(bad)
    SafetensorsFile(good)
    assert len(os.listdir("/proc/self/fd")) - before <= 1  # noqa: PTH208
