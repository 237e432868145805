"""Plans: order, names of models, and what is refused before anything is loaded."""

from __future__ import annotations

import os

import pytest
from study.toys import make_data, make_model

from qbench.errors import DataError, RequestError
from qbench.study.plan import data_folder, make_plan, name_models


def test_one_group_per_load_with_all_its_tasks(tmp_path):
    data = make_data(tmp_path / "data", 6)
    models = [make_model(tmp_path / name) for name in ("a", "b")]
    plan = make_plan(
        models, ["f32", "rtn-w4", "rtn-w4g32"], ["snli", "snli:words@0", "perplexity"],
        data=data, mode="exact",
    )  # fmt: skip
    assert [(g.model.name, g.recipe) for g in plan.groups] == [
        ("a", "f32"), ("a", "rtn-w4g32"), ("b", "f32"), ("b", "rtn-w4g32"),
    ]  # fmt: skip
    assert [spec.canonical for spec in plan.groups[0].tasks] == ["snli:words@0", "perplexity:gptq"]
    assert plan.n_cells == 8
    stored = make_plan(models, [], ["snli"], data=data, mode="exact")
    assert [group.recipe for group in stored.groups] == [None, None]


def test_folders_are_named_by_what_tells_them_apart(tmp_path):
    revision = "0123456789abcdef0123456789abcdef01234567"
    paths = [
        make_model(tmp_path / place)
        for place in ("one/hf", "two/hf", "x/llama", "y/llama", "org/snapshots/" + revision)
    ]
    names = [ref.name for ref in name_models(paths)]
    assert names[:4] == ["one/hf", "two/hf", "x/llama", "y/llama"]
    assert names[4].endswith(revision) and names[4] != revision
    assert [ref.name for ref in name_models([("mine", paths[0])])] == ["mine"]
    assert name_models([paths[2]])[0].name == "llama"
    with pytest.raises(RequestError, match="given twice"):
        name_models([paths[0], paths[0]])
    with pytest.raises(RequestError, match="given twice"):
        name_models([("m", paths[0]), ("m", paths[1])])


def test_relative_paths_are_resolved(tmp_path, monkeypatch):
    make_model(tmp_path / "toy")
    monkeypatch.chdir(tmp_path)
    (ref,) = name_models(["toy"])
    assert ref.path == tmp_path / "toy" and ref.name == "toy"
    (ref,) = name_models([os.curdir + "/toy"])
    assert ref.name == "toy"


def test_files_are_read_before_a_model_is(tmp_path):
    data = make_data(tmp_path / "data", 6)
    model = make_model(tmp_path / "m")
    file = data / "snli" / "snli_test.csv"
    file.write_text(file.read_text() + "perhaps,A.,B.,TEST\n")
    with pytest.raises(DataError, match=r"snli_test\.csv"):
        make_plan([model], ["f32"], ["snli"], data=data, mode="exact")
    file.unlink()
    with pytest.raises(RequestError, match="snli"):
        make_plan([model], ["f32"], ["snli"], data=data, mode="exact")
    make_plan([model], ["f32"], ["perplexity"], data=data, mode="exact")
    with pytest.raises(RequestError, match="stride"):
        make_plan([model], ["f32"], ["perplexity"], data=data, mode="exact", stride=7)


def test_data_folder_is_given_or_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("QBENCH_DATA", raising=False)
    with pytest.raises(RequestError, match=r"--data.*\$QBENCH_DATA"):
        data_folder(None)
    monkeypatch.setenv("QBENCH_DATA", str(tmp_path))
    assert data_folder(None) == tmp_path
    with pytest.raises(RequestError, match="no such data folder"):
        data_folder(tmp_path / "none")
