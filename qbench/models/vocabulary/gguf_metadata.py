"""The metadata of a GGUF file.

Every count is checked against the bytes that are left before anything is taken or allocated: the
reader of the ``gguf`` package takes them on trust, and an array of 2^63 elements keeps it busy for
ever; it is the oracle of the tests. Tensors are not looked at, and keys are not understood.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Any, NoReturn

from qbench.errors import CheckpointError
from qbench.models.files import open_regular

MAX_FIELDS = 1 << 20
MAX_KEY = 65_535
MAX_STRING = 16 << 20
MAX_ARRAY = 1 << 23
HEAD_LIMIT = 512 << 20
"""Most bytes of metadata that are read; the largest vocabularies need about 10 MB."""

_BOOL, _STRING, _ARRAY = 7, 8, 9
_SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIifBQqd", strict=True))


class _Cursor:
    """Takes bytes from the front of a file, never more than are left."""

    def __init__(self, data: bytes | mmap.mmap, where: str) -> None:
        self.data = data
        self.where = where
        self.position = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.position

    def fail(self, what: str) -> NoReturn:
        raise CheckpointError(f"{self.where}: no valid GGUF at byte {self.position}: {what}")

    def take(self, size: int) -> bytes:
        if size > self.left:
            self.fail(f"{size} bytes are expected, {self.left} are left")
        self.position += size
        return bytes(self.data[self.position - size : self.position])

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def text(self, limit: int) -> str:
        size = self.number(8)
        if size > limit:
            self.fail(f"a text of {size} bytes, at most {limit}")
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError:
            self.fail("a text that is no UTF-8")


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata of a GGUF file.

    Parameters
    ----------
    path
        The file; no more than `HEAD_LIMIT` bytes of its front are looked at.

    Returns
    -------
    dict
        Values by key: numbers, booleans, texts, and lists of these.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or is no GGUF of version 2 or 3, or anything in its metadata is
        longer than the file, of an unknown type, or stands twice.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        size = min(os.fstat(file.fileno()).st_size, HEAD_LIMIT)
        if not size:
            raise CheckpointError(f"{path}: the file is empty")
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapped:
            return parse_metadata(mapped, str(path))


def parse_metadata(data: bytes | mmap.mmap, where: str) -> dict[str, Any]:
    """Parse the front of a GGUF file; see `read_metadata`."""
    cursor = _Cursor(data, where)
    if cursor.take(4) != b"GGUF":
        cursor.fail("it does not begin with GGUF")
    version = cursor.number(4)
    if version not in (2, 3):
        cursor.fail(f"version {version}; supported: 2, 3")
    cursor.number(8)  # tensors
    n_fields = cursor.number(8)
    if n_fields > min(MAX_FIELDS, cursor.left // 13):
        cursor.fail(f"{n_fields} entries in {cursor.left} bytes")
    found: dict[str, Any] = {}
    for _ in range(n_fields):
        key = cursor.text(MAX_KEY)
        if key in found:
            cursor.fail(f"the key {key[:80]!r} stands twice")
        found[key] = _value(cursor, cursor.number(4))
    return found


def _value(cursor: _Cursor, kind: int) -> Any:
    """Read one value."""
    if kind == _STRING:
        return cursor.text(MAX_STRING)
    if kind in _SCALARS:
        return _numbers(cursor, kind, 1)[0]
    if kind != _ARRAY:
        cursor.fail(f"a value of the unknown type {kind}")
    inner, count = cursor.number(4), cursor.number(8)
    if inner not in _SCALARS and inner != _STRING:
        cursor.fail(f"an array of the type {inner}")
    least = 8 if inner == _STRING else struct.calcsize(_SCALARS[inner])
    if count > min(MAX_ARRAY, cursor.left // least):
        cursor.fail(f"an array of {count} elements, {cursor.left} bytes are left")
    if inner == _STRING:
        return [cursor.text(MAX_STRING) for _ in range(count)]
    return _numbers(cursor, inner, count)


def _numbers(cursor: _Cursor, kind: int, count: int) -> list[Any]:
    """Read numbers of one type; the caller has checked that they are there."""
    form = f"<{count}{_SCALARS[kind]}"
    values = list(struct.unpack(form, cursor.take(struct.calcsize(form))))
    if kind == _BOOL:
        if any(value > 1 for value in values):
            cursor.fail("a truth value that is neither 0 nor 1")
        return [bool(value) for value in values]
    return values
