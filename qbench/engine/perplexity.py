"""Perplexity of a text or of token ids under a model, by windows."""

from __future__ import annotations

import math
from dataclasses import dataclass


def exp(x: float) -> float:
    """Return e to the x, infinity where that exceeds all floats."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


@dataclass(frozen=True)
class Perplexity:
    """Perplexity and what it was measured on.

    Attributes
    ----------
    ppl : float
        ``exp(nll / n_tokens)``; NaN if a position was not finite, infinity beyond the floats.
    nll : float
        Summed negative log-likelihood of the scored tokens, in nats.
    n_tokens : int
        Scored tokens: all but the first of the text, or of each window without overlap.
    n_words, n_bytes : int or None
        Whitespace words and UTF-8 bytes of the text; None for token ids.
    n_windows, window, stride : int
        How the text was cut, in tokens.
    """

    ppl: float
    nll: float
    n_tokens: int
    n_words: int | None
    n_bytes: int | None
    n_windows: int
    window: int
    stride: int

    @property
    def word_ppl(self) -> float | None:
        """Perplexity per whitespace word."""
        return exp(self.nll / self.n_words) if self.n_words else None

    @property
    def bits_per_byte(self) -> float | None:
        """Bits per UTF-8 byte."""
        return self.nll / math.log(2.0) / self.n_bytes if self.n_bytes else None
