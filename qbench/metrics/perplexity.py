"""Perplexity and its relatives from summed negative log-likelihoods (nats)."""

from __future__ import annotations

import math


def perplexity(nll: float, n: float) -> float:
    """``exp(nll / n)``: per token, word or byte, whichever ``n`` counts; inf on overflow."""
    try:
        return math.exp(nll / n)
    except OverflowError:
        return math.inf


def bits(nll: float) -> float:
    """Nats to bits."""
    return nll / math.log(2.0)
