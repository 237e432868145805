"""Heads of whole tiles (32 dimensions) over a bf16 cache: what a query sees decides its value."""

from __future__ import annotations

import numpy as np
import pytest
from core.builders import Shape, assemble, build, forward, logits_of, random_weights

from qbench import core

SHAPES = [Shape(head_dim=32), Shape(head_dim=96, n_heads=3, n_kv_heads=1)]


@pytest.mark.parametrize("mode", core.MODES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s.head_dim}")
def test_chunks_and_threads_change_nothing(
    shape: Shape, mode: str, isa: str, rng: np.random.Generator
) -> None:
    built = build(rng, shape, isa=isa, mode=mode)
    ids = [int(t) for t in rng.integers(0, shape.vocab, 300)]
    whole = logits_of(built, ids, kv="bf16")
    for chunk in (1, 5, 32, 257):
        np.testing.assert_array_equal(logits_of(built, ids, kv="bf16", chunk=chunk), whole)
    np.testing.assert_array_equal(logits_of(built, ids, kv="bf16", threads=3), whole)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
def test_what_a_query_does_not_see_is_not_multiplied(
    bad: float, isa: str, rng: np.random.Generator
) -> None:
    # Token 60 makes values that are not finite, or nearly so: behind, beside and before others.
    shape = SHAPES[0]
    for mode in core.MODES:
        weights = random_weights(rng, shape)
        weights["model.embed_tokens.weight"][60] = bad
        built = assemble(weights, shape, isa=isa, mode=mode)
        clean = [int(t) for t in rng.integers(0, 60, 70)]
        expected = logits_of(built, clean, kv="bf16")
        for at in (1, 30, 31, 32, 33, 50, 69):
            broken = [*clean[:at], 60, *clean[at + 1 :]]
            found = logits_of(built, broken, kv="bf16")
            np.testing.assert_array_equal(found[:at], expected[:at])
        # A page that held it is used again.
        cache = built.cache("bf16")
        sequence = cache.new_sequence()
        forward(built, cache, [(sequence, [60] * 40)])
        cache.truncate(sequence, 0)
        again = forward(built, cache, [(sequence, clean)]).logits
        np.testing.assert_array_equal(again, expected)
