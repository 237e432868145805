"""A safetensors file from pieces, the same bytes every time.

Tensors lie in the order of their value size (largest first) and then of their names, so that each
begins at a multiple of its value size without a hole, which the format forbids. The header is
padded to a multiple of 8. Data are written piece by piece; a whole file is never in memory. The
reader is `qbench.models.checkpoint`. It must not know what the tensors mean.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

VALUE_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "U8": 1}
_ALIGNMENT = 8


class Entry(NamedTuple):
    """One tensor to write.

    ``pieces`` yields its data as consecutive little-endian arrays; it is called once, when their
    turn has come.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    pieces: Callable[[], Iterable[np.ndarray]]

    @property
    def n_bytes(self) -> int:
        """Size of the data."""
        return math.prod(self.shape) * VALUE_BYTES[self.dtype]


def write_safetensors(path: Path, entries: Sequence[Entry], metadata: Mapping[str, str]) -> None:
    """Write a file and flush it to the disk.

    Parameters
    ----------
    path
        A file that does not exist.
    entries
        Tensors with distinct names, in any order.
    metadata
        Free-form strings for the header.

    Raises
    ------
    OSError
        If the file cannot be written; what was written stays behind.
    ValueError
        If names repeat, or the pieces of an entry do not have its size.
    """
    ordered = sorted(entries, key=lambda entry: (-VALUE_BYTES[entry.dtype], entry.name))
    if len({entry.name for entry in ordered}) != len(ordered):
        raise ValueError("two tensors have the same name")
    with path.open("xb") as file:
        header = _header(ordered, metadata)
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for entry in ordered:
            written = 0
            for piece in entry.pieces():
                written += file.write(np.ascontiguousarray(piece).data)
            if written != entry.n_bytes:
                raise ValueError(f"{entry.name}: {written} bytes, expected {entry.n_bytes}")
        file.flush()
        os.fsync(file.fileno())


def _header(ordered: Sequence[Entry], metadata: Mapping[str, str]) -> bytes:
    """JSON header, padded with spaces so that the data begin at a multiple of 8."""
    document: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    begin = 0
    for entry in ordered:
        end = begin + entry.n_bytes
        document[entry.name] = {
            "dtype": entry.dtype,
            "shape": list(entry.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    text = json.dumps(document, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % _ALIGNMENT)
