"""Axes put values where they belong and mark them with numbers that people read."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbench.report.axes import Axis, fit, number

POSITIVE = st.floats(1e-3, 1e9)


@given(st.lists(POSITIVE, min_size=1, max_size=9), st.booleans())
def test_all_values_lie_inside_and_in_order(values: list[float], log: bool) -> None:
    axis = fit(values, 50.0, 500.0, log=log)
    places = [axis.place(value) for value in sorted(values)]
    assert places == sorted(places)
    assert 50.0 < places[0] <= places[-1] < 500.0


def test_places_follow_the_definition() -> None:
    assert Axis(0.0, 10.0, 100.0, 0.0).place(2.5) == pytest.approx(75.0)
    assert Axis(1.0, 1000.0, 0.0, 300.0, log=True).place(10.0) == pytest.approx(100.0)
    assert Axis(1.0, 1000.0, 0.0, 300.0, log=True).place(1e9) == pytest.approx(300.0)


@given(POSITIVE, st.floats(1.001, 1e8), st.booleans())
def test_ticks_are_round_inside_and_few(low: float, ratio: float, log: bool) -> None:
    axis = Axis(low, low * ratio, 0.0, 100.0, log)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 12
    assert list(ticks) == sorted(set(ticks))
    slack = 1e-9 * low * ratio
    assert low - slack <= ticks[0] and ticks[-1] <= low * ratio + slack
    if len(ticks) > 1:  # neighbours differ by a 1-2-5 step or ratio
        step = ticks[1] - ticks[0]
        mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
        assert log or round(mantissa, 6) in (1.0, 2.0, 5.0, 10.0)


def test_a_wide_log_axis_shows_powers_of_ten() -> None:
    ticks = Axis(0.4, 1.1e6, 0.0, 100.0, log=True).ticks()
    assert {round(math.log10(tick), 6) for tick in ticks} == {0, 1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (0.25, "0.25"), (3.0, "3"), (-2.0, "-2"), (999.0, "999"), (1000.0, "1k"),
        (2500.0, "2.5k"), (1e5, "100k"), (5e6, "5M"), (1e9, "1G"), (3e13, "3e+13"), (2e-5, "2e-05"),
        (0.1 + 0.2, "0.3"),
    ],
)  # fmt: skip
def test_numbers_are_brief(value: float, text: str) -> None:
    assert number(value) == text
