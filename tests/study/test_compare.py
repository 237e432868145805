"""Paired comparison of results: pairs, flips, verdicts, refusals."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from study.test_store import FACTS, record

from qbench.errors import RequestError
from qbench.stats import mcnemar_exact, paired_interval, paired_ratio_interval
from qbench.study.records import cell_key
from qbench.study.results import CellView, Results
from qbench.study.scores import Cell

PPL = {"task": "perplexity", "preset": "gptq", "shots": None}


def view(records, updated=0.0, **facts) -> CellView:
    changed = replace(FACTS, **facts)
    cell = Cell(cell_key(changed), changed, len(records), len(records), "")
    return CellView(cell, lambda: records, updated)


def scored(correct, preds=None, **changes) -> list:
    preds = preds or [None] * len(correct)
    return [
        record(
            i,
            cluster=f"c{i}",
            stratum="",
            parts={"correct": c, "majority": 0, "pred": p},
            **changes,
        )
        for i, (c, p) in enumerate(zip(correct, preds, strict=True))
    ]  # fmt: skip


def nats(values) -> list:
    return [
        record(i, cluster=f"w{i}", parts={"nll": x, "bits": x / math.log(2), "n_tokens": 50 + i,
               "n_words": 20, "n_bytes": 100})
        for i, x in enumerate(values)
    ]  # fmt: skip


@pytest.fixture
def answers():
    rng = random.Random(2)
    a = [int(rng.random() < 0.7) for _ in range(200)]
    b = [x if rng.random() < 0.8 else int(rng.random() < 0.2) for x in a]
    return a, b


def acc(comparison):
    return next(row for row in comparison.rows() if row.metric == "acc" and not row.subset)


def test_flips_test_and_interval_agree_with_the_formulas(answers):
    a, b = answers
    results = Results([view(scored(a, a), recipe="f32"), view(scored(b, b), recipe="rtn-w2g32")])
    comparison = results.compare("f32", "rtn-w2")
    row = acc(comparison)
    lost = sum(x > y for x, y in zip(a, b, strict=True))
    gained = sum(x < y for x, y in zip(a, b, strict=True))
    assert (row.right_to_wrong, row.wrong_to_right, row.changed) == (lost, gained, lost + gained)
    assert row.mcnemar_p == mcnemar_exact(lost, gained)
    assert (row.delta, row.low, row.high) == paired_interval(a, b)[:3]
    assert row.value_b - row.value_a == pytest.approx(row.delta)
    assert (row.n_paired, row.n_only_a, row.n_unscored, row.verdict) == (200, 0, 0, "worse")
    flips = [flip for flip in comparison.flips if flip.metric == "acc"]
    assert sum(flip.direction == "lost" for flip in flips) == lost
    assert len(flips) == lost + gained
    back = acc(results.compare("rtn-w2g32", "f32"))
    assert back.verdict == "better" and back.delta == -row.delta
    assert acc(results.compare("f32", "f32")).verdict == "no difference shown"


def test_what_cannot_be_paired_is_counted(answers):
    a, b = answers
    left, right = scored(a), scored(b)
    right[3] = replace(right[3], status="skipped", parts={})
    left[5] = replace(left[5], status="nonfinite", parts={})
    results = Results([view(left[:150], recipe="f32"), view(right[20:], recipe="rtn-w4g32"),
                       view(right, recipe="rtn-w3g32")])  # fmt: skip
    row = acc(results.compare("f32", "rtn-w4g32"))
    assert (row.n_paired, row.n_only_a, row.n_only_b, row.n_unscored) == (130, 20, 50, 0)
    row = acc(results.compare("f32", "rtn-w3g32"))
    assert (row.n_paired, row.n_only_b, row.n_unscored) == (148, 50, 2)


def test_perplexity_is_compared_in_logarithms():
    rng = random.Random(3)
    a = [100 + 30 * rng.random() for _ in range(60)]
    b = [x + rng.random() for x in a]
    results = Results(
        [view(nats(a), recipe="f32", **PPL), view(nats(b), recipe="rtn-w4g32", **PPL)]
    )
    rows = {row.metric: row for row in results.compare("f32", "rtn-w4g32").rows()}
    tokens = [50 + i for i in range(60)]
    expected = paired_ratio_interval((a, tokens), (b, tokens))
    row = rows["ppl"]
    assert (row.delta, row.low, row.high) == pytest.approx(expected[:3])
    assert row.delta == pytest.approx(math.log(row.value_b / row.value_a))
    assert row.verdict == "worse" and row.scale == "ln ratio" and row.mcnemar_p is None
    assert rows["bits_per_byte"].scale == "difference"
    assert rows["bits_per_byte"].delta == pytest.approx((sum(b) - sum(a)) / 6000 / math.log(2))


def test_modes_and_unstated_kv_formats_are_refused_unless_asked(answers):
    a, b = (scored(x) for x in answers)
    results = Results(
        [view(a, recipe="f32", mode="exact", kv_format="f32"), view(b, recipe="rtn-w4g32")]
    )
    with pytest.raises(RequestError, match=r"modes exact and faithful.*--across"):
        results.compare("f32", "rtn-w4g32")
    assert acc(results.compare("f32", "rtn-w4g32", across=True)).mode == "exact / faithful"
    kv = Results([view(a, recipe="f32", kv_format="f32"), view(b, recipe="rtn-w4g32")])
    with pytest.raises(RequestError, match="which neither recipe states"):
        kv.compare("f32", "rtn-w4g32")
    stated = Results([view(a, recipe="f32+kv32", kv_format="f32"), view(b, recipe="rtn-w4g32")])
    assert acc(stated.compare("f32+kv32", "rtn-w4g32")).kv_format == "f32 / bf16"
    both = Results([*results._views, view(b, recipe="rtn-w4g32", mode="exact", kv_format="f32")])
    assert acc(both.compare("f32", "rtn-w4g32")).mode == "exact", "the pair of one mode is taken"


def test_unlike_items_are_not_paired(answers):
    a, b = (scored(x) for x in answers)
    other = Results([view(a, recipe="f32"), view(b, recipe="rtn-w4g32", data_sha256="other")])
    row = acc(other.compare("f32", "rtn-w4g32"))
    assert (row.delta, row.verdict, row.reason) == (None, "not compared", "the data differ")
    words = nats([10.0, 11.0])
    results = Results(
        [
            view(words, recipe="f32", **PPL),
            view(words, recipe="f32", model="n", tokenizer_sha256="x", **PPL),
        ]
    )
    row = results.compare("toy::f32", "n::f32").rows()[0]
    assert row.verdict == "not compared" and "tokenizers" in row.reason


def test_too_few_scored_pairs_give_no_verdict(answers):
    a, b = (scored(x) for x in answers)
    b = [replace(r, status="skipped", parts={}) if i > 60 else r for i, r in enumerate(b)]
    row = acc(
        Results([view(a, recipe="f32"), view(b, recipe="rtn-w4g32")]).compare("f32", "rtn-w4g32")
    )
    assert row.verdict == "not compared" and "under half" in row.reason


def test_selectors(answers):
    a, b = (scored(x) for x in answers)
    results = Results(
        [view(a, recipe="f32"), view(b, recipe="rtn-w4g32"), view(b, recipe="f32", model="n")]
    )
    comparison = results.compare("f32", "rtn-w4g32")
    assert {row.model for row in comparison.rows()} == {"toy"}
    row = acc(results.compare("toy::f32", "n::f32"))
    assert (row.model, row.a, row.b) == ("toy / n", "toy::f32", "n::f32")
    for pair, message in [
        (("f32", "rtn-w8"), r"nothing was run as 'rtn-w8'.*f32, rtn-w4g32"),
        (("f32", "nonsense"), "results hold"),
        (("m::f32", "f32"), "nothing was run as 'm::f32'"),
        (("n::f32", "rtn-w4g32"), "in common"),
        (("f32",), "needs two recipes"),
    ]:
        with pytest.raises(RequestError, match=message):
            results.compare(*pair)


def test_other_results_are_paired_by_the_closest_name(answers):
    a, b = (scored(x) for x in answers)
    base, quantized = Results([view(a, recipe="f32")]), Results([view(b, recipe="rtn-w4g32")])
    assert acc(base.compare(quantized)).verdict == "worse"
    foreign = Results([view(b, recipe="external", model="other")])
    assert acc(base.compare(foreign)).b == "other::external"
    many = Results([view(b, recipe="f32"), view(a, recipe="rtn-w4g32")])
    assert acc(base.compare(many)).b == "f32"
    with pytest.raises(RequestError, match="no task in common"):
        base.compare(Results([view(nats([9.0, 8.0]), **PPL)]))


def test_results_show_the_newest_of_equal_labels(answers):
    a, b = (scored(x) for x in answers)
    results = Results([view(a, updated=2.0, engine_version="2"), view(b, updated=1.0)])
    assert results.superseded == 1 and results.cells[0].facts.engine_version == "2"


def test_tables_show_themselves_and_escape(answers):
    a, b = (scored(x) for x in answers)
    results = Results(
        [
            view(a, recipe="f32", model="<b>\x1b[31m"),
            view(b, recipe="rtn-w4g32", model="<b>\x1b[31m"),
        ]
    )
    comparison = results.compare("f32", "rtn-w4g32")
    for table in (results, comparison):
        assert "\x1b" not in repr(table) and "<b>" not in table._repr_html_()
        frame = table.to_pandas()
        assert len(frame) == len(table.rows()) == len(table) and "model" in frame
    assert list(comparison.flips_to_pandas().columns)[:3] == ["model", "task", "metric"]
    assert repr(Results([])) == "<results: no rows>"
    key = results.cells[0].key
    assert len(results.items(key[:12])) == 200
    with pytest.raises(RequestError, match="0 cells begin"):
        results.items("zzz")
