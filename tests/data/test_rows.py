from __future__ import annotations

from pathlib import Path

import pytest

from qbench.data.files import TextFile
from qbench.data.rows import csv_rows, expect_columns, tab_rows
from qbench.errors import DataError


def file(text: str) -> TextFile:
    return TextFile(Path("rows.csv"), text, "")


def test_lines_count_through_quoted_cells_and_blank_lines() -> None:
    rows = list(csv_rows(file('a,b\r\n"c\nd","e ""f"""\n\n\ng,h')))
    assert [row.cells for row in rows] == [["a", "b"], ["c\nd", 'e "f"'], ["g", "h"]]
    assert rows[0].line == 1
    assert rows[1].line == 2
    with pytest.raises(DataError, match=r"rows.csv, line 2: expected 3 columns \(x\), found 2"):
        expect_columns(file(""), rows[1], 3, "x")


@pytest.mark.parametrize("text", ['a,b\n"c,d\ne', 'a,b\n"c"d,e\n', "a,b\n" + "x" * 200_000])
def test_broken_quoting_names_the_line(text: str) -> None:
    with pytest.raises(DataError, match=r"rows.csv, line 2: broken CSV row"):
        list(csv_rows(file(text)))


def test_tab_rows_know_no_quotes() -> None:
    rows = list(tab_rows(file('a\t"b\r\n\nc\td\n')))
    assert [(row.line, row.cells) for row in rows] == [(1, ["a", '"b']), (3, ["c", "d"])]
