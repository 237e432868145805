from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbench.errors import RequestError
from qbench.metrics.windows import Span, windows


def scored(spans: list[Span]) -> list[int]:
    return [i for span in spans for i in range(span.scored, span.end)]


@given(st.integers(0, 200), st.integers(2, 40), st.data())
def test_strided_windows_score_every_token_after_the_first_once(
    n: int, window: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, window - 1))
    spans = windows(n, window, stride)
    assert scored(spans) == list(range(1, n))
    for span in spans:
        assert span.begin < span.scored < span.end <= min(span.begin + window, n)


@given(st.integers(0, 200), st.integers(2, 40))
def test_disjoint_windows_leave_out_their_first_token(n: int, window: int) -> None:
    spans = windows(n, window, window)
    assert scored(spans) == [i for i in range(n) if i % window]
    assert all(span.begin % window == 0 and span.scored == span.begin + 1 for span in spans)


@pytest.mark.parametrize(
    ("n", "spans"),
    [
        (0, []),
        (1, []),
        (2, [(0, 1, 2)]),
        (7, [(0, 1, 7)]),
        (8, [(0, 1, 8)]),
        (9, [(0, 1, 8), (3, 8, 9)]),
        (12, [(0, 1, 8), (3, 8, 11), (6, 11, 12)]),
    ],
)
def test_awkward_sizes(n: int, spans: list[tuple[int, int, int]]) -> None:
    assert windows(n, 8, 3) == spans


@pytest.mark.parametrize(
    ("n", "spans"),
    [
        (1, []),
        (7, [(0, 1, 7)]),
        (8, [(0, 1, 8)]),
        (9, [(0, 1, 8)]),
        (15, [(0, 1, 8)]),
        (16, [(0, 1, 8), (8, 9, 16)]),
    ],
)
def test_a_dropped_tail(n: int, spans: list[tuple[int, int, int]]) -> None:
    assert windows(n, 8, 8, keep_tail=False) == spans


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (0, 1), (8, 0), (8, 9), (8, -1)])
def test_refusals(window: int, stride: int) -> None:
    with pytest.raises(RequestError, match=r"stride|window"):
        windows(10, window, stride)
