"""Cutting a sequence of tokens into windows for perplexity, by positions alone."""

from __future__ import annotations

from typing import NamedTuple

from qbench.errors import RequestError


class Span(NamedTuple):
    """A window: tokens ``begin`` to ``scored`` are context, ``scored`` to ``end`` are scored."""

    begin: int
    scored: int
    end: int


def windows(n_tokens: int, window: int, stride: int, *, keep_tail: bool = True) -> list[Span]:
    """Cut ``n_tokens`` tokens into windows that begin every ``stride`` tokens.

    With ``stride < window`` the part that a window shares with the one before is its context and
    every token after the first is scored exactly once. With ``stride == window`` (disjoint) the
    first token of each window is its context and is not scored.

    Parameters
    ----------
    n_tokens
        Length of the sequence.
    window
        Tokens per window, at least 2.
    stride
        1 to ``window``.
    keep_tail
        False drops a last window that is not full, unless it is the only one (the GPTQ papers cut
        the text to a multiple of the window).

    Returns
    -------
    list of Span
        In order; a window that would score nothing is left out.

    Raises
    ------
    RequestError
        An impossible window or stride.
    """
    if window < 2:
        raise RequestError(f"a window of {window} tokens scores nothing; use 2 or more")
    if not 1 <= stride <= window:
        raise RequestError(f"stride {stride} is not within 1 to the window, {window} tokens")
    spans: list[Span] = []
    done = 0
    for begin in range(0, n_tokens, stride):
        end = min(begin + window, n_tokens)
        scored = max(done, begin + 1)
        if scored < end and (keep_tail or end - begin == window or not spans):
            spans.append(Span(begin, scored, end))
        done = end
        if end == n_tokens:
            break
    return spans
