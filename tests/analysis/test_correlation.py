"""Points and correlations from result rows, against scipy and against Simpson's paradox."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from qbench.analysis import Point, correlations, perplexity_points
from qbench.study.records import ResultRow

ROW = ResultRow(
    model="m", recipe="f32", task="snli", preset="words", shots=0, metric="acc", subset="",
    value=0.5, low=0.4, high=0.6, ci_method="wilson", n_scored=10, n_skipped=0, n_cut=0,
    n_unparsed=0, n_nonfinite=0, n_items=10, n_total=10, unk_share=0.0, chance=1 / 3,
    higher_is_better=True, bits_per_weight=32.0, model_bits=32.0, mode="faithful",
    kv_format="bf16", state="done", reason="", cell_key="k",
)  # fmt: skip
PPL = replace(
    ROW, task="perplexity", preset="wikitext2", shots=None, metric="word_ppl", value=20.0,
    higher_is_better=False, chance=None,
)  # fmt: skip


def test_points_join_model_recipe_mode_and_kv():
    rows = [
        PPL,
        ROW,
        replace(ROW, subset="hard"),
        replace(ROW, recipe="rtn-w4"),
        replace(PPL, recipe="rtn-w4", mode="exact"),
        replace(PPL, metric="ppl", value=5.0),
        replace(ROW, model="n", value=None),
        replace(PPL, model="n"),
    ]
    (point,) = perplexity_points(rows)
    assert (point.model, point.recipe, point.task) == ("m", "f32", "snli:words@0")
    assert point.perplexity_task == "perplexity:wikitext2"
    assert point.log_perplexity == math.log(20.0) and point.score == 0.5
    (token,) = perplexity_points(rows, "ppl")
    assert token.log_perplexity == math.log(5.0)


def _points(x, y, models) -> list[Point]:
    return [
        Point(
            m, f"r{i}", "exact", "f32", None, "ppl", "ppl", a, "t", "acc", b, None, None, None
        )
        for i, (a, b, m) in enumerate(zip(x, y, models, strict=True))
    ]  # fmt: skip


def _by_name(points) -> dict:
    return {(c.scope, c.method): c for c in correlations(points)}


def test_pooled_equals_scipy_with_ties():
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 6, 23) / 3, rng.integers(0, 5, 23) / 7
    found = _by_name(_points(x, y, ["m"] * 23))
    pearson = scipy_stats.pearsonr(x, y)
    interval = pearson.confidence_interval(0.95)
    got = found["pooled", "pearson"]
    assert (got.r, got.low, got.high) == pytest.approx(
        (pearson.statistic, interval.low, interval.high)
    )
    assert found["pooled", "spearman"].r == pytest.approx(scipy_stats.spearmanr(x, y).statistic)
    assert found["within", "pearson"].r == pytest.approx(pearson.statistic), "one model"


def test_within_models_undoes_simpson():
    x = np.array([1.0, 1.1, 1.2, 1.3, 3.0, 3.1, 3.2, 3.3])
    y = np.array([0.2, 0.21, 0.22, 0.23, 0.7, 0.69, 0.68, 0.67])
    y[:4] = y[:4][::-1]
    found = _by_name(_points(x, y, ["small"] * 4 + ["big"] * 4))
    assert found["pooled", "pearson"].r > 0.95
    assert found["within", "pearson"].r < -0.99
    assert found["within", "spearman"].r == pytest.approx(-1.0)
    assert found["within", "pearson"].n_models == 2


def test_bonett_wright_interval_by_hand():
    rng = np.random.default_rng(2)
    x = rng.normal(size=30)
    got = _by_name(_points(x, x + rng.normal(size=30), ["m"] * 30))["pooled", "spearman"]
    half = 1.959963984540054 * math.sqrt((1 + got.r**2 / 2) / 27)
    assert got.high == pytest.approx(math.tanh(math.atanh(got.r) + half))


def test_no_coefficient_where_there_is_none():
    few = _by_name(_points([1.0, 2.0], [0.1, 0.2], ["a", "a"]))
    assert few["pooled", "pearson"].r is None and few["pooled", "pearson"].reason
    flat = _by_name(_points([1.1, 1.1, 1.1], [0.1, 0.2, 0.4], ["a"] * 3))
    assert flat["pooled", "spearman"].reason == "no spread"
    three = _by_name(_points([1.0, 2.0, 3.0], [0.1, 0.2, 0.4], ["a"] * 3))["pooled", "pearson"]
    assert three.r is not None and three.low is None
    assert correlations([]) == []
