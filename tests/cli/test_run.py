"""`qbench run`: refusals before any work, a dry run, and a whole study with its report."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cli.conftest import Qbench
from study import toys

import qbench.study.study as study_module
from qbench.quant.load import load
from qbench.study.evaluate import evaluate
from qbench.study.results import Results
from qbench.study.store import Store


@pytest.fixture
def toy_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command load toy models."""
    monkeypatch.setattr(study_module.Study, "_loader", lambda self: toys.load)


def arguments(world: SimpleNamespace, folder: Path, **more: Any) -> list[object]:
    given = {"-m": world.small, "-t": "snli:words", "--data": world.data} | {
        "--store": folder / "s.db"
    }
    return ["run", *(x for pair in (given | more).items() for x in pair if x is not None)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"-m": "/no/such/model"}, "no model at '/no/such/model'"),
        ({"-t": "snly"}, "unknown task 'snly'; did you mean snli?"),
        ({"-t": "snli:word"}, "did you mean words?"),
        ({"-r": "rtm-w4"}, "did you mean rtn-w4"),
        ({"-r": "gptq-w4"}, "is not there yet"),
        ({"--data": "/no/such/data"}, "/no/such/data: no such data folder"),
        ({"--mode": "quick"}, "quick"),
        ({"--chat-template": "chatlm"}, "did you mean chatml?"),
        ({"--report": "/no/such/r.html"}, "there is no folder /no/such"),
        ({"--store": "/no/such/s.db"}, "there is no folder /no/such"),
    ],
)
def test_a_wrong_request_exits_2_before_any_work(
    qbench: Qbench, world: SimpleNamespace, tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    outcome = qbench(*arguments(world, tmp_path, **changes))
    assert outcome.code == 2 and outcome.out == ""
    outcome.error(said)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_run_is_refused(qbench: Qbench) -> None:
    assert qbench("run").code == 2
    qbench("run").error("at least one model")


@pytest.mark.usefixtures("toy_load")
def test_a_study_prints_scores_and_says_where_it_is(
    qbench: Qbench, world: SimpleNamespace, tmp_path: Path
) -> None:
    page = tmp_path / "r.html"
    line = arguments(world, tmp_path, **{"--report": page, "--limit": 30})
    outcome = qbench(*line, "-r", "f32", "-r", "rtn-w2g32", "-t", "perplexity")
    assert outcome.code == 0
    assert "snli:words@0" in outcome.out and "30 of 30 scored" in outcome.out
    assert f"store:  {tmp_path / 's.db'}" in outcome.out and f"report: {page}" in outcome.out
    assert "4/4" in outcome.err and "Traceback" not in outcome.err
    text = page.read_text(encoding="utf-8")
    assert "30 of 60" in text and "rtn-w2g32" in text


@pytest.mark.usefixtures("toy_load")
def test_json_is_the_rows_and_a_second_run_computes_nothing(
    qbench: Qbench, world: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("QBENCH_TOY_LOG", str(log))
    first = qbench(*arguments(world, tmp_path), "--json")
    computed = log.read_text()
    again = qbench(*arguments(world, tmp_path), "--json")
    assert again.json == first.json and log.read_text() == computed != ""
    rows = Results.from_store(tmp_path / "s.db").rows()
    assert [row["value"] for row in first.json["rows"]] == [row.value for row in rows]


@pytest.mark.usefixtures("toy_load")
def test_a_failed_cell_exits_1_and_keeps_the_rest(
    qbench: Qbench, world: SimpleNamespace, tmp_path: Path
) -> None:
    broken = world.small.parent / "broken"
    outcome = qbench(*arguments(world, tmp_path), "-m", broken)
    assert outcome.code == 1
    assert "60 of 60 scored" in outcome.out and "broken; copy it again" in outcome.out


@pytest.mark.usefixtures("toy_load")
def test_workers_give_the_same_store(
    qbench: Qbench, world: SimpleNamespace, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert qbench(*arguments(world, tmp_path / "a")).code == 0
    assert qbench(*arguments(world, tmp_path / "b"), "--workers", 2).code == 0
    assert toys.item_rows(tmp_path / "a" / "s.db") == toys.item_rows(tmp_path / "b" / "s.db")


@pytest.mark.usefixtures("toy_load")
def test_the_seed_and_mode_reach_the_cells(
    qbench: Qbench, world: SimpleNamespace, tmp_path: Path
) -> None:
    given = {"--seed": 7, "--mode": "exact", "--limit": 10}
    assert qbench(*arguments(world, tmp_path, **given)).code == 0
    with Store.read(tmp_path / "s.db") as store:
        (cell,) = store.cells()
        (run,) = store.runs()
    assert (cell.facts.seed, cell.facts.mode, cell.n_wanted) == (7, "exact", 10)
    assert run.spec["limit"] == 10


def test_a_dry_run_counts_and_writes_nothing(
    qbench: Qbench,
    tiny_model: Path,
    tiny_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = ("run", "-m", tiny_model, "-r", "f32", "-r", "rtn-w4", "-t", "snli:words", "-t",
            "snli:paper", "--data", tiny_data, "--limit", 12, "--store", tmp_path / "s.db",
            "--dry-run")  # fmt: skip
    cells = qbench(*line, "--json").json["cells"]
    assert [(c["recipe"], c["task"]) for c in cells] == [
        ("f32", "snli:words@0"), ("f32", "snli:paper@0"),
        ("rtn-w4g32", "snli:words@0"), ("rtn-w4g32", "snli:paper@0"),
    ]  # fmt: skip
    assert cells[0]["items"] == 12 and cells[0]["sequences"] == 36 and cells[0]["of"] >= 12
    assert "no chat template" in cells[1]["problem"]
    computed = what_a_run_computes(tiny_model, tiny_data, monkeypatch)
    assert (cells[0]["forwards"], cells[0]["tokens"]) == computed
    assert cells[2]["memory"] < cells[0]["memory"] and cells[2]["seconds"] > 0.0
    few = qbench(*line, "--memory", "0.0001", "--json").json["cells"]
    assert "is too little: the weights take" in few[0]["problem"]
    text = qbench(*line).out
    assert "4 cells" in text and "--chat-template chatml" in text
    assert list(tmp_path.iterdir()) == []


def test_a_long_task_is_told_from_some_of_its_shards(
    qbench: Qbench,
    tiny_model: Path,
    tiny_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import qbench.cli.dry_run as dry_run

    line = ("run", "-m", tiny_model, "-t", "snli:words", "--data", tiny_data, "--limit", 12,
            "--store", tmp_path / "s.db", "--dry-run", "--json")  # fmt: skip
    exact = qbench(*line).json["cells"][0]
    monkeypatch.setattr(dry_run, "SHARD_ITEMS", 2)
    monkeypatch.setattr(dry_run, "MOST_SHARDS", 3)
    told = qbench(*line).json["cells"][0]
    assert told["items"] == 12
    assert 0.7 < told["tokens"] / exact["tokens"] < 1.4


def what_a_run_computes(
    folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, int]:
    """Forwards and tokens of the twelve items on the model itself."""
    model = load(folder, "f32")
    asked: list[int] = []
    forward = model._runtime.forward

    def watched(runs: Any, *rest: Any) -> Any:
        asked.append(sum(len(run.tokens) for run in runs))
        return forward(runs, *rest)

    monkeypatch.setattr(model._runtime, "forward", watched)
    evaluate(model, ["snli:words"], data=data, limit=12)
    return len(asked), sum(asked)


def test_a_template_file_means_the_same_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qbench.cli.options import checked_template, template_source

    (tmp_path / "t.jinja").write_text("{{ messages[0].content }}")
    monkeypatch.chdir(tmp_path)
    assert checked_template("t.jinja") == str(tmp_path / "t.jinja")
    assert template_source("t.jinja") == "{{ messages[0].content }}"
    assert checked_template("chatml") == "chatml" and checked_template(None) is None


def test_a_real_study_through_a_template(
    qbench: Qbench, tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "t.jinja").write_text("{% for m in messages %}{{ m.content }}\n{% endfor %}Answer:")
    for template in ("chatml", tmp_path / "t.jinja"):
        outcome = qbench(
            "run", "-m", tiny_model, "-r", "rtn-w8", "-t", "mmlu:paper", "--data", tiny_data,
            "--limit", 4, "--store", tmp_path / "s.db", "--chat-template", template, "--json",
        )  # fmt: skip
        assert outcome.code == 0
        row = outcome.json["rows"][0]
        assert (row["recipe"], row["task"], row["n_items"]) == ("rtn-w8g32", "mmlu", 4)
