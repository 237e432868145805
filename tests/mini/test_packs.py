from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from qbench.errors import QbenchError, RequestError
from qbench.mini import packs
from qbench.mini.world import families, overlap

FEW = {"mmlu/data/test/a_test.csv": "é,1\n", "perplexity/letters.txt": "Dear\r\nyou\n"}
PACKS_SHA256 = "1a6917c18bb4ac40a4c01ae88ddb5f8bed8b072a35a062ace0cc6a44132342d3"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "_files", lambda: FEW)


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


# ---- what is written -----------------------------------------------------------------------------


def test_every_pack_has_the_stated_number_of_items() -> None:
    counts = Counter(item.benchmark for item in overlap.items(packs.files()))
    # Both languages of a sentence pair are texts of their own.
    counts["flores200"] //= 2
    assert counts == {pack.name: pack.n_items for pack in packs.PACKS}
    assert min(counts.values()) >= 1700


def test_all_families_have_packs() -> None:
    assert {pack.family for pack in packs.PACKS} == set(families.NAMES)
    assert len({pack.name for pack in packs.PACKS}) == 10


def test_files_lie_in_the_folder_of_their_benchmark() -> None:
    tops = {path.split("/")[0] for path in packs.files()}
    assert tops == {*(pack.name for pack in packs.PACKS), "perplexity", "calibration"}


def test_every_file_with_test_items_is_searched_for_overlap() -> None:
    unread = [
        path
        for path in packs.files()
        if not any(re.fullmatch(pattern, path) for pattern, _ in overlap.READERS)
    ]
    # Shots and training splits, a second form of the same items, and what is no benchmark.
    others = (
        r".*/dev/.*|gsm8k/train\.jsonl|truthfulqa/TruthfulQA\.csv|bbq/supplemental/.*"
        r"|ceval/subject_mapping\.json|(perplexity|calibration)/.*"
    )
    assert not [path for path in unread if not re.fullmatch(others, path)]


def test_calibration_is_json_lines_of_texts() -> None:
    lines = packs.files()[packs.CALIBRATION].split("\n")
    assert lines.pop() == ""
    assert len(lines) == 512
    assert all(set(row) == {"text"} and row["text"] for row in map(json.loads, lines))


def test_packs_are_the_same_on_every_machine() -> None:
    assert packs.sha256() == PACKS_SHA256


def test_changing_what_is_returned_changes_nothing() -> None:
    packs.files().clear()
    assert packs.files()


def test_the_hash_knows_names_from_contents(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    texts: list[Mapping[str, str]] = [{"a": "bc"}, {"ab": "c"}, {"a": "b", "c": ""}, {"a": ""}]
    for case in texts:
        monkeypatch.setattr(packs, "_files", lambda case=case: case)
        seen.add(packs.sha256())
    assert len(seen) == len(texts)


def test_two_families_may_not_write_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        def official_files(self) -> dict[str, str]:
            return {"x": "y"}

    monkeypatch.setattr(families, "family", lambda name: Fake())
    with pytest.raises(ValueError, match="x: written by arithmetic and by another"):
        packs._files.__wrapped__()


# ---- writing -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("place", ["new", "deep/er/new", "empty"])
def test_write_makes_a_folder_with_a_manifest(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    folder = packs.write(tmp_path / place)
    tree = _tree(folder)
    manifest = tree.pop(packs.MANIFEST).decode()
    assert tree == {path: text.encode() for path, text in FEW.items()}
    expected = [f"{hashlib.sha256(tree[path]).hexdigest()}  {path}" for path in sorted(tree)]
    assert manifest.splitlines() == expected
    assert [p.name for p in folder.parent.iterdir() if p.name.startswith(".")] == []


@pytest.mark.usefixtures("few")
def test_write_replaces_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packs.write(tmp_path / "packs")
    monkeypatch.setattr(packs, "_files", lambda: {"other.txt": "new"})
    packs.write(tmp_path / "packs")
    assert set(_tree(tmp_path / "packs")) == {"other.txt", packs.MANIFEST}
    assert [p.name for p in tmp_path.iterdir()] == ["packs"]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("ours_before", [False, True])
def test_write_refuses_what_is_not_ours(tmp_path: Path, ours_before: bool) -> None:
    folder = tmp_path / "packs"
    if ours_before:
        packs.write(folder)
    folder.mkdir(exist_ok=True)
    (folder / "thesis.txt").write_text("years of work")
    before = _tree(folder)
    with pytest.raises(RequestError, match=r"thesis\.txt.*name a new or empty folder"):
        packs.write(folder)
    assert _tree(folder) == before


@pytest.mark.usefixtures("few")
def test_write_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "packs").write_text("x")
    with pytest.raises(RequestError, match="is no folder; name another one"):
        packs.write(tmp_path / "packs")


@pytest.mark.usefixtures("few")
def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packs.write(tmp_path / "packs")
    before = _tree(tmp_path / "packs")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.endswith(".tmp"):
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(QbenchError, match=r"cannot write the folder .*no"):
        packs.write(tmp_path / "packs")
    assert _tree(tmp_path / "packs") == before
    assert [p.name for p in tmp_path.iterdir()] == ["packs"]


@pytest.mark.usefixtures("few")
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packs.write(tmp_path / "packs")
    before = _tree(tmp_path / "packs")

    def failing(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises(QbenchError, match="No space"):
        packs.write(tmp_path / "packs")
    monkeypatch.undo()
    assert _tree(tmp_path / "packs") == before
    assert [p.name for p in tmp_path.iterdir()] == ["packs"]
    shutil.rmtree(tmp_path / "packs")
