from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.builders import Built, Shape, build, forward, logits_of

from qbench import core
from qbench.errors import CapacityError, FormatError

SMALL = Shape(n_layers=1, n_heads=2, n_kv_heads=1, head_dim=4, hidden=8, intermediate=8, vocab=11)


@pytest.fixture
def built(rng: np.random.Generator) -> Built:
    return build(rng, SMALL)


def ids(n: int, start: int = 0) -> list[int]:
    return [(7 * i + start) % SMALL.vocab for i in range(n)]


def filled(built: Built, n: int, pages: int = 16) -> tuple[core.Cache, int]:
    cache = built.cache(pages=pages)
    sequence = cache.new_sequence()
    forward(built, cache, [(sequence, ids(n))])
    return cache, sequence


def test_pages_are_shared_until_somebody_writes(built: Built) -> None:
    cache, parent = filled(built, 70)
    assert (cache.length(parent), cache.pages_used) == (70, 3)
    child = cache.fork(parent, 70)
    assert (cache.length(child), cache.pages_used) == (70, 3)
    forward(built, cache, [(child, ids(1))])  # the partly filled third page becomes the child's own
    assert cache.pages_used == 4
    forward(built, cache, [(child, ids(1)), (parent, ids(1))])  # nobody shares a partial page now
    assert cache.pages_used == 4
    other = cache.fork(parent, 64)
    assert cache.pages_used == 4
    forward(built, cache, [(other, ids(1))])  # two whole pages stay shared, a third begins
    assert cache.pages_used == 5
    for sequence, left in ((parent, 4), (child, 3), (other, 0)):
        cache.release(sequence)
        assert cache.pages_used == left


def test_a_page_that_its_last_owner_writes_is_not_copied(built: Built) -> None:
    cache, parent = filled(built, 40)
    child = cache.fork(parent, 40)
    cache.release(parent)
    assert cache.pages_used == 2
    found = forward(built, cache, [(child, ids(9))]).logits
    assert cache.pages_used == 2
    np.testing.assert_array_equal(found, logits_of(built, ids(40) + ids(9))[40:])


def test_truncate(built: Built) -> None:
    cache, sequence = filled(built, 70)
    for n, pages in ((70, 3), (65, 3), (64, 2), (33, 2), (32, 1), (1, 1), (0, 0)):
        cache.truncate(sequence, n)
        assert (cache.length(sequence), cache.pages_used) == (n, pages)
    forward(built, cache, [(sequence, ids(5))])
    assert (cache.length(sequence), cache.pages_used) == (5, 1)


def test_truncating_a_parent_below_its_fork_keeps_the_fork(built: Built) -> None:
    cache, parent = filled(built, 40)
    child = cache.fork(parent, 40)
    cache.truncate(parent, 20)
    forward(built, cache, [(parent, ids(30, start=3))])
    found = forward(built, cache, [(child, ids(5))]).logits
    np.testing.assert_array_equal(found, logits_of(built, ids(40) + ids(5))[40:])


def test_numbers_and_pages_are_used_again(built: Built) -> None:
    cache = built.cache(pages=4)
    first = [cache.new_sequence() for _ in range(50)]
    assert len(set(first)) == 50
    for sequence in first:
        cache.release(sequence)
    again = [cache.new_sequence() for _ in range(50)]
    assert sorted(again) == sorted(first)
    clean = logits_of(built, ids(100))
    for sequence in again:  # 4 pages of 32 hold one of these at a time
        assert (cache.length(sequence), cache.pages_used) == (0, 0)
        found = forward(built, cache, [(sequence, ids(100))]).logits
        np.testing.assert_array_equal(found, clean)
        cache.release(sequence)


def test_a_chain_of_forks_outlives_its_beginning(built: Built) -> None:
    cache, sequence = filled(built, 10)
    told = ids(10)
    for step in range(30):
        child = cache.fork(sequence, len(told) - step % 3)
        told = told[: len(told) - step % 3] + ids(7, start=step)
        forward(built, cache, [(child, ids(7, start=step))])
        cache.release(sequence)
        sequence = child
    found = forward(built, cache, [(sequence, [1])]).logits
    np.testing.assert_array_equal(found, logits_of(built, [*told, 1])[-1:])
    cache.release(sequence)
    assert cache.pages_used == 0


def test_a_full_cache_refuses_and_stays_as_it_was(built: Built) -> None:
    cache = built.cache(pages=3)
    one, two = cache.new_sequence(), cache.new_sequence()
    forward(built, cache, [(one, ids(30)), (two, ids(30))])
    for runs in ([(one, ids(40))], [(one, ids(20)), (two, ids(20))], [(two, ids(300)), (one, [1])]):
        with pytest.raises(CapacityError, match="capacity"):
            forward(built, cache, runs)
        assert (cache.length(one), cache.length(two), cache.pages_used) == (30, 30, 2)
    found = forward(built, cache, [(one, ids(20))]).logits  # what fits still fits
    np.testing.assert_array_equal(found, logits_of(built, ids(30) + ids(20))[30:])
    assert cache.pages_used == 3
    with pytest.raises(CapacityError):
        forward(built, cache, [(two, ids(3))])
    assert isinstance(CapacityError(""), MemoryError)


def test_other_failures_leave_everything_as_it_was(built: Built) -> None:
    cache, sequence = filled(built, 30)
    fresh = cache.new_sequence()
    bad_calls: list[dict[str, Any]] = [
        {"runs": [(sequence, ids(40)), (fresh, [99])]},
        {"runs": [(sequence, ids(40)), (fresh, [])]},
        {"runs": [(sequence, ids(5)), (sequence, ids(5))]},
        {"runs": [(sequence, ids(700))]},
        {"runs": [(sequence, ids(40)), (77, ids(5))]},
        {"runs": [(sequence, ids(40))], "rows": [40]},
        {"runs": [(sequence, ids(40))], "rows": [0], "targets": [[SMALL.vocab]]},
    ]
    for call in bad_calls:
        with pytest.raises(ValueError, match="range"):
            forward(built, cache, **call)
        assert (cache.length(sequence), cache.length(fresh), cache.pages_used) == (30, 0, 1)
    found = forward(built, cache, [(sequence, ids(5))]).logits
    np.testing.assert_array_equal(found, logits_of(built, ids(30) + ids(5))[30:])


def test_page_bytes() -> None:
    for kv, size in (("f32", 4), ("bf16", 2)):
        # keys 32 x 20, values 32 x 20 padded to 32
        assert core.Cache(kv, 3, 2, 20, 1).page_bytes == 3 * 2 * 32 * (20 + 32) * size


def test_capacity_is_a_bound_and_costs_nothing() -> None:
    # Every page is allocated when it is first needed: a generous bound must not fill memory.
    for capacity in (1 << 32, (1 << 63) - 1):
        cache = core.Cache("f32", 1, 1, 4, capacity)
        assert cache.pages_used == 0 and cache.new_sequence() == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("f64", 1, 1, 8, 4), FormatError),
        (("q8", 1, 1, 8, 4), FormatError),
        (("f32", 0, 1, 8, 4), ValueError),
        (("f32", 1, 0, 8, 4), ValueError),
        (("f32", 1, 1, 0, 4), ValueError),
        (("f32", 1, 1, 8, 0), ValueError),
        (("f32", -1, 1, 8, 4), ValueError),
        (("f32", 1, 1, -8, 4), ValueError),
        (("f32", 1, 1, 8, -(1 << 40)), ValueError),
        (("f32", 1 << 40, 1, 8, 4), ValueError),
        (("f32", 1, 1 << 62, 8, 4), ValueError),
        (("f32", 1, 1, 513, 4), ValueError),
        (("f32", 1, 1, 8, 1 << 64), OverflowError),
        (("f32", 1, 1, 8, 4.0), TypeError),
        ((None, 1, 1, 8, 4), TypeError),
        (("f32", 1, 1, 8), TypeError),
    ],
)
def test_wrong_shapes_are_refused(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        core.Cache(*arguments)


def test_unknown_sequences_and_lengths_are_refused(built: Built) -> None:
    cache, sequence = filled(built, 20)
    for number in (-1, sequence + 1, 15, 16, 1 << 31, 1 << 32, (1 << 32) + sequence, 1 << 70):
        for call in (cache.length, cache.release):
            with pytest.raises(ValueError):
                call(number)
        for pair in (cache.fork, cache.truncate):
            with pytest.raises(ValueError):
                pair(number, 0)
    for n in (-1, 21, 1 << 40, -(1 << 62)):
        for pair in (cache.fork, cache.truncate):
            with pytest.raises(ValueError):
                pair(sequence, n)
    with pytest.raises(TypeError):
        cache.length(0.0)  # type: ignore[arg-type]
    assert (cache.length(sequence), cache.pages_used) == (20, 1)
    cache.release(sequence)
    for call in (cache.length, cache.release):
        with pytest.raises(ValueError, match="range"):
            call(sequence)
