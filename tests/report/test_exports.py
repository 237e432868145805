"""Exports keep every digit, harm no spreadsheet, and speak lm-eval's language."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import fields
from pathlib import Path

import pytest
from report.builders import cell_view, choice_items, facts, results

from qbench.errors import RequestError
from qbench.report import exports
from qbench.study.records import ResultRow
from qbench.study.results import Results

NAMES = [field.name for field in fields(ResultRow)]


def test_csv_holds_every_row_and_digit(tmp_path: Path) -> None:
    path = exports.write_csv(tmp_path / "r.csv", results())
    with path.open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    rows = results().rows()
    assert list(read[0]) == NAMES and len(read) == len(rows)
    for found, row in zip(read, rows, strict=True):
        assert found["model"] == row.model
        assert found["value"] == ("" if row.value is None else repr(row.value))
        assert found["n_skipped"] == str(row.n_skipped)


def test_csv_cells_run_nothing(tmp_path: Path) -> None:
    formula = '=HYPERLINK("http://evil","x")'
    path = exports.write_csv(tmp_path / "r.csv", results(models=(formula, "-1+1")))
    with path.open(newline="", encoding="utf-8") as file:
        models = {row["model"] for row in csv.DictReader(file)}
    assert models == {"'" + formula, "'-1+1"}


def test_parquet_is_the_frame(tmp_path: Path) -> None:
    import pandas as pd

    path = exports.write_parquet(tmp_path / "r.parquet", results())
    frame = pd.read_parquet(path)
    pd.testing.assert_frame_equal(frame, results().to_pandas(), check_dtype=False)
    assert list(frame.columns) == NAMES


def one_cell() -> Results:
    return Results([cell_view(facts("m", "f32", "mmlu", "lm-eval", 0), choice_items("m", "f32"))])


def test_lm_eval_has_its_keys(tmp_path: Path) -> None:
    (path,) = exports.write_lm_eval(tmp_path / "r.json", one_cell())
    document = json.loads(path.read_text(encoding="utf-8"))
    name, (row, *_) = "mmlu:lm-eval@0", one_cell().rows()
    scores = document["results"][name]
    assert scores["acc,none"] == row.value
    # A Wilson or Clopper-Pearson half width is near 1.96 binomial standard errors at n = 120.
    binomial = math.sqrt(row.value * (1 - row.value) / row.n_items)
    assert scores["acc_stderr,none"] == pytest.approx(binomial, rel=0.08)
    assert document["versions"][name] == 1 and document["n-shot"][name] == 0
    assert document["higher_is_better"][name] == {"acc": True}
    assert document["n-samples"][name] == {"original": 1000, "effective": 120}
    assert document["config"]["model_args"]["recipe"] == "f32"
    assert f"{name}_subject:anatomy" in document["results"]


def test_lm_eval_writes_a_file_per_model_and_recipe(tmp_path: Path) -> None:
    paths = exports.write_lm_eval(tmp_path / "out", results(models=("a/b", "../c")))
    assert len(paths) == 6 and {path.parent for path in paths} == {tmp_path / "out"}
    assert sorted(path.name for path in paths)[0].startswith("results_")
    for path in paths:
        document = json.loads(path.read_text(encoding="utf-8"))
        assert len({cell["model"] + cell["recipe"] for cell in document["qbench"]["cells"]}) == 1
    no_score = json.loads(paths[0].read_text(encoding="utf-8"))["results"]["mmlu:lm-eval@0"]
    assert set(no_score) == {"alias"}


def test_lm_eval_refuses_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RequestError, match="a folder is needed"):
        exports.write_lm_eval(tmp_path / "file", results())
    with pytest.raises(RequestError, match="no results"):
        exports.write_lm_eval(tmp_path / "x", Results([]))
