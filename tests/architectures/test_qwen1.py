"""The first Qwen against a float64 twin written from its published description.

Independent of `qbench.reference` and of the naming tables: it reads a checkpoint's own names. The
description: RMSNorm in front of both halves; one matrix with a bias for queries, keys and values;
rotation of the whole head in halves, whose base grows by ``alpha ** (d / (d - 2))`` with
``alpha = max(2 ** ceil(log2(length / trained) + 1) - 1, 1)``; queries at position p (from 0) times
``log(p + 1) / log(trained)`` where p + 1 exceeds the trained length; and
``c_proj(w1(x) * silu(w2(x)))``.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from architectures.build import Twin


def norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * weight)


def turned(x: np.ndarray, trained: int) -> np.ndarray:
    n, _, d = x.shape
    alpha = max(2 ** math.ceil(math.log2(n / trained) + 1) - 1, 1) if n > trained else 1
    base = 10000.0 * alpha ** (d / (d - 2))
    angle = np.outer(np.arange(n), base ** (-np.arange(0, d, 2) / d))
    angle = np.concatenate((angle, angle), axis=1)[:, None]
    half = np.concatenate((-x[..., d // 2 :], x[..., : d // 2]), axis=-1)
    return np.asarray(x * np.cos(angle) + half * np.sin(angle))


def qwen(arrays: dict[str, np.ndarray], ids: list[int], n_heads: int, trained: int) -> np.ndarray:
    w = {name: array.astype(np.float64) for name, array in arrays.items()}
    n = len(ids)
    x = w["transformer.wte.weight"][ids]
    for layer in range(sum(name.endswith("ln_1.weight") for name in w)):
        own = f"transformer.h.{layer}."
        h = norm(x, w[f"{own}ln_1.weight"])
        qkv = h @ w[f"{own}attn.c_attn.weight"].T + w[f"{own}attn.c_attn.bias"]
        q, k, v = (part.reshape(n, n_heads, -1) for part in np.split(qkv, 3, axis=1))
        q, k = turned(q, trained), turned(k, trained)
        places = np.arange(1, n + 1)
        grown = np.where(places > trained, np.log(places) / math.log(trained), 1.0)
        scores = np.einsum("qhd,khd->hqk", q * grown[:, None, None], k) / math.sqrt(q.shape[2])
        scores = np.where(np.tri(n, dtype=bool), scores, -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", p, v).reshape(n, -1)
        x = x + mixed @ w[f"{own}attn.c_proj.weight"].T
        h = norm(x, w[f"{own}ln_2.weight"])
        one, two = h @ w[f"{own}mlp.w1.weight"].T, h @ w[f"{own}mlp.w2.weight"].T
        x = x + (one * two / (1 + np.exp(-two))) @ w[f"{own}mlp.c_proj.weight"].T
    return np.asarray(norm(x, w["transformer.ln_f.weight"]) @ w["lm_head.weight"].T)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 128, 129, 150, 250])
def test_every_length_by_prefill(n: int) -> None:
    twin = Twin("qwen")
    ids = np.random.default_rng(n).integers(0, 211, n).tolist()
    expected = qwen(twin.arrays, ids, 4, 64)
    found = twin.model.logits(ids)
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    if n > 65:  # the comparison notices another base, and a logarithm that is left out
        assert np.abs(qwen(twin.arrays, ids, 4, 10**6) - expected).max() > 1e-2


def test_a_generation_keeps_the_rotation_of_its_prompt() -> None:
    """As in Qwen's code, which remembers the alpha of the prefill: 60 tokens, then 20 more."""
    twin = Twin("qwen")
    prompt = twin.ids[:60]
    new = twin.model.generate([prompt], max_new_tokens=20)[0]
    runtime = twin.model._runtime
    with runtime.exclusive():
        sequence = runtime.new_sequence()
        logits = runtime.logits(sequence, np.array([*prompt, *new[:-1]], np.int32))
        runtime.release(sequence)
    assert logits[59:].argmax(1).tolist() == new
