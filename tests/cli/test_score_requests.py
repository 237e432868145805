"""The request file of `qbench score`: read line by line, broken lines named by number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.conftest import Qbench

from qbench.cli import score as module


def line(context: object = "a", continuation: object = "b") -> str:
    return json.dumps({"context": context, "continuation": continuation})


def test_requests_come_in_order(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(line("", "x") + "\n\n" + line("é\u2028", " b"), encoding="utf-8")
    assert list(module.read_requests(path)) == [("", "x"), ("é\u2028", " b")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 2"), ('{"context": "a"}', "expected"), ("[1]", "expected"),
        (line(1), "context must be a string"), (line("a", None), "continuation must be a string"),
        (line("a", ""), "continuation is empty"), ('{"context": NaN, "continuation": "b"}', "NaN"),
        (line()[:-1] + ', "context": "b"}', "line 2"), (line()[:-1] + ', "more": 1}', "expected"),
        ("[" * 100_000, "line 2"), ('{"context": "\\ud800", "continuation": "b"}', "line 2"),
    ],
)  # fmt: skip
def test_a_broken_line_is_named(qbench: Qbench, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(line() + "\n" + text + "\n" + line())
    outcome = qbench("score", "no-model", path)
    assert outcome.code == 1 and outcome.out == ""
    outcome.error("r.jsonl, line 2", said)


def test_no_utf8_a_long_line_and_no_file(
    qbench: Qbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"context": "\xff", "continuation": "b"}')
    qbench("score", "no-model", path).error("line 1", "UTF-8")
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 100)
    path.write_text(line("a" * 200))
    qbench("score", "no-model", path).error("line 1: longer than 100 bytes")
    path.write_text("\n\n")
    assert qbench("score", "no-model", path).code == 2
    assert qbench("score", "no-model", tmp_path / "none").code == 2
