from __future__ import annotations

from pathlib import Path

import pytest
from task_material import write_mmlu, write_snli

from qbench.data.folder import SNLI_FILES, DataFolder
from qbench.errors import RequestError


def test_missing_folder_and_missing_benchmarks(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"absent: no such data folder.*--data"):
        DataFolder.open(tmp_path / "absent")
    data = DataFolder.open(tmp_path)
    for look, fragment in (
        (data.mmlu, "no data of mmlu: .*_test.csv"),
        (data.snli, r"no data of snli: .*snli_1.0_test.jsonl or .*snli_test.csv"),
        (data.wikitext2, r"no data of perplexity: looked for wiki.test.raw"),
    ):
        with pytest.raises(RequestError, match=fragment):
            look()


def test_mmlu_is_found_from_above_and_from_inside(tmp_path: Path) -> None:
    folder = write_mmlu(tmp_path)
    for root in (tmp_path, tmp_path / "mmlu", folder):
        assert DataFolder.open(root).mmlu().samefile(folder)


def test_snli_prefers_test_files_and_ignores_the_sample(tmp_path: Path) -> None:
    write_snli(tmp_path / "snli" / "format_sample", "snli_1.0_test.jsonl")
    data = DataFolder.open(tmp_path)
    with pytest.raises(RequestError, match="no data of snli"):
        data.snli()
    for name in reversed(SNLI_FILES):
        write_snli(tmp_path / "snli", name)
        assert data.snli().name == name
    assert SNLI_FILES.index("snli_test.csv") < SNLI_FILES.index("snli_1.0_dev.jsonl")


def test_wikitext2_in_either_layout(tmp_path: Path) -> None:
    for place in ("wikitext2/wikitext-2-raw", "wikitext-2-raw", "wikitext2"):
        path = tmp_path / place / "wiki.test.raw"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        assert DataFolder.open(tmp_path).wikitext2() == path
