"""A folder that appears whole or not at all.

Files are written into a folder of a unique temporary name beside the target, flushed, and the
folder is renamed. Whatever goes wrong before the rename leaves the target as it was. It must not
know what the files hold.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qbench.errors import QbenchError, RequestError


def refuse_content(target: Path) -> None:
    """Refuse to replace a folder that holds anything."""
    raise RequestError(f"the folder {target} is not empty; name another one, or use force")


@contextmanager
def new_folder(folder: Path, refuse: Callable[[Path], None] = refuse_content) -> Iterator[Path]:
    """Make a folder by filling a temporary one.

    Parameters
    ----------
    folder
        The target; missing parents are made. It may exist if it is empty.
    refuse
        Is asked about a target that is not empty, before and after the block, and raises if that
        may not be replaced.

    Yields
    ------
    Path
        An empty folder on the same file system. When the block ends it becomes the target; when it
        raises, it is removed.

    Raises
    ------
    RequestError
        If the target is no folder, or is not empty and may not be replaced.
    QbenchError
        If the operating system refuses to write.
    """
    target = Path(os.path.realpath(folder))
    _check_target(target, folder, refuse)
    work = target.parent / f".{target.name}.{secrets.token_hex(8)}.tmp"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work.mkdir()
        yield work
        for path in work.rglob("*"):
            _flush(path)
        _flush(work)
        _check_target(target, folder, refuse)
        _move(work, target)
        _flush(target.parent)
    except OSError as error:
        cause = error.strerror or str(error)
        if error.filename is not None:
            cause += f" ({error.filename})"
        raise QbenchError(f"cannot write the folder {folder}: {cause}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _check_target(target: Path, named: Path, refuse: Callable[[Path], None]) -> None:
    """Refuse a target whose content would be lost."""
    if not target.exists():
        return
    if not target.is_dir():
        raise RequestError(f"{named} exists and is no folder; name another one")
    if any(target.iterdir()):
        refuse(named)


def _move(work: Path, target: Path) -> None:
    """Rename the finished folder to its name; an old one steps aside first and is then removed."""
    if not target.exists() or not any(target.iterdir()):
        work.replace(target)
        return
    old = work.with_suffix(".old")
    target.rename(old)
    try:
        work.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)


def _flush(path: Path) -> None:
    """Flush a file or a folder's list of names to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
