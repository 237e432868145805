r"""Text corpora for perplexity: plain text, JSONL with a field ``text``, and WikiText-2.

A plain file is one document, a JSONL file one per line. WikiText-2 is joined as the GPTQ, AWQ and
SpQR papers do, through the Hugging Face data set: each line of the raw file is a row that keeps its
line end, blank lines are empty rows, and rows are joined by "\n\n".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qbench.data.files import MIB, TextFile, json_object, read_text
from qbench.data.folder import DataFolder
from qbench.errors import DataError

MAX_BYTES = 1024 * MIB
JSONL_SUFFIXES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Corpus:
    """Documents in order; no window of a perplexity crosses from one into another."""

    name: str
    documents: tuple[str, ...]
    sha256: str


def read_corpus(path: str | Path) -> Corpus:
    """Read a plain text file, or JSONL (``.jsonl``, ``.ndjson``) with a field ``text``.

    Raises
    ------
    RequestError
        No such file.
    DataError
        A broken line, with its number, or no text at all.
    """
    file = read_text(Path(path), MAX_BYTES)
    if file.path.suffix.lower() in JSONL_SUFFIXES:
        documents = _jsonl_documents(file)
    else:
        documents = (file.text,)
    if not any(document.strip() for document in documents):
        raise DataError(f"{file.path}: holds no text")
    return Corpus(file.path.name, documents, file.sha256)


def read_wikitext2(data: DataFolder) -> Corpus:
    """Read WikiText-2's raw test file as one joined document.

    Raises
    ------
    RequestError
        No WikiText-2 below the data folder.
    DataError
        A file that holds no text.
    """
    file = read_text(data.wikitext2(), MAX_BYTES)
    if not file.text.strip():
        raise DataError(f"{file.path}: holds no text")
    return Corpus("wikitext2", (join_rows(file.text),), file.sha256)


def join_rows(raw: str) -> str:
    r"""Join the lines of a raw WikiText file with "\n\n", blank ones as empty rows."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", raw)
    return "\n\n".join(line if line.strip() else "" for line in lines)


def _jsonl_documents(file: TextFile) -> tuple[str, ...]:
    """Field ``text`` of each line; blank lines are none."""
    documents = []
    for number, line in enumerate(file.lines(), start=1):
        if line.strip():
            where = f"{file.path}, line {number}"
            text = json_object(line, where).get("text")
            if not isinstance(text, str):
                raise DataError(f"{where}: expected a text under the key text")
            documents.append(text)
    return tuple(documents)
