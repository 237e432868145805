from __future__ import annotations

import math

from qbench.metrics.accuracy import margin, pick


def test_ties_go_to_the_first() -> None:
    assert pick([-1.0]) == 0
    assert pick([-3.0, -1.0, -1.0, -2.0]) == 1
    assert pick([-2.0, -2.0, -2.0]) == 0
    assert pick([-2.0, -2.0, -1.5]) == 2
    assert pick([-math.inf, -1e300]) == 1


def test_margin_is_signed() -> None:
    assert margin([-3.0, -1.0, -2.0], 1) == 1.0
    assert margin([-3.0, -1.0, -2.0], 0) == -2.0
    assert margin([-1.0, -1.0], 0) == 0.0
