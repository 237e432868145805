"""What `qbench ls` lists of the installation and of folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.conftest import Qbench

from qbench.cli import ls as module
from qbench.mini import family

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8,
    "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "vocab_size": 16, "max_position_embeddings": 32,
    "rms_norm_eps": 1e-5, "torch_dtype": "float16", "tie_word_embeddings": True,
}  # fmt: skip


def make_model(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    (folder / "model.safetensors").write_bytes(b"x" * 100)
    return folder


def test_models_are_found_below_a_folder(qbench: Qbench, tmp_path: Path) -> None:
    make_model(tmp_path / "a" / "hf")
    make_model(tmp_path / "b", architectures=["BertModel"])
    (make_model(tmp_path / "c") / "model.safetensors").unlink()
    (tmp_path / "loop").symlink_to(tmp_path)
    rows = qbench("ls", "models", tmp_path, "--json").json
    assert [Path(row["model"]).relative_to(tmp_path).as_posix() for row in rows] == [
        "a/hf",
        "b",
        "c",
    ]
    # embedding 16·8, q and o 8·8, k and v 4·8, three 8·12, three norms of 8, head tied
    assert rows[0]["parameters"] == 16 * 8 + 2 * 64 + 2 * 32 + 3 * 96 + 3 * 8
    assert (rows[0]["stored"], rows[0]["bytes"], rows[0]["problem"]) == ("float16", 100, "")
    assert "BertModel" in rows[1]["problem"] and "no *.safetensors" in rows[2]["problem"]


def test_embedded_models_stand_first_under_the_names_that_load_them(
    qbench: Qbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(tmp_path / "package" / "mini-medium")
    make_model(tmp_path / "here" / "own")
    monkeypatch.setattr(family, "FOLDER", tmp_path / "package")
    monkeypatch.chdir(tmp_path / "here")
    assert [row["model"] for row in qbench("ls", "models", "--json").json] == ["mini-medium", "own"]
    assert len(qbench("ls", "models", tmp_path / "here", "--json").json) == 1
    monkeypatch.chdir(tmp_path)  # from where the package's own folder can be seen
    rows = qbench("ls", "models", "--json").json
    assert [row["model"] for row in rows] == ["mini-medium", "here/own"]


def test_too_many_folders_end_the_search(
    qbench: Qbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (tmp_path / str(number)).mkdir()
    monkeypatch.setattr(module, "MAX_FOLDERS", 4)
    outcome = qbench("ls", "models", tmp_path)
    assert outcome.code == 2
    outcome.error("more than 4 folders")


def test_names_of_folders_cannot_reach_the_terminal(qbench: Qbench, tmp_path: Path) -> None:
    make_model(tmp_path / "a\x1b[2Jb\nc")
    text = qbench("ls", "models", tmp_path).out
    assert "\x1b" not in text and "a[2Jb c" in text


def test_tasks_and_recipes_are_those_that_work(qbench: Qbench) -> None:
    from qbench.quant.recipe import Recipe, require_available
    from qbench.tasks import parse_task

    tasks = qbench("ls", "tasks", "--json").json
    assert {row["task"] for row in tasks} >= {"mmlu:lm-eval@5", "snli:words@0", "perplexity:gptq"}
    for row in tasks:
        assert parse_task(row["task"]).canonical == row["task"]
        assert (parse_task(row["task"].split(":")[0]).canonical == row["task"]) == row["default"]
    recipes = qbench("ls", "recipes", "--json").json
    assert [row["method"] for row in recipes] == ["f32", "f16", "bf16", "rtn", "as-is"]
    for row in recipes:
        require_available(Recipe.parse(row["example"]))
    text = qbench("ls", "recipes").out
    assert text.splitlines()[0].split()[0] == "method" and "rtn-w4g32" in text


def test_kernels_are_those_of_the_core(qbench: Qbench) -> None:
    from qbench import core

    rows = qbench("ls", "kernels", "--json").json
    assert [(row["format"], row["bits"]) for row in rows] == [
        (f.name, f.bits) for f in core.formats()
    ]
    assert {row["tier in use"] for row in rows} == {core.isa_tier()}
    assert "scalar" in rows[0]["available"] and "q4a" in qbench("ls", "kernels").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tasks", "x"), "takes no folder"), (("runs",), "needs a store"),
        (("models", "/no/such"), "no such folder or store"), (("tasks", "--failed"), "ls runs"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_exits_2(qbench: Qbench, arguments: tuple[str, ...], said: str) -> None:
    outcome = qbench("ls", *arguments)
    assert outcome.code == 2
    outcome.error(said)


def test_an_empty_place_says_so(qbench: Qbench, tmp_path: Path) -> None:
    assert qbench("ls", "models", tmp_path).out == "no models here\n"
