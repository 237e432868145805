"""MMLU from its official CSV files: one ``<subject>_test.csv`` and ``<subject>_dev.csv`` each.

Six columns without a header: question, four choices, the letter of the answer. Cells are taken as
text. (The authors' scripts read them with pandas, which turns a choice "None" into "nan": 10 of
13,541 rows.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qbench.data.files import MIB, TextFile, combined_sha256, read_text
from qbench.data.folder import DataFolder
from qbench.data.rows import csv_rows, expect_columns
from qbench.errors import DataError

MAX_BYTES = 16 * MIB
LETTERS = ("A", "B", "C", "D")
COLUMNS = "question, choices A to D, answer"
SUBJECT = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True)
class MmluQuestion:
    """A question with its four choices; ``row`` counts from 0, ``answer`` indexes the choices."""

    subject: str
    row: int
    question: str
    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True)
class MmluData:
    """Questions by subject, sorted by name; a subject without a dev file has no shots."""

    test: dict[str, tuple[MmluQuestion, ...]]
    dev: dict[str, tuple[MmluQuestion, ...]]
    sha256: str


def read_mmlu(data: DataFolder) -> MmluData:
    """Read all subjects below a data folder.

    Raises
    ------
    RequestError
        No MMLU there.
    DataError
        A broken row or file, with file and line.
    """
    base = data.mmlu()
    test_files = _files(base, "test")
    dev_files = {s: f for s, f in _files(base, "dev").items() if s in test_files}
    return MmluData(
        {subject: _questions(file, subject) for subject, file in test_files.items()},
        {subject: _questions(file, subject) for subject, file in dev_files.items()},
        combined_sha256([*test_files.values(), *dev_files.values()], base),
    )


def _files(base: Path, split: str) -> dict[str, TextFile]:
    """Files of a split by subject."""
    found = {}
    for path in sorted((base / split).glob(f"*_{split}.csv")):
        subject = path.name.removesuffix(f"_{split}.csv")
        if not SUBJECT.fullmatch(subject):
            raise DataError(f"{path}: a subject is named in lower case letters, digits and _")
        found[subject] = read_text(path, MAX_BYTES)
    return found


def _questions(file: TextFile, subject: str) -> tuple[MmluQuestion, ...]:
    """Rows of one file."""
    questions: list[MmluQuestion] = []
    for row in csv_rows(file):
        expect_columns(file, row, 6, COLUMNS)
        question, *choices, letter = row.cells
        if letter not in LETTERS:
            raise DataError(
                f"{file.path}, line {row.line}: expected A, B, C or D as the answer (column 6), "
                f"found {letter[:40]!r}"
            )
        questions.append(
            MmluQuestion(subject, len(questions), question, tuple(choices), LETTERS.index(letter))
        )
    if not questions:
        raise DataError(f"{file.path}: no row; expected columns {COLUMNS}")
    return tuple(questions)
