from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from qbench.errors import CheckpointError, DataError
from qbench.models.files import open_regular, read_bytes


@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "missing", "loop", "large"])
def test_special_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "large":
        path.write_bytes(b" " * 101)
    start = time.perf_counter()
    with pytest.raises(CheckpointError, match=path.name):
        read_bytes(path, 100)
    assert time.perf_counter() - start < 1


def test_reads_up_to_the_limit_and_follows_links(tmp_path: Path) -> None:
    path, link = tmp_path / "f", tmp_path / "link"
    path.write_bytes(b"x" * 100)
    link.symlink_to(path)
    assert read_bytes(link, 100) == b"x" * 100
    with pytest.raises(DataError, match="100 bytes, more than the 99"):
        read_bytes(path, 99, DataError)


def test_what_it_is_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="it is a directory, not a file"):
        open_regular(tmp_path)
    with pytest.raises(CheckpointError, match="No such file"):
        open_regular(tmp_path / "absent")
