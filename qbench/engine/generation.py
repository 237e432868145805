"""Generation of many requests at once: admission, shared prefill, steps in C, stops, refill.

The core decodes several steps a call; here requests are admitted while the cache has room for all
they may need, finished ones leave at once and others take their place. A sampled token depends on
(seed, item id, repeat, step) alone, never on the slot or the neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from qbench.core import PAGE_TOKENS
from qbench.engine import trie
from qbench.engine.runtime import Run, Runtime
from qbench.engine.scoring import Ids, Limits
from qbench.errors import NonFiniteError

STEPS_PER_CALL = 16
MAX_LIVE = 64

NO_TOKEN = -1
NOT_FINITE = -2


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen: temperature 0 is greedy; top_k 0 and top_p 1 keep everything."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    repeat: int = 0


@dataclass
class Generation:
    """One request on its way."""

    index: int
    prompt: Ids
    key: int
    max_new: int
    new: list[int] = field(default_factory=list)
    text: str = ""
    sequence: int = -1
    done: bool = False

    @property
    def pages(self) -> int:
        """Cache pages that it may need in all, one of them for a copied fork."""
        return -(-(len(self.prompt) + self.max_new) // PAGE_TOKENS) + 1


def request_key(seed: int, item_id: str, repeat: int) -> int:
    """64 bits that name a request's stream of random draws."""
    digest = hashlib.sha256(f"{seed}\x00{item_id}\x00{repeat}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def generate(
    runtime: Runtime,
    requests: Sequence[Generation],
    sampling: Sampling,
    *,
    end_ids: Sequence[int],
    stop: Sequence[str],
    decode: Callable[[Sequence[int]], str],
    limits: Limits,
) -> Iterator[list[Generation]]:
    """Run all requests to their end; yields those that made progress, after each call of the core.

    Parameters
    ----------
    runtime : Runtime
    requests : sequence of Generation
        Prompts are non-empty and leave room for ``max_new`` tokens in the context.
    sampling : Sampling
    end_ids : sequence of int
        Ids that end a request; they are not part of the result.
    stop : sequence of str
        Texts that end a request; text and ids from there on are dropped.
    decode : callable
        Ids to text, needed for ``stop`` and for streaming.
    limits : Limits
        ``sequences`` bounds the live requests.

    Raises
    ------
    NonFiniteError
        If a request's logits are NaN or infinite.
    """
    waiting = list(requests)[::-1]
    live: list[Generation] = []
    most = limits.sequences or MAX_LIVE
    with runtime.exclusive():
        try:
            while waiting or live:
                new = _admit(runtime, waiting, live, most)
                _prefill(runtime, new, limits)
                live += new
                _decode(runtime, live, sampling, end_ids, stop, decode)
                yield list(live)
                for request in [r for r in live if r.done]:
                    runtime.cache.release(request.sequence)
                    request.sequence = -1
                live = [r for r in live if not r.done]
        finally:
            for request in live:
                if request.sequence >= 0:
                    runtime.cache.release(request.sequence)


def _admit(
    runtime: Runtime, waiting: list[Generation], live: Sequence[Generation], most: int
) -> list[Generation]:
    """Take requests from the queue while slots and pages last."""
    room = runtime.capacity_pages - sum(r.pages for r in live)
    new: list[Generation] = []
    while waiting and len(live) + len(new) < most:
        if waiting[-1].pages > room and (live or new):
            break
        room -= waiting[-1].pages
        new.append(waiting.pop())
    return new


def _prefill(runtime: Runtime, requests: Sequence[Generation], limits: Limits) -> None:
    """Bring the prompts into the cache, all but their last token; shared prefixes once."""
    reads = sorted({r.prompt[:-1] for r in requests if len(r.prompt) > 1})
    leaves = dict(zip(reads, trie.build(reads, limits.tokens), strict=True))
    made: list[trie.Node] = []
    try:
        for level in trie.levels(list(leaves.values())):
            for node in level:  # packed by the caller's limits would only matter for speed
                parent = node.parent
                node.sequence = (
                    runtime.cache.new_sequence()
                    if parent is None
                    else runtime.cache.fork(parent.sequence, node.start)
                )
                made.append(node)
                runtime.forward([Run(node.sequence, node.stretch)])
        for request in requests:
            read = request.prompt[:-1]
            request.sequence = (
                runtime.cache.fork(leaves[read].sequence, len(read))
                if read
                else runtime.cache.new_sequence()
            )
    finally:
        for node in made:
            runtime.cache.release(node.sequence)


def _decode(
    runtime: Runtime,
    live: Sequence[Generation],
    sampling: Sampling,
    end_ids: Sequence[int],
    stop: Sequence[str],
    decode: Callable[[Sequence[int]], str],
) -> None:
    """Decode several steps of all live requests and look for their ends."""
    tokens = runtime.generate(
        [r.sequence for r in live],
        [(r.new or r.prompt)[-1] for r in live],
        [r.key for r in live],
        [len(r.new) for r in live],
        [r.max_new - len(r.new) for r in live],
        end_ids=end_ids,
        n_steps=STEPS_PER_CALL,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
    )
    for request, row in zip(live, tokens.tolist(), strict=True):
        before = len(request.new)
        new = [token for token in row if token != NO_TOKEN]
        if NOT_FINITE in new:
            raise NonFiniteError(
                f"request {request.index}: the logits after {before + len(new) - 1} new tokens are "
                "NaN or infinite; the weights or the recipe are broken"
            )
        ended = bool(new) and new[-1] in end_ids
        request.new += new[:-1] if ended else new
        request.done = ended or len(request.new) >= request.max_new or len(new) < STEPS_PER_CALL
        _apply_stops(request, stop, decode, before)


def _apply_stops(
    request: Generation, stop: Sequence[str], decode: Callable[[Sequence[int]], str], before: int
) -> None:
    """Cut text and ids at the first stop text."""
    request.text = decode(request.new)
    found = [at for at in (request.text.find(s) for s in stop) if at >= 0]
    if not found:
        return
    request.text = request.text[: min(found)]
    request.done = True
    # The shortest prefix of the ids that already says all of the text before the stop.
    while request.new and len(request.new) > 0 and decode(request.new[:-1]).startswith(request.text):
        request.new.pop()
