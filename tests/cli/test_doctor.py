"""`qbench doctor`: what it finds on this machine, and its readings of kernel files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli.conftest import Qbench

from qbench.cli import doctor as module


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000\n", None), ("150000 100000\n", 1.5), ("50000 100000", 0.5), ("", None)],
)
def test_the_quota_of_a_control_group(tmp_path: Path, text: str, expected: float | None) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(text)
    assert module.quota(path) == expected
    assert module.quota(tmp_path / "none") is None


def test_the_name_of_the_processor(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Fast: CPU 9\nflags\t\t: sse\n")
    assert module.processor_name(path) == "Fast: CPU 9"
    path.write_text("CPU implementer : 0x41\n")
    assert module.processor_name(path) == os.uname().machine


def test_data_are_found_one_by_one(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QBENCH_DATA", raising=False)
    state = module.data_state(tiny_data)
    assert state["snli"].startswith(str(tiny_data)) and "not found" not in state.values()
    monkeypatch.setenv("QBENCH_DATA", str(tmp_path))
    state = module.data_state(None)
    assert state["folder"] == str(tmp_path) and state["mmlu"] == state["snli"] == "not found"
    monkeypatch.delenv("QBENCH_DATA")
    assert module.data_state(None)["folder"].startswith("none: ")


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        ("processor", {"tier": "scalar"}, "QBENCH_ISA"), ("threads", {"used": 8}, "--threads"),
        ("build", {"openmp": False}, "without OpenMP"), ("data", {"folder": "none: x"}, "--data"),
        ("processor", {}, None),
    ],
)  # fmt: skip
def test_advice_names_what_stands_in_the_way(
    section: str, change: dict[str, object], said: str | None
) -> None:
    sections = {
        "processor": {"tier": "avx512", "available": ["scalar", "avx512"]},
        "threads": {"used": 2, "affinity": 2}, "build": {"openmp": True}, "data": {"folder": "/d"},
    }  # fmt: skip
    sections[section] = sections[section] | change
    advice = module._advice(sections)
    assert len(advice) == (said is not None)
    assert said is None or said in advice[0]


def test_this_machine(qbench: Qbench, tiny_data: Path) -> None:
    from qbench import core

    outcome = qbench("doctor", "--data", tiny_data, "--json")
    assert outcome.code == 0
    found = outcome.json
    assert found["processor"]["tier"] == core.isa_tier()
    assert "scalar" in found["processor"]["available"]
    assert 1 <= found["threads"]["used"] <= found["threads"]["affinity"]
    assert all(found["peaks"][name] > 0 for name in ("int_gmacs", "float_gmacs", "read_gbs"))
    assert list(found["kernels"]) == [form.name for form in core.formats()]
    assert all(found["packages"][name] != "not installed" for name in ("numpy", "tokenizers"))
    assert "memory read, GB/s" in qbench("doctor", "--data", tiny_data).out
    text = qbench("doctor", "--data", tiny_data, "--no-measure").out
    assert core.isa_tier() in text and "peaks" not in text and "openmp" in text.lower()
