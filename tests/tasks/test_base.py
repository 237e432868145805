from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from qbench.tasks import get_task


@dataclass
class Item:
    """The part of a record that metrics read."""

    status: str
    stratum: str
    parts: dict[str, Any] = field(default_factory=dict)


def test_accuracy_by_area_and_subject() -> None:
    records = [
        Item("scored", "astronomy", {"correct": 1}),
        Item("scored", "astronomy", {"correct": 0}),
        Item("scored", "virology", {"correct": 1}),
        Item("skipped", "virology"),
        Item("nonfinite", "virology"),
        Item("unparsed", "virology", {"correct": 0}),
        Item("unparsed", "my_subject"),
    ]
    values = {v.subset: (v.value, v.n) for v in get_task("mmlu").metrics(records)}
    assert values == {
        "": (2 / 5, 5),
        "stem": (1 / 2, 2),
        "subject:astronomy": (1 / 2, 2),
        "other": (1 / 2, 2),
        "subject:virology": (1 / 2, 2),
        "subject:my_subject": (0.0, 1),
    }


def test_baseline_counts_unparsed_answers_too() -> None:
    records = [
        Item("scored", "entailment", {"correct": 0, "majority": 1}),
        Item("unparsed", "entailment", {"correct": 0, "majority": 1}),
        Item("unparsed", "neutral", {"correct": 0, "majority": 0}),
    ]
    values = {(v.metric, v.subset): v.value for v in get_task("snli").metrics(records)}
    assert values["majority_baseline", ""] == pytest.approx(2 / 3)
    assert values["acc", ""] == 0.0
    assert values["acc", "entailment"] == 0.0


def test_perplexity_weighs_by_tokens_and_has_no_value_without_windows() -> None:
    parts = {"nll": 6.0, "bits": 12.0, "n_tokens": 3, "n_words": 2, "n_bytes": 6}
    values = get_task("perplexity").metrics([Item("scored", "", parts), Item("nonfinite", "")])
    assert [v.metric for v in values] == ["ppl", "word_ppl", "bits_per_byte"]
    assert [v.value for v in values] == pytest.approx([7.389056, 20.085537, 2.0], rel=1e-6)
    assert get_task("perplexity").metrics([])[0].value is None
