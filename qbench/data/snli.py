"""SNLI from its official jsonl or txt files, or from the four-column ``snli_test.csv``.

All three become the same pairs. Rows on which the annotators did not agree (gold label "-", -1 or
empty) are dropped and counted, as every evaluation of SNLI does. Other columns, parses above all,
are passed over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from qbench.data.files import MIB, TextFile, json_object, read_text
from qbench.data.folder import DataFolder
from qbench.data.rows import Row, csv_rows, expect_columns, tab_rows
from qbench.errors import DataError

MAX_BYTES = 256 * MIB
LABELS = ("entailment", "neutral", "contradiction")
NO_LABEL = ("-", "-1", "")
FIELDS = ("gold_label", "sentence1", "sentence2")


@dataclass(frozen=True)
class SnliPair:
    """A premise with a hypothesis; ``group`` is equal for all hypotheses of one premise."""

    id: str
    premise: str
    hypothesis: str
    label: str
    group: str


@dataclass(frozen=True)
class SnliData:
    """Labelled pairs in file order, the rows dropped for want of a label, the file and its hash."""

    pairs: tuple[SnliPair, ...]
    n_unlabelled: int
    path: Path
    sha256: str


class _Record(NamedTuple):
    """The fields of a row that matter; ``pair_id`` is empty where the format has none."""

    line: int
    label: str
    premise: str
    hypothesis: str
    pair_id: str


def read_snli(data: DataFolder) -> SnliData:
    """Read the SNLI file that ``DataFolder.snli`` chooses.

    Raises
    ------
    RequestError
        No SNLI there.
    DataError
        A broken row or file, with file and line.
    """
    file = read_text(data.snli(), MAX_BYTES)
    readers = {".jsonl": _from_jsonl, ".txt": _from_txt, ".csv": _from_csv}
    pairs, seen, n_rows = [], set(), 0
    for row, record in enumerate(readers[file.path.suffix](file)):
        n_rows += 1
        if record.label in NO_LABEL:
            continue
        if record.label not in LABELS:
            raise DataError(
                f"{file.path}, line {record.line}: expected gold_label {', '.join(LABELS)} or -, "
                f"found {record.label[:40]!r}"
            )
        pair = _pair(record, row)
        if pair.id in seen:
            raise DataError(f"{file.path}, line {record.line}: pairID {pair.id!r} is there twice")
        seen.add(pair.id)
        pairs.append(pair)
    if not pairs:
        raise DataError(f"{file.path}: no row with a gold label; expected {', '.join(FIELDS)}")
    return SnliData(tuple(pairs), n_rows - len(pairs), file.path, file.sha256)


def _pair(record: _Record, row: int) -> SnliPair:
    """Give a record its id (pairID, else the row's number) and its group."""
    group = hashlib.sha256(record.premise.encode()).hexdigest()[:16]
    return SnliPair(
        record.pair_id or f"{row:06d}", record.premise, record.hypothesis, record.label, group
    )


def _from_jsonl(file: TextFile) -> Iterator[_Record]:
    """Records of the official jsonl."""
    for number, line in enumerate(file.lines(), start=1):
        if not line.strip():
            continue
        where = f"{file.path}, line {number}"
        fields = json_object(line, where)
        values = [fields.get(name) for name in FIELDS]
        if not all(isinstance(value, str) for value in values):
            raise DataError(f"{where}: expected texts under {', '.join(FIELDS)}")
        label, premise, hypothesis = (str(value) for value in values)
        pair_id = fields.get("pairID")
        yield _Record(
            number, label, premise, hypothesis, pair_id if isinstance(pair_id, str) else ""
        )


def _from_txt(file: TextFile) -> Iterator[_Record]:
    """Records of the official tab-separated txt."""
    return _from_rows(file, tab_rows(file))


def _from_csv(file: TextFile) -> Iterator[_Record]:
    """Records of the CSV with the columns gold_label, sentence1, sentence2 and SET."""
    return _from_rows(file, csv_rows(file))


def _from_rows(file: TextFile, rows: Iterator[Row]) -> Iterator[_Record]:
    """Records of rows under a header."""
    header = next(rows, None)
    names = header.cells if header else []
    missing = [name for name in FIELDS if name not in names]
    if header is None or missing:
        raise DataError(
            f"{file.path}, line 1: expected a header with {', '.join(FIELDS)}; "
            f"missing {', '.join(missing)}"
        )
    label, premise, hypothesis = (names.index(name) for name in FIELDS)
    pair_id = names.index("pairID") if "pairID" in names else None
    for row in rows:
        expect_columns(file, row, len(names), ", ".join(names)[:200])
        cells = row.cells
        yield _Record(
            row.line,
            cells[label],
            cells[premise],
            cells[hypothesis],
            "" if pair_id is None else cells[pair_id],
        )
