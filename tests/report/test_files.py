"""A file appears whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from qbench.report.files import replacing, write_text


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_nothing_stands_under_the_name_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with replacing(path) as part:
        part.write_text("x" * 100)
        assert not path.exists() and part.parent == tmp_path
    assert path.read_text() == "x" * 100


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a"
    before = os.umask(0o022)
    try:
        write_text(path, "a\r\nb\n\u20ac\udc80")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"a\r\nb\n\xe2\x82\xac\\udc80"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
