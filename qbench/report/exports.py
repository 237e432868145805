"""Results in the forms of other programs: CSV for spreadsheets, Parquet for frames, lm-eval's JSON.

Each is written in one step. Numbers keep all their digits; only text cells that a spreadsheet would
run as a formula are changed, by a leading apostrophe, and only in CSV.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from qbench._version import __version__
from qbench.errors import RequestError
from qbench.report.files import replacing, write_text
from qbench.report.points import task_label
from qbench.report.text import csv_cell
from qbench.study.records import CellFacts, ResultRow
from qbench.study.results import Results

# Names of our metrics in lm-eval's files, where they have one there.
LM_EVAL_NAMES = {"word_ppl": "word_perplexity"}
# Half the width of a 95 % normal interval in standard errors; lm-eval stores standard errors.
HALF_WIDTH = 1.959963984540054
LM_EVAL_FILTER = "none"


def write_csv(path: Path, results: Results) -> Path:
    """Write all rows as CSV (RFC 4180, UTF-8); a missing number is an empty cell.

    Parameters
    ----------
    path
        The file.
    results
        Scores.

    Returns
    -------
    Path
        The file.
    """
    names = [field.name for field in fields(ResultRow)]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    for row in results.rows():
        writer.writerow([csv_cell(getattr(row, name)) for name in names])
    write_text(path, text.getvalue())
    return path


def write_parquet(path: Path, results: Results) -> Path:
    """Write all rows as one Parquet file, columns as in `Results.to_pandas`.

    Parameters
    ----------
    path
        The file.
    results
        Scores.

    Returns
    -------
    Path
        The file.
    """
    frame = results.to_pandas()
    with replacing(path) as part:
        frame.to_parquet(part, index=False)
    return path


def write_lm_eval(path: Path, results: Results) -> list[Path]:
    """Write results as lm-eval does: one JSON document per model and recipe.

    Parameters
    ----------
    path
        A file if there is one pair of model and recipe, else a folder that gets a file for each.
    results
        Scores.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    RequestError
        There are no results, or a folder is needed and a file stands there.
    """
    cells = [cell.facts for cell in results.cells]
    pairs = list(dict.fromkeys((c.model, c.recipe, c.mode, c.kv_format) for c in cells))
    if not pairs:
        raise RequestError("the store holds no results to export")
    documents = []
    for pair in pairs:
        rows = [r for r in results.rows() if (r.model, r.recipe, r.mode, r.kv_format) == pair]
        own = [c for c in cells if (c.model, c.recipe, c.mode, c.kv_format) == pair]
        documents.append(lm_eval_document(rows, own))
    if len(pairs) == 1:
        write_text(path, _pretty(documents[0]))
        return [path]
    if path.exists() and not path.is_dir():
        raise RequestError(f"{path}: a folder is needed for {len(pairs)} files; this is a file")
    path.mkdir(exist_ok=True)
    written = []
    for pair, document in zip(pairs, documents, strict=True):
        file = path / f"results_{_file_name('__'.join(pair))}.json"
        write_text(file, _pretty(document))
        written.append(file)
    return written


def lm_eval_document(rows: Sequence[ResultRow], cells: Sequence[CellFacts]) -> dict[str, Any]:
    """Arrange rows of one model under one recipe as lm-eval's results file.

    Parameters
    ----------
    rows
        Their result rows; subsets become tasks of their own, as lm-eval's subtasks are.
    cells
        Facts of the cells they come from.

    Returns
    -------
    dict
        Keys `results`, `versions`, `n-shot`, `n-samples`, `higher_is_better`, `configs`, `config`.
        Standard errors are half the 95 % interval / 1.96, which for a Wilson interval is close to
        lm-eval's own; where there is no interval it is "N/A", as lm-eval writes it.
    """
    facts = {cell.task_label: cell for cell in cells}
    document: dict[str, Any] = {
        "results": {},
        "configs": {},
        "versions": {},
        "n-shot": {},
        "higher_is_better": {},
        "n-samples": {},
    }
    for row in rows:
        label = task_label(row)
        name = f"{label}_{row.subset}" if row.subset else label
        metric = LM_EVAL_NAMES.get(row.metric, row.metric)
        scores = document["results"].setdefault(name, {"alias": name})
        if row.value is not None:
            scores[f"{metric},{LM_EVAL_FILTER}"] = row.value
            scores[f"{metric}_stderr,{LM_EVAL_FILTER}"] = _standard_error(row)
        document["versions"][name] = facts[label].version
        document["n-shot"][name] = row.shots or 0
        document["higher_is_better"].setdefault(name, {})[metric] = row.higher_is_better
        document["n-samples"][name] = {
            "original": row.n_total if not row.subset else row.n_items,
            "effective": row.n_scored + row.n_unparsed,
        }
        document["configs"][name] = {
            "task": name,
            "num_fewshot": row.shots or 0,
            "metadata": {"preset": row.preset, "data_sha256": facts[label].data_sha256},
        }
    first = cells[0]
    document["config"] = {
        "model": "qbench",
        "model_args": {"pretrained": first.model, "recipe": first.recipe, "mode": first.mode},
        "random_seed": first.seed,
    }
    document["model_name"] = first.model
    document["qbench"] = {"version": __version__, "cells": [asdict(cell) for cell in cells]}
    return document


def _standard_error(row: ResultRow) -> float | str:
    """Half the interval in standard errors, or lm-eval's word for none."""
    if row.low is None or row.high is None:
        return "N/A"
    return (row.high - row.low) / (2.0 * HALF_WIDTH)


def _pretty(document: dict[str, Any]) -> str:
    """JSON as lm-eval writes it."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _file_name(text: str) -> str:
    """Keep letters, digits and a few marks of a name; lm-eval does alike."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:120].strip(".")
