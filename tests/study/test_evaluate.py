"""Evaluating objects in memory, ours or not, without a store."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from study.toys import ToyModel, make_data, make_model, make_world, toy_study

from qbench.errors import RequestError
from qbench.study.evaluate import evaluate


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path / "data", 100)


def test_any_object_with_loglikelihoods_can_be_evaluated(data):
    results = evaluate(ToyModel(), ["snli:words", "perplexity"], 40, data, name="toy", window=64)
    rows = {(row.task, row.metric): row for row in results.rows() if not row.subset}
    acc, ppl = rows["snli", "acc"], rows["perplexity", "ppl"]
    assert (acc.n_items, acc.n_total, acc.model, acc.recipe) == (40, 100, "toy", "f32")
    assert 0 < acc.low < acc.value < acc.high < 1
    assert ppl.low < ppl.value < ppl.high and ppl.n_items == 40
    assert acc.state == "done"


def test_memory_and_store_give_the_same_rows(tmp_path):
    world = make_world(tmp_path, n_items=60)
    stored = toy_study(world, models=[world.small], recipes=["rtn-w4g32"]).run()
    model = ToyModel("rtn-w4g32", weights="small weights")
    inside = evaluate(model, ["snli:words", "perplexity"], data=world.data, name="small", window=64)
    assert inside.rows() == stored.rows()
    assert {row.delta for row in stored.compare(inside).rows()} == {0.0}


def test_two_models_in_memory_are_compared(data):
    base = evaluate(ToyModel("f32"), "snli", data=data)
    worse = evaluate(ToyModel("rtn-w2g32"), "snli", data=data)
    row = base.compare(worse).rows()[0]
    assert (row.a, row.b, row.n_paired) == ("f32", "rtn-w2g32", 100)
    assert row.right_to_wrong + row.wrong_to_right > 0


def test_a_bare_object_is_labelled_external(data):
    toy = ToyModel()

    class Theirs:
        tokenizer, context_length = toy.tokenizer, 4096
        loglikelihood_tokens = staticmethod(toy.loglikelihood_tokens)

    row = evaluate(Theirs(), ["snli"], 10, data).rows()[0]
    assert (row.model, row.recipe, row.mode, row.bits_per_weight) == (
        "Theirs", "external", "external", None,
    )  # fmt: skip


def test_short_contexts_are_counted_and_give_no_score(data):
    row = evaluate(ToyModel(context_length=8), ["snli"], 10, data).rows()[0]
    assert row.value is None and row.n_skipped == 10 and "under half" in row.reason


def test_what_cannot_be_evaluated_is_told(data, monkeypatch):
    monkeypatch.delenv("QBENCH_DATA", raising=False)
    cases = [
        ((object(), ["snli"], 1, data), "loglikelihood_tokens or generate"),
        ((SimpleNamespace(generate=1), ["snli"], 1, data), "needs tokenizer"),
        ((ToyModel(), ["snli"]), "QBENCH_DATA"),
        ((ToyModel(), [], 1, data), "at least one task"),
        ((ToyModel(), ["snlli"], 1, data), "snlli"),
        ((ToyModel(), ["snli:paper"], 1, data), "chat template"),
    ]
    for arguments, message in cases:
        with pytest.raises(RequestError, match=message):
            evaluate(*arguments)


def test_a_report_is_written(tmp_path):
    world = make_world(tmp_path, n_items=30)
    study = toy_study(world, models=[make_model(tmp_path / "only")])
    study.run()
    study.report(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "rtn-w4g32" in page and "snli" in page and page.startswith("<!")
