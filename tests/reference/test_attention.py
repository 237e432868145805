from __future__ import annotations

import math

import numpy as np
import pytest

from qbench.reference.attention import causal_attention


@pytest.mark.parametrize("n_tokens", [1, 2, 5, 17])
@pytest.mark.parametrize(("n_heads", "n_kv_heads"), [(1, 1), (4, 2), (6, 2), (3, 1)])
def test_one_query_at_a_time(
    n_tokens: int, n_heads: int, n_kv_heads: int, rng: np.random.Generator
) -> None:
    query = rng.normal(size=(n_tokens, n_heads, 6))
    key, value = (rng.normal(size=(n_tokens, n_kv_heads, 6)) for _ in range(2))
    out = causal_attention(query, key, value)
    for token in range(n_tokens):
        for head in range(n_heads):
            shared = head // (n_heads // n_kv_heads)
            scores = [math.exp(query[token, head] @ key[past, shared] / math.sqrt(6))
                      for past in range(token + 1)]  # fmt: skip
            mixed = sum(s * value[past, shared] for past, s in enumerate(scores)) / sum(scores)
            np.testing.assert_allclose(out[token, head], mixed, rtol=1e-10, atol=1e-12)


def test_a_suffix_gets_the_same_rows(rng: np.random.Generator) -> None:
    query, key, value = (rng.normal(size=(9, 2, 4)) for _ in range(3))
    whole = causal_attention(query, key, value)
    for start in range(9):
        np.testing.assert_allclose(causal_attention(query[start:], key, value), whole[start:])


def test_the_future_is_not_seen(rng: np.random.Generator) -> None:
    query, key, value = (rng.normal(size=(6, 2, 4)) for _ in range(3))
    before = causal_attention(query, key, value)
    key[4:], value[4:] = 1e3, -1e3
    after = causal_attention(query, key, value)
    np.testing.assert_array_equal(after[:4], before[:4])
    assert np.abs(after[4:] - before[4:]).max() > 1
