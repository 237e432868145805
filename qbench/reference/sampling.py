"""The distribution that a sampled token is drawn from, in float64.

The oracle of ``csrc/ops/sampling.c``: temperature first, then top-k, then top-p, each over what the
one before it left, in the order of transformers. Ties go to the lowest id, so that the result does
not depend on a sort. Nothing of qbench is known here.
"""

from __future__ import annotations

import numpy as np

from qbench.reference.layers import log_softmax


def greedy(logits: np.ndarray) -> int:
    """Id of the largest logit; of equal ones the lowest."""
    return int(np.argmax(logits))


def token_distribution(
    logits: np.ndarray, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> np.ndarray:
    """Probabilities after temperature, top-k and top-p.

    Parameters
    ----------
    logits
        Shape (vocab,), finite.
    temperature
        Divides the logits; 0 puts all mass on the greedy token.
    top_k
        Keep this many of the largest logits; 0 keeps all.
    top_p
        Keep the smallest set of most probable tokens whose probabilities, renormalized after
        top-k, sum to at least this; 1 keeps all, and one token is always kept.

    Returns
    -------
    numpy.ndarray
        float64, shape (vocab,), sum 1, zero for tokens that were cut.
    """
    probabilities = np.zeros(len(logits))
    if temperature == 0:
        probabilities[greedy(logits)] = 1.0
        return probabilities
    scaled = np.asarray(logits, np.float64) / temperature
    order = np.argsort(-scaled, kind="stable")
    if top_k > 0:
        order = order[:top_k]
    kept = np.exp(log_softmax(scaled[order]))
    if top_p < 1.0:
        n_kept = int(np.searchsorted(np.cumsum(kept), top_p, side="left")) + 1
        order, kept = order[:n_kept], kept[:n_kept]
    probabilities[order] = kept / kept.sum()
    return probabilities
