from __future__ import annotations

import math

import pytest

from qbench.metrics import MetricDef, point_value

MEAN = MetricDef("acc", "mean", "correct")
PPL = MetricDef("ppl", "exp-ratio", "nll", "n_tokens")
RATIO = MetricDef("bits_per_byte", "ratio", "bits", "n_bytes")


def test_values_by_hand() -> None:
    assert point_value(MEAN, [1, 0, 0, 1]) == 0.5
    assert point_value(RATIO, [3.0, 1.0], [2.0, 6.0]) == 0.5
    # Windows count by their tokens: not the mean of exp(1) and exp(3).
    assert point_value(PPL, [1.0, 9.0], [1.0, 3.0]) == pytest.approx(math.exp(2.5))


def test_there_is_no_value() -> None:
    assert point_value(MEAN, []) is None
    assert point_value(PPL, [1.0], [0.0]) is None
    assert point_value(PPL, [1000.0], [1.0]) is None
    assert point_value(MEAN, [math.inf]) is None


@pytest.mark.parametrize(
    ("kind", "denominator"),
    [("mean", "n"), ("ratio", None), ("exp-ratio", None), ("median", None)],
)
def test_a_definition_must_make_sense(kind: str, denominator: str | None) -> None:
    with pytest.raises(ValueError, match="metric 'x'"):
        MetricDef("x", kind, "a", denominator)
