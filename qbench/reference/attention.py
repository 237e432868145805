"""Causal grouped-query attention in float64, one softmax per query and no trick.

The oracle of ``csrc/ops/attention.c``. Nothing of qbench is known here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qbench.reference.formats import round_bf16
from qbench.reference.layers import log_softmax, softcap


def causal_attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    *,
    scale: float | None = None,
    window: int = 0,
    cap: float = 0.0,
    alibi: Any = None,
) -> np.ndarray:
    """Attend from the last tokens of a sequence to all tokens up to each.

    Parameters
    ----------
    query
        Shape (n_queries, n_heads, head_dim): the last ``n_queries`` positions of the sequence.
    key, value
        Shape (n_tokens, n_kv_heads, head_dim), with ``n_tokens >= n_queries``; heads of values may
        have another size. Query head ``h`` reads key head ``h // (n_heads / n_kv_heads)``.
    scale
        Of the scores, ``1 / sqrt(head_dim)`` if None.
    window
        A query sees itself and the ``window - 1`` tokens before it; 0: all.
    cap
        Scores become ``cap * tanh(score / cap)``; 0: they do not.
    alibi
        Linear biases (`qbench.models.spec.Alibi`), added to the scores.

    Returns
    -------
    numpy.ndarray
        float64, shape (n_queries, n_heads, value head_dim).
    """
    n_queries, n_heads, head_dim = query.shape
    n_tokens, n_kv_heads, _ = key.shape
    share = n_heads // n_kv_heads
    keys = np.repeat(np.asarray(key, np.float64), share, axis=1)
    values = np.repeat(np.asarray(value, np.float64), share, axis=1)
    scores = np.einsum("qhd,khd->hqk", np.asarray(query, np.float64), keys)
    scores = softcap(scores * (1 / math.sqrt(head_dim) if scale is None else scale), cap)
    own = np.arange(n_tokens - n_queries, n_tokens)[:, None]
    other = np.arange(n_tokens)[None, :]
    if alibi is not None:
        scores = scores + _biases(alibi, own, other)
    scores[:, other > own] = -np.inf
    if window:
        scores[:, other <= own - window] = -np.inf
    out: np.ndarray = np.einsum("hqk,khd->qhd", np.exp(log_softmax(scores)), values)
    return out


def _biases(alibi: Any, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Biases of ALiBi, (heads, queries, keys)."""
    slopes = np.array(alibi.slopes, np.float64)[:, None, None]
    if not alibi.in_bf16:
        return np.asarray(slopes * (other - own) * alibi.scale)

    def product(positions: np.ndarray) -> np.ndarray:
        in_bf16 = round_bf16(slopes.astype(np.float32)) * round_bf16(positions.astype(np.float32))
        return round_bf16(in_bf16.astype(np.float32)).astype(np.float64)

    return np.asarray((product(other) - product(own)) * alibi.scale)
