"""Commands that read a store: compare, report, export, ls runs, ls models."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from cli.conftest import Qbench

from qbench.study.results import Results


def test_compare_prints_what_the_library_finds(qbench: Qbench, store: Path) -> None:
    outcome = qbench("compare", store, "f32", "rtn-w2g32", "--json")
    assert outcome.code == 0
    expected = [
        r for r in Results.from_store(store).compare("f32", "rtn-w2g32").rows() if not r.subset
    ]
    assert [r["delta"] for r in outcome.json["rows"]] == [r.delta for r in expected]
    assert len(outcome.json["flips"]) > 0
    text = qbench("compare", store, "f32", "rtn-w2g32").out
    assert "snli:words@0" in text and "perplexity" in text and "worse" in text


def test_compare_of_one_model(qbench: Qbench, store: Path) -> None:
    outcome = qbench("compare", store, "small::f32", "small::rtn-w8g32", "--json")
    assert {row["model"] for row in outcome.json["rows"]} == {"small"}


def test_subsets_are_shown_when_asked(qbench: Qbench, store: Path) -> None:
    few = qbench("compare", store, "f32", "rtn-w8g32", "--json").json["rows"]
    many = qbench("compare", store, "f32", "rtn-w8g32", "--json", "--subsets").json["rows"]
    assert len(many) > len(few) and not any(row["subset"] for row in few)


@pytest.mark.parametrize(("recipe", "code"), [("rtn-w2g32", 3), ("f32", 0)])
def test_fail_if_worse_sets_the_exit_code(
    qbench: Qbench, store: Path, recipe: str, code: int
) -> None:
    outcome = qbench("compare", store, "f32", recipe, "--fail-if", "worse", "--json")
    assert outcome.code == code and outcome.err == ""
    worse = any(row["verdict"] == "worse" for row in outcome.json["rows"])
    assert worse == (code == 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("compare", "STORE", "f32", "rtn-w3g32"), "nothing was run as 'rtn-w3g32'"),
        (("compare", "STORE", "f32", "rtn-w9"), "the results hold f32, rtn-w2g32, rtn-w8g32"),
        (("compare", "STORE", "f32", "nobody::f32"), "nothing was run as 'nobody::f32'"),
    ],
)
def test_unknown_sides_exit_2(
    qbench: Qbench, store: Path, arguments: tuple[str, ...], said: str
) -> None:
    outcome = qbench(*(store if a == "STORE" else a for a in arguments))
    assert outcome.code == 2
    outcome.error(said)


def test_report_writes_one_page(qbench: Qbench, store: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    outcome = qbench("report", store, "-o", path, "--title", "A <title>", "--json")
    assert outcome.code == 0 and outcome.json["bytes"] == path.stat().st_size
    text = path.read_text(encoding="utf-8")
    assert "<h1>A &lt;title&gt;</h1>" in text and "broken; copy it again" in text
    again = qbench("report", store, "-o", path)
    assert again.code == 2
    again.error("exists; add --force")
    assert qbench("report", store, "-o", path, "--force").code == 0
    assert path.read_text(encoding="utf-8") == text.replace(
        "A &lt;title&gt;", "What quantization did"
    )


def test_export_csv_and_parquet_hold_the_same_rows(
    qbench: Qbench, store: Path, tmp_path: Path
) -> None:
    import pandas as pd

    assert qbench("export", store, "-o", tmp_path / "r.csv").code == 0
    parquet = qbench("export", store, "--format", "parquet", "-o", tmp_path / "r.parquet", "--json")
    assert parquet.json["files"] == [str(tmp_path / "r.parquet")]
    with (tmp_path / "r.csv").open(newline="") as file:
        values = [row["value"] for row in csv.DictReader(file)]
    frame = pd.read_parquet(tmp_path / "r.parquet")
    assert [float(v) if v else None for v in values] == [
        None if pd.isna(v) else v for v in frame["value"]
    ]


def test_export_for_lm_eval(qbench: Qbench, store: Path, tmp_path: Path) -> None:
    outcome = qbench("export", store, "--format", "lm-eval", "-o", tmp_path / "out", "--json")
    assert len(outcome.json["files"]) == 6
    document = json.loads(Path(outcome.json["files"][0]).read_text())
    assert "acc,none" in document["results"]["snli:words@0"]


@pytest.mark.parametrize("command", ["report", "export"])
def test_outputs_need_a_folder(qbench: Qbench, store: Path, tmp_path: Path, command: str) -> None:
    outcome = qbench(command, store, "-o", tmp_path / "no" / "x")
    assert outcome.code == 2
    outcome.error("there is no folder")


@pytest.mark.parametrize(
    "arguments",
    [("compare", "F", "a", "b"), ("report", "F", "-o", "x"), ("export", "F", "-o", "x"),
     ("ls", "runs", "F"), ("ls", "models", "F")],
)  # fmt: skip
def test_what_is_no_store_is_refused(
    qbench: Qbench, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    for content in (None, b"", b"not a database at all, just text" * 40):
        path = tmp_path / "s.db"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        made = [path if a == "F" else tmp_path / a if a == "x" else a for a in arguments]
        outcome = qbench(*made)
        assert outcome.code in (1, 2)
        outcome.error("s.db")
        assert not (tmp_path / "x").exists()


def test_ls_runs_and_failures(qbench: Qbench, store: Path) -> None:
    (run,) = qbench("ls", "runs", store, "--json").json
    assert (run["state"], run["models"], run["recipes"], run["failed"]) == ("failed", 3, 3, 6)
    failures = qbench("ls", "runs", store, "--failed", "--json").json
    assert len(failures) == 6 and {f["model"] for f in failures} == {"broken"}
    text = qbench("ls", "runs", store, "--failed").out
    assert text.count("copy it again") == 6


def test_ls_models_of_a_store(qbench: Qbench, store: Path, world: SimpleNamespace) -> None:
    rows = qbench("ls", "models", store, "--json").json
    assert [row["model"] for row in rows] == ["small", "big/hf"]
    assert rows[0]["recipes"] == ["f32", "rtn-w8g32", "rtn-w2g32"]
