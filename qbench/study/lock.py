"""One writer per store: a lock that dies with its process.

The lock is a POSIX record lock on ``<store>.lock``, which the kernel drops when the process ends,
however it ends, so that a killed run never leaves a stale lock. The file holds PID, boot id and
host for the message only. Record locks belong to the process and are not inherited by forked
children; writers of the same process are kept apart by a table.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import threading
from pathlib import Path

from qbench.errors import StoreError

_held: set[str] = set()
_held_guard = threading.Lock()


class WriterLock:
    """Held from construction to ``release``; refused at once when another writer holds it."""

    def __init__(self, store: Path) -> None:
        self.path = store.with_name(store.name + ".lock")
        self._name = str(self.path.absolute())
        with _held_guard:
            if self._name in _held:
                raise StoreError(
                    f"{store}: process {os.getpid()}, this one, is already writing to this store; "
                    "close the other study first"
                )
            self._fd = self._acquire(store)
            _held.add(self._name)

    def _acquire(self, store: Path) -> int:
        """Open and lock the file; again if its last owner removed it in between."""
        while True:
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise StoreError(
                    f"{store}: cannot write beside it ({error.strerror}); choose another place"
                ) from error
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                owner = _owner(fd)
                os.close(fd)
                raise StoreError(
                    f"{store}: {owner} is writing to this store; wait for it or stop it"
                ) from error
            if _same_file(fd, self.path):
                os.ftruncate(fd, 0)
                os.pwrite(fd, json.dumps(_identity()).encode(), 0)
                return fd
            os.close(fd)

    def release(self) -> None:
        """Remove the file and drop the lock; a second call does nothing."""
        with _held_guard:
            if self._name not in _held:
                return
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
            os.close(self._fd)
            _held.discard(self._name)


def _identity() -> dict[str, str | int]:
    """Who holds the lock; the boot id tells a PID of this boot from one of the last."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    boot_id = boot.read_text().strip() if boot.exists() else ""
    return {"pid": os.getpid(), "boot_id": boot_id, "host": platform.node()}


def _owner(fd: int) -> str:
    """Describe the holder in words, from what it wrote into the file."""
    try:
        content = json.loads(os.pread(fd, 4096, 0))
        return f"process {int(content['pid'])} on {content['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _same_file(fd: int, path: Path) -> bool:
    """Whether the path still names the opened file."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
