"""Commands that run a model: generate, score, perplexity, against the library's own answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from cli.conftest import Qbench

PROMPT = "Once upon a time, there was a"


@pytest.fixture(scope="module")
def model(tiny_model: Path):
    from qbench.quant.load import load

    return load(tiny_model, recipe="rtn-w8", mode="exact")


def test_generate_prints_new_text_only(qbench: Qbench, tiny_model: Path, model) -> None:
    line = ("generate", tiny_model, PROMPT, "-r", "rtn-w8", "--mode", "exact")
    expected = model.generate(PROMPT, max_new_tokens=12)
    outcome = qbench(*line, "--max-new-tokens", 12)
    assert (outcome.code, outcome.out) == (0, expected + "\n") and expected
    document = qbench(*line, "--max-new-tokens", 12, "--json").json
    assert document["text"] == expected and document["recipe"] == "rtn-w8g32"


def test_sampling_follows_the_seed(qbench: Qbench, tiny_model: Path) -> None:
    line = ("generate", tiny_model, PROMPT, "--max-new-tokens", 24, "--temperature", 1.5)
    first = [qbench(*line, "--seed", seed).out for seed in (1, 2, 1)]
    assert first[0] == first[2] != first[1]
    assert qbench(*line, "--seed", 2, "--top-k", 1).out == qbench(*line[:-2]).out


def test_stop_texts_end_the_answer(qbench: Qbench, tiny_model: Path) -> None:
    whole = qbench("generate", tiny_model, PROMPT, "--max-new-tokens", 24).out
    stop = whole.split()[2]
    cut = qbench("generate", tiny_model, PROMPT, "--max-new-tokens", 24, "--stop", stop).out
    assert cut == whole.partition(stop)[0] + "\n"


def test_a_terminal_gets_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from qbench.cli.generate import _print_stream

    _print_stream(["a\x1b", "[31m", "b"])
    assert capsys.readouterr().out == "a\x1b[31mb\n"  # a file gets what the model said
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _print_stream(["a\x1b", "[31m\u202e", "b\n"])
    assert capsys.readouterr().out == "a[31mb\n\n"


def test_score_answers_line_by_line(
    qbench: Qbench, tiny_model: Path, model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qbench.cli.score.CHUNK", 2)
    pairs = [
        ("Once upon", " a time"),
        ("", "Tom"),
        ("Tom lived", " in"),
        ("One day,", " Lily went"),
    ]
    path = tmp_path / "r.jsonl"
    path.write_text(
        "\n".join(json.dumps({"context": c, "continuation": k}) for c, k in pairs) + "\n"
    )
    outcome = qbench("score", tiny_model, path, "-r", "rtn-w8", "--mode", "exact")
    assert outcome.code == 0
    answers = [json.loads(line) for line in outcome.out.splitlines()]
    expected = model.loglikelihood(pairs)
    assert [a["logprob"] for a in answers] == [float(x) for x in expected["logprob"]]
    assert [a["is_greedy"] for a in answers] == [bool(x) for x in expected["is_greedy"]]
    assert [a["n_tokens"] for a in answers] == [int(x) for x in expected["n_tokens"]]


TEXT = "Once upon a time, there was a dog. The dog lived in a house. " * 40


def test_perplexity_of_a_text(qbench: Qbench, tiny_model: Path, model, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(TEXT)
    line = ("perplexity", tiny_model, path, "-r", "rtn-w8", "--mode", "exact")
    given = {"window": 64, "stride": 32}
    outcome = qbench(*line, "--window", 64, "--stride", 32, "--json")
    expected = model.perplexity(TEXT, **given)
    rows = {row["metric"]: row for row in outcome.json["rows"]}
    assert rows["ppl"]["value"] == pytest.approx(expected.ppl, rel=1e-9)
    assert rows["ppl"]["low"] < rows["ppl"]["value"] < rows["ppl"]["high"]
    text = qbench(*line, "--window", 64, "--stride", 32).out
    assert f"{expected.ppl:.4g}"[:5] in text and "perplexity per word" in text


def test_perplexity_of_documents(qbench: Qbench, tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": TEXT[i * 60 :]}) for i in range(3)))
    outcome = qbench("perplexity", tiny_model, path, "--json")
    assert outcome.code == 0 and outcome.json["rows"][0]["n_items"] >= 3
    path.write_text('{"text": "x"}\n{"txt": 1}\n')
    broken = qbench("perplexity", tiny_model, path)
    assert broken.code == 1
    broken.error("line 2")


@pytest.mark.parametrize("command", ["generate", "score", "perplexity"])
def test_a_wrong_model_or_recipe_exits_2(
    qbench: Qbench, tiny_model: Path, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"context": "a", "continuation": " b"}\n')
    if command == "perplexity":
        path.write_text('{"text": "Once upon a time."}\n')
    outcome = qbench(command, tmp_path / "no" / "model", path)
    assert outcome.code == 2
    outcome.error("no model at")
    outcome = qbench(command, tiny_model, path, "-r", "rtn-w4-symm")
    assert outcome.code == 2
    outcome.error("rtn-w4-sym")
    assert qbench(command, tiny_model, path, "--mode", "quick").code == 2
