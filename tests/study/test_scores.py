"""Scores from records: values, counts, subsets, and when there is no score."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from study.test_store import FACTS, record

from qbench.stats import exp_ratio_interval, mean_interval
from qbench.study.records import ItemRecord
from qbench.study.scores import Cell, count, result_rows

SNLI = Cell("k", FACTS, 500, 6, "")
PERPLEXITY = Cell("p", replace(FACTS, task="perplexity", preset="gptq", shots=None), 9, 4, "")


def items(*spec) -> list[ItemRecord]:
    """Items from (status, correct, stratum)."""
    return [
        record(i, status=status, stratum=stratum, parts={"correct": correct}, cluster=f"c{i}")
        for i, (status, correct, stratum) in enumerate(spec)
    ]


def windows(*nll) -> list[ItemRecord]:
    return [
        record(i, cluster=f"w{i}", status="scored" if x is not None else "nonfinite",
               parts={"nll": x, "bits": x, "n_tokens": 10 + i, "n_words": 4, "n_bytes": 40})
        for i, x in enumerate(nll)
    ]  # fmt: skip


def by_name(rows) -> dict:
    return {(row.metric, row.subset): row for row in rows}


def test_accuracy_counts_unparsed_as_wrong_and_leaves_the_rest_out():
    records = items(
        ("scored", 1, "neutral"), ("scored", 0, "neutral"), ("unparsed", None, "entailment"),
        ("scored", 1, "entailment"), ("skipped", None, "neutral"), ("nonfinite", None, "neutral"),
    )  # fmt: skip
    records[2] = replace(records[2], parts={})
    row = by_name(result_rows(SNLI, records))["acc", ""]
    assert row.value == 0.5
    assert (row.n_scored, row.n_unparsed, row.n_skipped, row.n_nonfinite) == (3, 1, 1, 1)
    assert (row.n_items, row.n_total, row.state) == (6, 500, "done")
    expected = mean_interval([1.0, 0.0, 0.0, 1.0])
    assert (row.low, row.high, row.ci_method) == expected[1:]
    assert row.chance == pytest.approx(1 / 3) and row.higher_is_better


def test_subsets_are_scored_by_themselves():
    records = items(
        ("scored", 1, "neutral"), ("scored", 1, "neutral"), ("scored", 0, "entailment"),
        ("skipped", None, "contradiction"),
    )  # fmt: skip
    rows = by_name(result_rows(SNLI, records))
    assert rows["acc", "neutral"].value == 1.0 and rows["acc", "entailment"].value == 0.0
    assert rows["acc", "contradiction"].value is None and rows["acc", "contradiction"].reason


def test_under_half_scored_there_is_no_score_but_there_are_counts():
    half = items(*[("scored", 1, "")] * 3, *[("skipped", None, "")] * 3)
    assert by_name(result_rows(SNLI, half))["acc", ""].value == 1.0
    less = items(*[("scored", 1, "")] * 3, *[("skipped", None, "")] * 4)
    row = by_name(result_rows(SNLI, less))["acc", ""]
    assert (row.value, row.low, row.high) == (None, None, None)
    assert row.reason == "only 3 of 7 items scored, under half" and row.n_skipped == 4


def test_perplexity_weighs_tokens_and_is_void_with_a_broken_window():
    rows = by_name(result_rows(PERPLEXITY, windows(20.0, 31.0, 24.0, 30.0)))
    ppl = rows["ppl", ""]
    assert ppl.value == pytest.approx(math.exp(105 / 46))
    expected = exp_ratio_interval([20.0, 31.0, 24.0, 30.0], [10, 11, 12, 13])
    assert (ppl.low, ppl.high) == pytest.approx(expected[1:3])
    assert rows["bits_per_byte", ""].value == pytest.approx(105 / 160)
    assert not ppl.higher_is_better and ppl.chance is None
    broken = by_name(result_rows(PERPLEXITY, windows(20.0, None, 24.0, 30.0)))["ppl", ""]
    assert broken.value is None and broken.n_nonfinite == 1 and "1 of 4" in broken.reason


def test_overflow_and_emptiness_have_a_reason():
    huge = by_name(result_rows(PERPLEXITY, windows(1e5, 1e5)))["ppl", ""]
    assert huge.value is None and huge.reason == "overflow"
    assert by_name(result_rows(SNLI, []))["acc", ""].reason == "no items"


def test_states():
    assert result_rows(SNLI, items(("scored", 1, "")))[0].state == "partial"
    failed = result_rows(SNLI._replace(reason="context too short"), [])[0]
    assert (failed.state, failed.reason) == ("failed", "context too short")


def test_counts():
    records = [
        record(0, cut=True, n_tokens=10, n_unk=1),
        record(1, cut=True, status="skipped", n_tokens=30, n_unk=3),
    ]
    counts = count(records)
    assert (counts.items, counts.cut, counts.unk_share) == (2, 1, 0.1)
    assert count([]).unk_share == 0.0
