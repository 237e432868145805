from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbench.errors import RequestError
from qbench.tasks.limit import select

sizes = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def population(counts: list[int]) -> tuple[list[str], list[str]]:
    """Ids and strata, the strata interleaved."""
    pairs = sorted((i, s) for s, n in enumerate(counts) for i in range(n))
    return [f"i{i}" for i, _ in pairs], [f"s{s}" for _, s in pairs]


@given(sizes, st.integers(1, 500), st.integers(0, 3))
def test_every_stratum_has_its_share(counts: list[int], limit: int, seed: int) -> None:
    ids, strata = population(counts)
    chosen = select(ids, strata, limit, seed)
    assert chosen == sorted(set(chosen))
    n = min(limit, len(ids))
    assert len(chosen) == n
    taken = Counter(strata[i] for i in chosen)
    for stratum, size in enumerate(counts):
        assert abs(taken[f"s{stratum}"] - size * n / len(ids)) < 1


@given(sizes, st.integers(1, 60), st.integers(1, 60), st.integers(0, 3))
def test_fewer_are_among_more(counts: list[int], a: int, b: int, seed: int) -> None:
    ids, strata = population(counts)
    few, many = (set(select(ids, strata, n, seed)) for n in sorted((a, b)))
    assert few <= many


@given(sizes, st.integers(1, 60), st.randoms())
def test_order_does_not_matter(counts: list[int], limit: int, random: object) -> None:
    ids, strata = population(counts)
    chosen = {(ids[i], strata[i]) for i in select(ids, strata, limit, 1)}
    order = list(range(len(ids)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = [ids[i] for i in order], [strata[i] for i in order]
    assert {(shuffled[0][i], shuffled[1][i]) for i in select(*shuffled, limit, 1)} == chosen


def test_a_large_stratum_is_not_favoured() -> None:
    # Turns by (rank + 1/2) / size would give the large one 499 of the first 500.
    ids, strata = population([1000] + [1] * 50)
    taken = Counter(strata[i] for i in select(ids, strata, 500, 0))
    assert taken["s0"] in (476, 477)


def test_the_seed_changes_the_choice() -> None:
    ids, strata = population([50, 50])
    chosen = [tuple(select(ids, strata, 10, seed)) for seed in range(5)]
    assert len(set(chosen)) == 5


def test_the_seed_changes_which_strata_come_first() -> None:
    ids, strata = population([3] * 30)
    chosen = [frozenset(strata[i] for i in select(ids, strata, 5, seed)) for seed in range(5)]
    assert len(set(chosen)) == 5


def test_a_golden_choice_holds() -> None:
    # The choice enters stored results: a change of this list is a change of every limited cell.
    assert select(*population([7, 5, 3]), 6, 0) == [0, 4, 8, 12, 13, 14]


def test_none_and_too_many_are_all_and_zero_is_refused() -> None:
    ids, strata = population([2, 1])
    assert select(ids, strata, None, 0) == select(ids, strata, 9, 0) == [0, 1, 2]
    for limit in (0, -1):
        with pytest.raises(RequestError, match="nothing to score"):
            select(ids, strata, limit, 0)
