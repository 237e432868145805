"""Write a whole file or none: what stands under the name is never half of something."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a new name beside `path`; what was written there takes its place at the end.

    Parameters
    ----------
    path
        The final name. Its folder must exist.

    Yields
    ------
    Path
        A file to write. If the block raises, it is removed and `path` stays as it was.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
        _give_default_mode(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text in one step; lone surrogates of broken names become escapes.

    Parameters
    ----------
    path
        Where to.
    text
        The whole content; line ends are written as they stand.
    """
    with replacing(path) as part:
        part.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def _give_default_mode(path: Path) -> None:
    """Undo the private mode of a temporary file: results are as readable as any new file."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
