"""Which scores make a point of the scatter."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from report.builders import MODELS, RECIPES, results

from qbench.report.points import headline_rows, method_of, task_label, tradeoff_panels
from qbench.study.records import ResultRow


def row(rows: list[ResultRow], **wanted: object) -> ResultRow:
    found = [r for r in rows if all(getattr(r, name) == value for name, value in wanted.items())]
    assert len(found) == 1
    return found[0]


def test_points_are_byte_perplexity_and_accuracy_of_the_same_cell() -> None:
    rows = results().rows()
    panels = tradeoff_panels(rows)
    assert [panel.y_label for panel in panels] == [
        "accuracy · snli:words@0",
        "accuracy · mmlu:lm-eval@0",
    ]
    assert {panel.x_label for panel in panels} == {"perplexity per byte · perplexity:gptq"}
    snli = panels[0]
    assert len(snli.points) == len(MODELS) * len(RECIPES)
    for point in snli.points:
        about = {"model": point.model, "recipe": point.recipe, "subset": ""}
        x = row(rows, task="perplexity", metric="bits_per_byte", **about)
        y = row(rows, task="snli", metric="acc", **about)
        bits = [math.log2(v) for v in (point.x.value, point.x.low, point.x.high)]
        assert bits == pytest.approx([x.value, x.low, x.high])
        assert (point.y.value, point.y.low, point.y.high) == (y.value, y.low, y.high)
        assert point.at_chance == (y.low <= 1 / 3)


def test_words_then_tokens_stand_in_for_bytes() -> None:
    for lost, shown in (({"bits_per_byte"}, "word_ppl"), ({"bits_per_byte", "word_ppl"}, "ppl")):
        rows = [r for r in results().rows() if r.metric not in lost]
        panel = tradeoff_panels(rows)[0]
        wanted = {r.value for r in rows if r.metric == shown}
        assert {point.x.value for point in panel.points} == wanted


def test_a_missing_score_makes_no_point() -> None:
    panel = tradeoff_panels(results().rows())[1]
    assert {point.model for point in panel.points} == {MODELS[1]}
    assert "rtn-w2g32" not in {point.recipe for point in panel.points}
    assert tradeoff_panels([r for r in results().rows() if r.task != "perplexity"]) == ()


def test_modes_are_not_mixed() -> None:
    rows = [
        replace(r, mode="exact") if r.task == "snli" else r
        for r in results().rows()
        if r.task != "mmlu"
    ]
    assert tradeoff_panels(rows) == ()


def test_headlines_are_the_first_metric_over_all_items() -> None:
    heads = headline_rows(results().rows())
    assert {(r.task, r.metric, r.subset) for r in heads} == {
        ("perplexity", "ppl", ""), ("snli", "acc", ""), ("mmlu", "acc", ""),
    }  # fmt: skip
    assert len(heads) == len({(r.model, r.recipe, r.task) for r in heads}) == 17


def test_labels_and_methods() -> None:
    labels = {task_label(r) for r in results().rows()}
    assert labels == {"perplexity:gptq", "snli:words@0", "mmlu:lm-eval@0"}
    cases = {
        "rtn-w4g32": "rtn", "f16": "f16", "bf16+kv8": "bf16", "gguf:Q4_K_M": "gguf:Q4_K_M",
        "smoothquant-w8a8{alpha=0.5}": "smoothquant", "nf4+head8": "nf4",
    }  # fmt: skip
    assert {text: method_of(text) for text in cases} == cases
