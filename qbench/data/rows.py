"""Rows of comma- and tab-separated files, each with the line it starts on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from qbench.data.files import TextFile
from qbench.errors import DataError


class Row(NamedTuple):
    """Cells of a row as text; ``line`` counts from 1."""

    line: int
    cells: list[str]


def csv_rows(file: TextFile) -> Iterator[Row]:
    """Yield the rows of a CSV file (RFC 4180, quoted cells may span lines); blank lines are none.

    Raises
    ------
    DataError
        Naming file and line of a row whose quoting is broken.
    """
    reader = csv.reader(io.StringIO(file.text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{file.path}, line {line}: broken CSV row: {error}") from error
        if cells is None:
            return
        if cells:
            yield Row(line, cells)


def tab_rows(file: TextFile) -> Iterator[Row]:
    """Yield the rows of a tab-separated file without quoting; blank lines are none."""
    for number, line in enumerate(file.lines(), start=1):
        bare = line.removesuffix("\r")
        if bare:
            yield Row(number, bare.split("\t"))


def expect_columns(file: TextFile, row: Row, n: int, columns: str) -> None:
    """Raise DataError unless a row has ``n`` cells; ``columns`` says which are expected."""
    if len(row.cells) != n:
        raise DataError(
            f"{file.path}, line {row.line}: expected {n} columns ({columns}), "
            f"found {len(row.cells)}"
        )
