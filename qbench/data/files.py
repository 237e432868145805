"""Reading a data file whole, safely: regular files only, bounded, UTF-8, with a SHA-256.

Every failure is one DataError that names the file and what was found in it; a file that is not
there is a RequestError. What a file means is not known here.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from qbench.errors import DataError, RequestError

MIB = 1 << 20
LFS_POINTER = b"version https://git-lfs"
HTML_STARTS = (b"<!doctype html", b"<html")


class TextFile(NamedTuple):
    """A file as text, a byte order mark removed, line ends untouched; hash of its bytes."""

    path: Path
    text: str
    sha256: str

    def lines(self) -> list[str]:
        r"""Return the lines, split at ``\n`` only, a final empty one dropped."""
        lines = self.text.split("\n")
        return lines[:-1] if lines[-1] == "" else lines


def read_text(path: Path, max_bytes: int) -> TextFile:
    """Read a file as UTF-8.

    Parameters
    ----------
    path
        A regular file.
    max_bytes
        Refused above this size, before anything is read.

    Raises
    ------
    RequestError
        No such file.
    DataError
        Not a regular file, too large, unreadable, a Git LFS pointer, a web page, or not UTF-8 text.
    """
    data = _read_bytes(path, max_bytes)
    if data.startswith(LFS_POINTER):
        raise DataError(f"{path}: a Git LFS pointer, not the data; fetch it with `git lfs pull`")
    if data[:64].lstrip().lower().startswith(HTML_STARTS):
        raise DataError(f"{path}: a web page, not the data; download the file itself again")
    zero = data.find(b"\0")
    if zero >= 0:
        raise DataError(f"{path}: a zero byte at offset {zero}; the file is damaged or not text")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: byte 0x{data[error.start]:02x} at offset {error.start} is not UTF-8; "
            "convert the file to UTF-8"
        ) from error
    return TextFile(path, text.removeprefix("\ufeff"), hashlib.sha256(data).hexdigest())


def _read_bytes(path: Path, max_bytes: int) -> bytes:
    """Read a regular file of bounded size."""
    try:
        # The kind is asked before opening: opening a pipe would wait for a writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{path}: not a regular file")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise RequestError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > max_bytes:
        raise DataError(f"{path}: larger than {max_bytes // MIB} MiB, the bound for such a file")
    return data


def combined_sha256(files: Iterable[TextFile], base: Path) -> str:
    """SHA-256 over names (relative to ``base``) and hashes of files, in the order of the names."""
    named = sorted((f.path.relative_to(base).as_posix(), f.sha256) for f in files)
    return hashlib.sha256("".join(f"{n}\0{h}\n" for n, h in named).encode()).hexdigest()


def json_object(line: str, where: str) -> dict[str, Any]:
    """Parse one strict JSON object: no duplicate keys, no NaN or infinity, bounded depth.

    Raises
    ------
    DataError
        Beginning with ``where``.
    """
    try:
        value = json.loads(line, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DataError(f"{where}: expected one JSON object: {what}") from error
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected one JSON object, found {type(value).__name__}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, refusing a key given twice."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is given twice")
    return value


def _refuse(constant: str) -> Any:
    """Refuse NaN and the infinities."""
    raise ValueError(f"{constant} is no JSON number")
