"""A strict reader of one safetensors file, by memory map.

The rules are those of the format's reference reader (huggingface/safetensors) and a few more: a
bounded header, known types, shapes whose products are checked step by step, tensors that tile the
data section exactly (so that nothing can hide in a hole or behind the end), no duplicate keys, sane
names. A hostile file can at worst produce one error. It must not know about models or shards.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from qbench.errors import CheckpointError
from qbench.models.files import open_regular
from qbench.models.strict_json import kind_of, loads

MAX_HEADER = 100_000_000
MAX_TENSORS = 1_000_000
MAX_NAME = 512
MAX_RANK = 8
MAX_DEPTH = 4
U64_MAX = (1 << 64) - 1

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
"""Every type of the format and its width in bits."""

NUMPY_DTYPES = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "F16": "<f2",
    "BF16": "<u2", "U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8",
    "F64": "<f8", "C64": "<c8", "F8_E4M3": "|u1",
}  # fmt: skip
"""The types that NumPy can view; bfloat16 and E4M3 are viewed as their raw bits."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class TensorInfo(NamedTuple):
    """Where one tensor lies: type, shape, and byte range from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """A checked header: the tensors by name, in file order, and the free-form metadata."""

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]


def parse_header(header: bytes, data_size: int, where: str) -> Header:
    """Check a header against the size of the data that follows it.

    Parameters
    ----------
    header
        The JSON text between the length field and the data.
    data_size
        Bytes from the end of the header to the end of the file.
    where
        The file, for errors.

    Raises
    ------
    CheckpointError
        If any rule of the format is broken.
    """
    if header[:1] != b"{":
        raise CheckpointError(f"{where}: the safetensors header does not start with '{{'")
    document = loads(header, f"{where}: header", max_depth=MAX_DEPTH)
    if not isinstance(document, dict):
        raise CheckpointError(f"{where}: the safetensors header is {kind_of(document)}")
    metadata = _metadata(document.pop("__metadata__", {}), where)
    if len(document) > MAX_TENSORS:
        raise CheckpointError(f"{where}: {len(document)} tensors, more than {MAX_TENSORS}")
    offset = len(header) + 8
    infos = {name: _tensor(name, entry, data_size, where) for name, entry in document.items()}
    ordered = sorted(infos.items(), key=lambda item: (item[1].begin, item[1].end))
    _check_tiling(ordered, data_size, where)
    return Header(
        {
            name: info._replace(begin=info.begin + offset, end=info.end + offset)
            for name, info in ordered
        },
        metadata,
    )


def _metadata(found: Any, where: str) -> dict[str, str]:
    """Require strings by strings."""
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise CheckpointError(f"{where}: __metadata__ must map strings to strings")
    return found


def _tensor(name: str, entry: Any, data_size: int, where: str) -> TensorInfo:
    """Check one entry; the byte range stays relative to the data section."""

    def fail(what: str) -> NoReturn:
        raise CheckpointError(f"{where}: tensor {name[:80]!r}: {what}")

    if not name or len(name.encode()) > MAX_NAME:
        fail(f"a name has 1 to {MAX_NAME} bytes")
    if _CONTROL.search(name):
        fail("a name holds no control characters")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        fail("expected an object with exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        fail(f"unknown dtype, {kind_of(dtype)}")
    if not isinstance(shape, list) or len(shape) > MAX_RANK:
        fail(f"shape must be a list of at most {MAX_RANK} sizes")
    if not all(type(size) is int and 0 <= size <= U64_MAX for size in shape):
        fail("shape must hold integers from 0 to 2**64 - 1")
    if not isinstance(offsets, list) or len(offsets) != 2:
        fail("data_offsets must be a pair")
    begin, end = offsets
    if not all(type(value) is int and 0 <= value <= U64_MAX for value in offsets):
        fail("data_offsets must be integers from 0 to 2**64 - 1")
    if begin > end:
        fail(f"data_offsets run backwards, {begin} to {end}")
    if end > data_size:
        fail(f"ends at byte {end} of the data, which has {data_size}: the file is truncated")
    size = tensor_bytes(dtype, shape)
    if size is None:
        fail(f"the size of {dtype} {shape} overflows 64 bits or is no whole number of bytes")
    if size != end - begin:
        fail(f"{dtype} {shape} takes {size} bytes, data_offsets give {end - begin}")
    return TensorInfo(dtype, tuple(shape), begin, end)


def tensor_bytes(dtype: str, shape: list[int]) -> int | None:
    """Bytes of a tensor, or None if the computation leaves 64 bits or ends inside a byte.

    Every partial product is checked, and a zero size does not hide an overflow of the others.
    """
    bits, elements, empty = DTYPE_BITS[dtype], 1, False
    for size in shape:
        if size == 0:
            empty = True
        else:
            elements *= size
        if elements * bits > U64_MAX:
            return None
    if empty:
        return 0
    return None if elements * bits % 8 else elements * bits // 8


def _check_tiling(ordered: list[tuple[str, TensorInfo]], data_size: int, where: str) -> None:
    """Require the sorted ranges to cover the data section without hole, overlap or tail."""
    position = 0
    for name, info in ordered:
        if info.begin != position:
            what = "overlaps the one before it" if info.begin < position else "leaves a hole"
            raise CheckpointError(
                f"{where}: tensor {name[:80]!r} begins at byte {info.begin} of the data, expected "
                f"{position}: it {what}"
            )
        position = info.end
    if position != data_size:
        raise CheckpointError(
            f"{where}: the tensors end at byte {position} of the data, which has {data_size}: "
            "bytes that belong to no tensor"
        )


class SafetensorsFile:
    """One open file: a checked header and read-only views of its tensors.

    Parameters
    ----------
    path
        A regular file; symbolic links are followed.

    Raises
    ------
    CheckpointError
        If it cannot be opened, is no regular file, or breaks a rule of the format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_regular(path)
        try:
            self._status = os.fstat(self._file)
            size = self._status.st_size
            header = _read_header(self._file, size, path)
            self.tensors, self.metadata = parse_header(header, size - 8 - len(header), str(path))
            self._map = mmap.mmap(self._file, 0, access=mmap.ACCESS_READ)
        except BaseException:
            os.close(self._file)
            raise

    def read_raw(self, name: str) -> np.ndarray:
        """View a tensor as stored; bfloat16 as uint16 bits.

        Returns
        -------
        numpy.ndarray
            Read-only. A view of the file, or a copy where the file does not align the values.

        Raises
        ------
        CheckpointError
            If NumPy has no such type, or the file was changed since it was opened.
        """
        info = self.tensors[name]
        if info.dtype not in NUMPY_DTYPES:
            raise CheckpointError(f"{self.path}: tensor {name}: {info.dtype} cannot be read")
        self.check_unchanged()
        dtype = np.dtype(NUMPY_DTYPES[info.dtype])
        count = (info.end - info.begin) // dtype.itemsize
        flat = np.frombuffer(self._map, dtype, count, info.begin)
        if not flat.flags.aligned:
            flat = flat.copy()
            flat.flags.writeable = False
        return flat.reshape(info.shape)

    def check_unchanged(self) -> None:
        """Refuse to read on if the file is no longer the one that was checked.

        A map over a file that has shrunk ends the process with a bus error; a changed file would
        mix two sets of weights.

        Raises
        ------
        CheckpointError
            If size or modification time differ.
        """
        now = os.fstat(self._file)
        if (now.st_size, now.st_mtime_ns) != (self._status.st_size, self._status.st_mtime_ns):
            raise CheckpointError(f"{self.path}: the file was changed while it was open")

    @property
    def identity(self) -> tuple[str, int, int, int]:
        """Path, size, modification time and inode: what a cached hash may be keyed by."""
        status = self._status
        return (str(self.path), status.st_size, status.st_mtime_ns, status.st_ino)

    def close(self) -> None:
        """Close the descriptor; the map lives on until the last view of it is gone."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0 and hasattr(self, "_map"):
            self.close()


def _read_header(descriptor: int, size: int, path: Path) -> bytes:
    """Read the header text, or say what the file is instead."""
    if size == 0:
        raise CheckpointError(f"{path}: the file is empty")
    start = os.pread(descriptor, 512, 0)
    if size < 8:
        raise CheckpointError(f"{path}: {explain(start)}only {size} bytes, no safetensors file")
    length = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{" or not 2 <= length <= min(MAX_HEADER, size - 8):
        foreign = explain(start)
        if foreign:
            raise CheckpointError(f"{path}: {foreign}no safetensors file")
        if length > MAX_HEADER:
            what = f"claims a header of {length} bytes, at most {MAX_HEADER} are allowed"
        elif length > size - 8:
            what = f"claims a header of {length} bytes in a file of {size}: truncated or no model"
        else:
            what = f"the header of {length} bytes does not start with '{{'"
        raise CheckpointError(f"{path}: {what}")
    header = os.pread(descriptor, length, 8)
    if len(header) != length:
        raise CheckpointError(f"{path}: the file shrank while it was read")
    return header


def explain(start: bytes) -> str:
    """Recognise what is often found in place of weights; empty if nothing is recognised."""
    text = start.lstrip().lower()
    kinds: Mapping[str, bool] = {
        "a git-lfs pointer, the weights were never downloaded (run 'git lfs pull'): ": (
            text.startswith(b"version https://git-lfs")
        ),
        "an HTML page, a download went wrong: ": text.startswith((b"<!doctype", b"<html")),
        "a zip or torch archive, which may hold a pickle and is never opened "
        "(convert it to safetensors on another machine): ": start.startswith(b"PK"),
        "a 7z archive, which is never opened: ": start.startswith(b"7z\xbc\xaf\x27\x1c"),
        "a pickle, which could run code and is never opened "
        "(convert it to safetensors on another machine): ": _is_pickle(start),
        "a GGUF file, which is not read as safetensors: ": start.startswith(b"GGUF"),
        "nothing but zeros, a download was cut: ": not start.strip(b"\0"),
    }
    return next((message for message, found in kinds.items() if found), "")


def _is_pickle(start: bytes) -> bool:
    """Whether bytes begin like a pickle: protocol 2 to 5, or usual first opcodes of 0 and 1."""
    binary = start[:1] == b"\x80" and len(start) > 1 and 2 <= start[1] <= 5
    opcodes = (b"(dp", b"(lp", b"]q\0", b"}q\0", b"cposix\n", b"cos\n", b"c__builtin__\n")
    return binary or start.startswith(opcodes)
