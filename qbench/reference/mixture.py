"""Routing of a mixture of experts in float64. Nothing of qbench is known here."""

from __future__ import annotations

from typing import Any

import numpy as np


def route(scores: np.ndarray, experts: Any) -> np.ndarray:
    """Weights of the experts that each token goes through, zero for all others.

    Parameters
    ----------
    scores
        The router's, shape (n, experts).
    experts
        A `qbench.models.spec.Experts`, or anything with its attributes.
    """
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    if experts.groups > 1:
        grouped = p.reshape(len(p), experts.groups, -1)
        best = np.argsort(-grouped.max(axis=2), axis=1, kind="stable")[:, : experts.active_groups]
        kept = np.zeros(grouped.shape[:2], bool)
        np.put_along_axis(kept, best, True, axis=1)
        p = (grouped * kept[..., None]).reshape(p.shape)
    chosen = np.argsort(-p, axis=1, kind="stable")[:, : experts.active]
    weights = np.zeros_like(p)
    np.put_along_axis(weights, chosen, np.take_along_axis(p, chosen, axis=1), axis=1)
    if experts.normalize:
        weights = weights / weights.sum(axis=1, keepdims=True)
    out: np.ndarray = weights * experts.scale
    return out
