"""`qbench bench`: its table, its JSON, what it says of odd figures, and wrong requests."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from cli.conftest import Qbench

from qbench.cli import bench as module
from qbench.core import Peaks
from qbench.engine import work
from qbench.engine.speed import Job, Measured, Speed
from qbench.engine.work import Work

PEAKS = Peaks(400.0, 50.0, 0.0, 12.5)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time every job once a round, beside peaks that take no time to measure."""
    monkeypatch.setattr("qbench.core.measure_peaks", lambda threads, isa: PEAKS)
    monkeypatch.setattr("qbench.engine.speed.SLICE_SECONDS", 0.0)


@pytest.mark.usefixtures("quick")
def test_the_facts_of_every_recipe_and_row(qbench: Qbench, tiny_model: Path) -> None:
    from qbench.quant.load import load

    outcome = qbench(
        "bench", tiny_model, "-r", "bf16", "-r", "rtn-w4", "-r", "rtn-w4g32", "--prompt", 300,
        "--new", 12, "--batch", "3,1,3", "--rounds", 2, "--threads", 1, "--json",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    found = outcome.json
    assert found["model"] == str(tiny_model) and found["mode"] == "faithful"
    assert found["threads"] == 1 and found["rounds"] == 2
    assert found["peaks"] == PEAKS._asdict()
    assert found["peak_resident_bytes"] > 10 << 20
    assert "cut to the context of 256 tokens: --prompt 300" in found["notes"]
    assert [entry["recipe"] for entry in found["recipes"]] == ["bf16", "rtn-w4g32"]
    for entry in found["recipes"]:
        model = load(tiny_model, recipe=entry["recipe"], threads=1)
        assert entry["weights_bytes"] == model.memory["weights"]
        assert entry["bits_per_weight"] == model.bits_per_weight
        assert entry["model_bits"] == model.model_bits and entry["kv_format"] == "bf16"
        assert 0 < entry["load_seconds"] < 60
        expected = (work.prefill(model, 256), work.decode(model, 12, 3), work.decode(model, 12, 1))
        names = [(row["work"], row["tokens"], row["batch"]) for row in entry["rows"]]
        assert names == [("prefill", 256, 1), ("decode", 12, 3), ("decode", 12, 1)]
        for row, least in zip(entry["rows"], expected, strict=True):
            check_row(row, least)


def check_row(row: dict[str, object], least: Work) -> None:
    """Check that the figures of a row follow from its speed and its work."""
    assert row["macs"] == least.macs and row["read_bytes"] == least.read_bytes
    assert row["calls"] == 2 and row["threads"] == 1
    best, median = row["tokens_per_second"].values()
    assert best >= median > 0
    seconds = least.n_tokens / best
    assert row["gmacs"] == pytest.approx(sum(row["macs"].values()) / seconds * 1e-9)
    assert row["read_gbs"] == pytest.approx(row["read_bytes"] / seconds * 1e-9)
    assert row["product_share"] == pytest.approx(least.product_seconds(PEAKS) / seconds)
    assert row["read_share"] == pytest.approx(row["read_gbs"] / 12.5)
    memory = row["read_share"] > row["product_share"]
    assert row["bound"] == ("memory" if memory else "products")


@pytest.mark.usefixtures("quick")
def test_the_table_of_a_model_as_stored(qbench: Qbench, tiny_model: Path) -> None:
    outcome = qbench("bench", tiny_model, "--prompt", 16, "--new", 12, "--batch", 2, "--rounds", 1)
    lines = [line.strip() for line in outcome.out.splitlines() if line.strip()]
    assert outcome.code == 0 and lines[0].startswith(f"{tiny_model}  faithful  ")
    assert lines[1] == "peaks now: integer 400, float32 50.0 GMAC/s; memory read 12.5 GB/s"
    assert lines[2].split()[:3] == ["recipe", "tokens/s", "median"]
    assert lines[4] == "bf16"
    assert lines[5].startswith("prefill 16 ") and lines[6].startswith("decode 12 ×2 ")
    assert all(line.split()[-1] in ("products", "memory") for line in lines[5:7])
    assert lines[9].split()[:3] == ["bf16", "16.00", "16.00"]
    assert lines[10].startswith("peak resident memory ") and "together" not in lines[10]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.04761, "0.0476"), (8.3, "8.30"), (83.14, "83.1"), (99.96, "100"), (12345.6, "12,346")],
)
def test_three_digits_of_a_rate(number: float, text: str) -> None:
    assert module.rate(number) == text


def measured(*, seconds: tuple[float, ...] = (1.0,), read: float = 1e9, threads: int = 2):
    """One job's figures: 10 tokens, 1 GMAC and some bytes beside peaks of 4 and 2."""
    least = Work(10, {"int": 10**9}, int(read))
    speed = Speed(Job("decode", 5, 2), least, threads, seconds, Peaks(4.0, 4.0, 4.0, 2.0))
    return Measured(((speed,),), speed.peaks, 1 << 20)


@pytest.mark.parametrize(
    ("figures", "asked", "said"),
    [
        ({}, (64, 64), None),
        ({}, (65, 64), "context of 64 tokens: --prompt 65"),
        ({}, (65, 70), "--prompt 65, --new 70"),
        ({"threads": 1}, (9, 9), "too small for 2 threads, whose peaks these are: decode 5 ×2 ran"),
        ({"read": 2e9}, (9, 9), None), ({"read": 2.1e9}, (9, 9), "caches"),
        ({"seconds": (1.0, 1.2, 2.0)}, (9, 9), None),
        ({"seconds": (1.0, 1.3)}, (9, 9), None),
        ({"seconds": (1.0, 1.3, 2.0)}, (9, 9), "the machine was busy"),
    ],
)  # fmt: skip
def test_remarks(figures: dict[str, object], asked: tuple[int, int], said: str | None) -> None:
    model = SimpleNamespace(context_length=64, threads=2)
    remarks = module.remarks(measured(**figures), model, *asked)
    assert len(remarks) == (said is not None)
    assert said is None or said in remarks[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--batch", "1,x"), "--batch '1,x': expected whole numbers from 1 on"),
        (("--batch", "0"), "--batch '0'"), (("--batch", ""), "--batch ''"),
        (("--batch", "1,,2"), "--batch '1,,2'"), (("--batch", "-1"), "--batch '-1'"),
        (("--batch", "9999999"), "9999999 sequences of 256 tokens do not fit"),
        (("--prompt", "0"), "'--prompt'"), (("--new", "0"), "'--new'"),
        (("--rounds", "0"), "'--rounds'"), (("--mode", "quick"), "unknown mode 'quick'"),
        (("-r", "bf16", "-r", "rtn-w4-symm"), "rtn-w4-sym"),
    ],
)  # fmt: skip
def test_wrong_requests_exit_2(
    qbench: Qbench, tiny_model: Path, options: tuple[str, ...], said: str
) -> None:
    outcome = qbench("bench", tiny_model, *options)
    assert outcome.code == 2 and outcome.out == ""
    outcome.error(said)


def test_recipes_are_checked_before_any_is_loaded(qbench: Qbench, tmp_path: Path) -> None:
    assert "no model at" in qbench("bench", tmp_path / "none", "-r", "bf16").error()
    assert "unknown method" in qbench("bench", tmp_path / "none", "-r", "bf16", "-r", "x").error()
