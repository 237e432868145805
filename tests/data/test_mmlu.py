from __future__ import annotations

from pathlib import Path

import pytest
from task_material import SUBJECTS, write_mmlu

from qbench.data import DataFolder, read_mmlu
from qbench.errors import DataError


def test_rows_become_questions(tmp_path: Path) -> None:
    write_mmlu(tmp_path)
    data = read_mmlu(DataFolder.open(tmp_path))
    assert {s: len(q) for s, q in data.test.items()} == SUBJECTS
    assert {s: len(q) for s, q in data.dev.items()} == dict.fromkeys(SUBJECTS, 5)
    first, _, third = data.test["astronomy"][:3]
    assert first.question == ' astronomy "test",\nnumber 0? '
    assert (third.row, third.answer, third.choices[3]) == (2, 2, "d2, yes")


def test_every_cell_is_what_pandas_reads(shared: Path) -> None:
    import pandas as pd

    data = read_mmlu(DataFolder.open(shared / "data"))
    assert len(data.test) == 52
    assert sum(map(len, data.test.values())) == 13_256
    base = DataFolder.open(shared / "data").mmlu()
    for subject in data.test:
        path = base / "test" / f"{subject}_test.csv"
        frame = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
        ours = [[q.question, *q.choices, "ABCD"[q.answer]] for q in data.test[subject]]
        assert ours == frame.to_numpy().tolist()


@pytest.mark.parametrize(
    ("row", "fragment"),
    [
        ("q,a,b,c,d", "line 6: expected 6 columns .* found 5"),
        ("q,a,b,c,d,A,x", "line 6: expected 6 columns .* found 7"),
        ("q,a,b,c,d,E", "line 6: expected A, B, C or D .* found 'E'"),
        ("q,a,b,c,d,", "line 6: expected A, B, C or D"),
        ('q,a,b,c,"d,A', "line 6: broken CSV row"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, row: str, fragment: str) -> None:
    path = write_mmlu(tmp_path) / "test" / "us_foreign_policy_test.csv"
    path.write_text(path.read_text() + row)  # four rows, the first of which spans two lines
    with pytest.raises(DataError, match=f"us_foreign_policy_test.csv, {fragment}"):
        read_mmlu(DataFolder.open(tmp_path))


def test_empty_files_and_odd_names_are_refused(tmp_path: Path) -> None:
    folder = write_mmlu(tmp_path) / "test"
    (folder / "virology_test.csv").write_text("\n\n")
    with pytest.raises(DataError, match=r"virology_test.csv: no row"):
        read_mmlu(DataFolder.open(tmp_path))
    (folder / "virology_test.csv").rename(folder / "Ünder way_test.csv")
    with pytest.raises(DataError, match="a subject is named in"):
        read_mmlu(DataFolder.open(tmp_path))


def test_a_changed_byte_changes_the_hash(tmp_path: Path) -> None:
    folder = write_mmlu(tmp_path)
    before = read_mmlu(DataFolder.open(tmp_path)).sha256
    path = folder / "dev" / "virology_dev.csv"
    path.write_text(path.read_text().replace("dev 1?", "dev 1!"))
    assert read_mmlu(DataFolder.open(tmp_path)).sha256 != before
