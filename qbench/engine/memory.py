"""How much memory a model takes while it runs, and how a budget for it is shared out.

Weights come first, then the activations of one forward; what is left is the cache. Nothing here
changes a result: a request that finds no room is refused. It knows sizes, and allocates nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from qbench.core import PAGE_TOKENS
from qbench.errors import RequestError
from qbench.models import DecoderSpec

GIB = 1 << 30

DEFAULT_CACHE_BYTES = 2 << 30
"""Capacity of the cache without a budget, unless three contexts need more; pages are allocated when
they are first needed."""

LEAST_TOKENS = 256
"""A budget must leave room for sequences of so many tokens, or of a whole shorter context."""

CONTEXTS = 3
"""Sequences of the longest kind that must fit at a time: what is computed, what it shares a prefix
with, and an open stream of tokens. Each may have to copy one page."""


class Memory(NamedTuple):
    """Bytes of the weights, of the largest forward and of the full cache; the cache in pages.

    ``longest``: tokens of the longest sequence, the context length unless a budget is tighter.
    """

    weights: int
    forward: int
    cache: int
    pages: int
    longest: int

    @property
    def total(self) -> int:
        """Bytes of all three."""
        return self.weights + self.forward + self.cache


def pages_of(n_tokens: int) -> int:
    """Pages that hold so many tokens."""
    return -(-n_tokens // PAGE_TOKENS)


def default_batch_tokens(threads: int) -> int:
    """Tokens of one forward: enough to share out by tokens, few enough for the caches.

    A model whose weights fit the second-level cache scored 11 % more tokens a second in forwards
    of 512 than of 2,048; the shape of Llama-3.2-1B makes no difference of it.
    """
    return min(2048, max(512, 128 * threads))


def forward_bytes(spec: DecoderSpec, n_tokens: int) -> int:
    """Bytes of the buffers of a forward over so many tokens, all of them scored.

    Float32 rows of the residual stream, queries, keys, values and the gate's two halves (twice all
    of them), the widest input once in float32 and once in 16 bits, and 16 bytes for each 512
    entries of the vocabulary. Activations that a head reads count like an input.
    """
    heads = spec.n_heads * max(spec.head_dim, spec.value_dim)
    widest = max(spec.hidden_size, spec.widest, heads)
    rows = spec.hidden_size + heads + spec.n_kv_heads * spec.head_dim + spec.widest
    rows += heads if spec.latent else 0
    rows += spec.hidden_size if spec.parallel or spec.experts is not None else 0
    head = 7 * spec.hidden_size + spec.vocab_size // 512 * 16
    return n_tokens * (2 * 4 * rows + 7 * widest + head)


def share_out(
    spec: DecoderSpec, *, weights: int, page_bytes: int, n_tokens: int, budget: int | None
) -> Memory:
    """Say what the cache gets.

    Parameters
    ----------
    spec : DecoderSpec
    weights : int
        Bytes of the packed weights.
    page_bytes : int
        Bytes of a page of the cache, which holds 32 tokens in all layers.
    n_tokens : int
        Tokens of the largest forward.
    budget : int, optional
        Bytes for everything; None takes a cache of `DEFAULT_CACHE_BYTES` or of three contexts.

    Raises
    ------
    RequestError
        If the budget leaves no room for sequences of `LEAST_TOKENS`.
    """
    forward = forward_bytes(spec, n_tokens)
    context = spec.context_length
    if budget is None:
        pages = max(CONTEXTS * (pages_of(context) + 1), DEFAULT_CACHE_BYTES // page_bytes)
        return Memory(weights, forward, pages * page_bytes, pages, context)
    pages = max(0, budget - weights - forward) // page_bytes
    longest = min(context, (pages // CONTEXTS - 1) * PAGE_TOKENS)
    least = min(context, LEAST_TOKENS)
    if longest < least:
        cache = CONTEXTS * (pages_of(least) + 1) * page_bytes
        parts = (weights, forward, cache, weights + forward + cache)
        own, once, kept, needed = (f"{n / GIB:.3f}" for n in parts)
        raise RequestError(
            f"a memory of {budget / GIB:.3f} GiB is too little: the weights take {own}, a forward "
            f"of {n_tokens} tokens {once}, the least cache {kept}; give at least {needed} GiB"
        )
    return Memory(weights, forward, pages * page_bytes, pages, longest)
