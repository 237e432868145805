"""Opening files that anybody may have put there.

Only regular files are opened: a FIFO or device would block or never end. It must not know any
format.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from qbench.errors import CheckpointError, QbenchError


def open_regular(path: Path, error: type[QbenchError] = CheckpointError) -> int:
    """Open a regular file for reading; symbolic links are followed.

    Returns
    -------
    int
        A descriptor, which the caller closes.

    Raises
    ------
    QbenchError
        Of the given class, if the file is missing, unreadable or of another kind.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise error(f"cannot read {path}: it is {_kind(status.st_mode)}, not a file")
        # Nonblocking, in case the file was replaced by a FIFO since.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise error(f"cannot read {path}: {exc.strerror or exc}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise error(f"cannot read {path}: it is no regular file")
    return descriptor


def read_bytes(path: Path, limit: int, error: type[QbenchError] = CheckpointError) -> bytes:
    """Read a whole regular file of at most ``limit`` bytes.

    Raises
    ------
    QbenchError
        As for `open_regular`, and if the file is larger than the limit.
    """
    with os.fdopen(open_regular(path, error), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise error(f"{path}: {size} bytes, more than the {limit} that are read")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise error(f"{path}: grew beyond {limit} bytes while it was read")
    return data


def existing_path(text: str, error: type[QbenchError] = CheckpointError) -> Path | None:
    """Take a text for a path, ``~`` included; None if nothing is there.

    Raises
    ------
    QbenchError
        If no file system can hold such a name (an embedded NUL, too many characters).
    """
    # Unlike Path.expanduser, this one leaves an unknown user's folder alone instead of raising.
    path = Path(os.path.expanduser(text))  # noqa: PTH111
    try:
        return path if text and path.exists() else None
    except (OSError, ValueError) as exc:
        raise error(f"{text[:200]!r} is no path: {exc}") from None


def _kind(mode: int) -> str:
    """Say in words what kind of file a mode stands for."""
    kinds = (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((text for test, text in kinds if test(mode)), "a special file")
