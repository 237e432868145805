"""A folder appears whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qbench import folders
from qbench.errors import QbenchError, RequestError
from qbench.folders import new_folder


def fill(folder: Path, text: str = "new") -> None:
    (folder / "config.json").write_text(text)


def old_model(folder: Path) -> Path:
    folder.mkdir()
    fill(folder, "old")
    (folder / "left.over").write_text("old")
    return folder


def allow(folder: Path) -> None:
    """Let any folder be replaced."""


@pytest.mark.parametrize("existing", ["nothing", "empty", "no parent"])
def test_a_new_folder(existing: str, tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "out" if existing == "no parent" else tmp_path / "out"
    if existing == "empty":
        target.mkdir()
    with new_folder(target) as work:
        assert work.parent == target.parent
        assert not target.exists() or not list(target.iterdir())
        fill(work)
    assert (target / "config.json").read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_of_a_failure(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error), new_folder(tmp_path / "out") as work:
        fill(work)
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_is_refused(tmp_path: Path) -> None:
    target = old_model(tmp_path / "out")
    with pytest.raises(RequestError, match="not empty"), new_folder(target):
        raise AssertionError("must not begin")
    assert (target / "config.json").read_text() == "old"


def test_what_may_be_replaced_is(tmp_path: Path) -> None:
    target = old_model(tmp_path / "out")
    with new_folder(target, refuse=allow) as work:
        fill(work)
        assert (target / "config.json").read_text() == "old"
    assert [path.name for path in target.iterdir()] == ["config.json"]
    assert (target / "config.json").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_replacement_keeps_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = old_model(tmp_path / "out")
    rename = Path.rename

    def fail_for_work(self: Path, to: Path) -> Path:
        if self.suffix == ".tmp":
            raise OSError(5, "Input/output error")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fail_for_work)
    with (
        pytest.raises(QbenchError, match=r"cannot write the folder .*: Input/output error"),
        new_folder(target, refuse=allow) as work,
    ):
        fill(work)
    assert (target / "config.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_target_that_fills_up_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(RequestError, match="not empty"), new_folder(target) as work:
        fill(work)
        old_model(target)
    assert (target / "config.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RequestError, match="is no folder"), new_folder(tmp_path / "out", allow):
        raise AssertionError("must not begin")
    with (
        pytest.raises(QbenchError, match="cannot write the folder"),
        new_folder(tmp_path / "out" / "deeper"),
    ):
        raise AssertionError("must not begin")
    assert (tmp_path / "out").read_text() == "a file"


def test_a_link_is_followed(tmp_path: Path) -> None:
    old_model(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    with new_folder(tmp_path / "link", refuse=allow) as work:
        fill(work)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "config.json").read_text() == "new"


def test_everything_is_flushed_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, move = os.fsync, folders._move
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("flush"), fsync(fd))[1])
    monkeypatch.setattr(folders, "_move", lambda *a: (events.append("move"), move(*a))[1])
    with new_folder(tmp_path / "out") as work:
        fill(work)
    assert events == ["flush", "flush", "move", "flush"]
