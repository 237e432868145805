"""Causal grouped-query attention in float64, one softmax per query and no trick.

The oracle of ``csrc/ops/attention.c``. Nothing of qbench is known here.
"""

from __future__ import annotations

import math

import numpy as np

from qbench.reference.layers import log_softmax


def causal_attention(query: np.ndarray, key: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Attend from the last tokens of a sequence to all tokens up to each.

    Parameters
    ----------
    query
        Shape (n_queries, n_heads, head_dim): the last ``n_queries`` positions of the sequence.
    key, value
        Shape (n_tokens, n_kv_heads, head_dim), with ``n_tokens >= n_queries``. Query head ``h``
        reads key head ``h // (n_heads / n_kv_heads)``.

    Returns
    -------
    numpy.ndarray
        float64, shape (n_queries, n_heads, head_dim).
    """
    n_queries, n_heads, head_dim = query.shape
    n_tokens, n_kv_heads, _ = key.shape
    share = n_heads // n_kv_heads
    keys = np.repeat(np.asarray(key, np.float64), share, axis=1)
    values = np.repeat(np.asarray(value, np.float64), share, axis=1)
    scores = np.einsum("qhd,khd->hqk", np.asarray(query, np.float64), keys) / math.sqrt(head_dim)
    last_seen = np.arange(n_tokens - n_queries, n_tokens)
    scores[:, np.arange(n_tokens)[None, :] > last_seen[:, None]] = -np.inf
    out: np.ndarray = np.einsum("hqk,khd->qhd", np.exp(log_softmax(scores)), values)
    return out
