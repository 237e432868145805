"""What the head says beside log-probabilities: the most likely ids, and a divergence."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from core.builders import Built, Shape, assemble, build, random_weights
from tolerance import LOGPROB

from qbench.reference.layers import log_softmax

WIDE = dataclasses.replace(Shape(), n_layers=1, vocab=2500)


def ask(
    built: Built, n: int, n_top: int = 0, base: np.ndarray | None = None, threads: int = 1
) -> tuple[Any, ...]:
    """Logits of n tokens, top ids, their log-probabilities, divergences."""
    cache = built.cache()
    arrays = ([cache.new_sequence()], [n], np.arange(n) * 7 % 61, range(n), [0] * (n + 1), [])
    given = [np.array(list(array), np.int32) for array in arrays]
    return built.decoder.forward(cache, *given, True, threads, n_top, base)[3:]


@pytest.mark.parametrize("n_top", [1, 5, 64, 1024])
def test_top_ids_are_those_of_a_sort(n_top: int, isa: str, rng: np.random.Generator) -> None:
    built = build(rng, WIDE, isa=isa)
    logits, top, logprobs, _ = ask(built, 37, n_top)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :n_top]
    np.testing.assert_array_equal(top, order)
    expected = np.take_along_axis(log_softmax(logits.astype(np.float64)), order, axis=1)
    np.testing.assert_allclose(logprobs, expected, rtol=0, atol=LOGPROB)
    for threads in (2, 3):
        again = ask(built, 37, n_top, threads=threads)
        np.testing.assert_array_equal(again[1], top)
        np.testing.assert_array_equal(again[2], logprobs)


def test_of_equal_logits_the_lower_id_comes_first(rng: np.random.Generator) -> None:
    built = build(rng, dataclasses.replace(WIDE, vocab=2100))
    built.weights["lm_head.weight"][:] = 0
    weights = {name: array.astype(np.float32) for name, array in built.weights.items()}
    _, top, _, _ = ask(assemble(weights, built.shape), 3, 1024)
    np.testing.assert_array_equal(top, np.tile(np.arange(1024), (3, 1)))


def test_divergence_against_float64(isa: str, rng: np.random.Generator) -> None:
    built = build(rng, WIDE, isa=isa)
    logits = ask(built, 37)[0].astype(np.float64)
    for noise in (0.0, 1e-3, 1.0):
        base = log_softmax(logits + rng.normal(size=logits.shape) * noise).astype(np.float32)
        exact = base.astype(np.float64)
        expected = (np.exp(exact) * (exact - log_softmax(logits))).sum(axis=1)
        found = ask(built, 37, base=base)[3]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=LOGPROB)
        np.testing.assert_array_equal(ask(built, 37, base=base, threads=3)[3], found)


def test_a_row_that_is_not_finite_has_neither(rng: np.random.Generator) -> None:
    weights = random_weights(rng, WIDE)
    weights["model.embed_tokens.weight"][7] = np.nan  # the second token
    base = np.full((3, 2500), -np.log(2500), np.float32)
    logits, top, logprobs, divergence = ask(assemble(weights, WIDE), 3, 4, base)
    assert np.isfinite(logits[0]).all() and (top[0] >= 0).all() and np.isfinite(divergence[0])
    assert (top[1:] == -1).all() and np.isnan(logprobs[1:]).all() and np.isnan(divergence[1:]).all()


def test_wrong_wishes_are_refused(rng: np.random.Generator) -> None:
    built = build(rng)
    for n_top in (-1, 1025):
        with pytest.raises(ValueError, match="n_top must be 0 to 1024"):
            ask(built, 3, n_top)
    with pytest.raises(ValueError, match="range"):
        ask(built, 3, built.shape.vocab + 1)
    for shape in ((3, 60), (2, 61)):
        with pytest.raises(ValueError, match=r"base must have shape \(3, 61\)"):
            ask(built, 3, base=np.zeros(shape, np.float32))
    with pytest.raises(TypeError, match="float32"):
        ask(built, 3, base=np.zeros((3, 61)))
