from __future__ import annotations

import math

import numpy as np
import pytest

from qbench.reference.sampling import greedy, token_distribution


def softmax(values: list[float]) -> np.ndarray:
    weights = np.array([math.exp(v) for v in values])
    return weights / weights.sum()


def test_plain_softmax_and_temperature() -> None:
    logits = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(token_distribution(logits), softmax([1.0, -2.0, 0.5]))
    np.testing.assert_allclose(
        token_distribution(logits, temperature=0.5), softmax([2.0, -4.0, 1.0])
    )
    assert token_distribution(np.array([1.0, 3.0, 3.0]), temperature=0).tolist() == [0, 1, 0]
    assert greedy(np.array([1.0, 3.0, 3.0])) == 1


def test_top_k_keeps_exactly_k_and_the_lowest_ids_of_a_tie() -> None:
    logits = np.array([0.0, 5.0, 2.0, 2.0, 2.0])
    found = token_distribution(logits, top_k=3)
    assert np.nonzero(found)[0].tolist() == [1, 2, 3]
    np.testing.assert_allclose(found[[1, 2, 3]], softmax([5.0, 2.0, 2.0]))
    assert np.nonzero(token_distribution(logits, top_k=99))[0].size == 5
    assert token_distribution(logits, top_k=1).tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.4, [1]), (0.5, [1]), (0.51, [1, 3]), (0.75, [1, 3]), (0.76, [1, 3, 0]), (1e-9, [1]),
     (0.8749, [0, 1, 3]), (1.0, [0, 1, 2, 3])],
)  # fmt: skip
def test_top_p_keeps_the_smallest_set_that_reaches_it(top_p: float, kept: list[int]) -> None:
    logits = np.log2(np.array([0.125, 0.5, 0.125, 0.25])) * math.log(2)
    found = token_distribution(logits, top_p=top_p)
    assert sorted(np.nonzero(found)[0].tolist()) == sorted(kept)
    assert found.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(
        found[1] / found[kept[-1]], 0.5 / [0.125, 0.5, 0.125, 0.25][kept[-1]]
    )


def test_top_p_counts_what_top_k_left() -> None:
    logits = np.log(np.array([0.4, 0.3, 0.2, 0.1]))
    # among the first two, renormalized, 4/7 is not 0.6, so both stay
    assert np.count_nonzero(token_distribution(logits, top_k=2, top_p=0.6)) == 2
    assert np.count_nonzero(token_distribution(logits, top_k=2, top_p=0.57)) == 1
    # temperature comes first: hot logits are flatter, more of them are needed
    assert np.count_nonzero(token_distribution(logits, temperature=10.0, top_p=0.6)) == 3


@pytest.mark.parity
@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7])
@pytest.mark.parametrize("top_k", [0, 1, 5, 40])
@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 1.0])
def test_same_as_transformers(
    temperature: float, top_k: int, top_p: float, rng: np.random.Generator
) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is not installed")
    process = pytest.importorskip("transformers.generation.logits_process")
    for _ in range(5):
        logits = rng.normal(size=50) * 3
        scores = torch.from_numpy(logits)[None]
        steps = [process.TemperatureLogitsWarper(temperature)]
        steps += [process.TopKLogitsWarper(top_k)] if top_k else []
        steps += [process.TopPLogitsWarper(top_p)] if top_p < 1 else []
        for step in steps:
            scores = step(None, scores)
        theirs = torch.softmax(scores, -1)[0].numpy()
        found = token_distribution(logits, temperature=temperature, top_k=top_k, top_p=top_p)
        np.testing.assert_allclose(found, theirs, atol=1e-12)
