"""Generation of many requests at once: admission, shared prefill, steps in C, ends, refill.

The core decodes several steps a call; here requests are admitted while the cache has room for all
they may need, finished ones leave at once and others take their place. A sampled token depends on
(seed, item id, repeat, step) alone, never on the slot or the neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from qbench.engine import batches, trie
from qbench.engine.batches import Limits
from qbench.engine.ends import Ends
from qbench.engine.memory import pages_of
from qbench.engine.prefix import Anchor
from qbench.engine.runtime import Run, Runtime
from qbench.engine.trie import Ids, Node
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


@dataclass(eq=False)
class Generation:
    """One request on its way: its prompt, what names its draws, its new ids and their text."""

    name: str
    prompt: Ids
    key: int
    max_new: int
    new: list[int] = field(default_factory=list)
    text: str = ""
    sequence: int = -1
    rotation: int = 0
    done: bool = False

    @property
    def ids(self) -> Ids:
        """The prompt and what was generated."""
        return np.concatenate((self.prompt, np.array(self.new, np.int32)))

    @property
    def read(self) -> Ids:
        """What must be in the cache before the next step: all ids without the last one."""
        return self.ids[:-1] if self.new else self.prompt[:-1]

    @property
    def pages(self) -> int:
        """Cache pages that it may need in all, one of them for a copied fork."""
        return pages_of(len(self.prompt) + self.max_new - 1) + 1

    def accept(self, tokens: Sequence[int], ends: Ends) -> None:
        """Take the tokens of some steps, as many as were decoded, and look for an end.

        Raises
        ------
        NonFiniteError
            If logits were NaN or infinite before an end was found.
        """
        finite = [token for token in tokens if token not in (NO_TOKEN, NOT_FINITE)]
        ended = bool(finite) and finite[-1] in ends.ids
        self.new += finite[:-1] if ended else finite
        self.done = ended or len(self.new) >= self.max_new
        if self.done or ends.stops or ends.follow:
            self.text, n_ids = ends.cut(self.new)
            if n_ids is not None:
                self.done = True
                del self.new[n_ids:]
        if NOT_FINITE in tokens and not self.done:
            raise NonFiniteError(
                f"prompt {self.name}: the logits after {len(self.new)} new tokens are NaN or "
                "infinite; the weights or the recipe are broken"
            )


def request_key(seed: int, item_id: str, repeat: int) -> int:
    """64 bits that name a request's stream of random draws."""
    digest = hashlib.sha256(f"{seed}\x00{item_id}\x00{repeat}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


class Generator:
    """Requests that are generated together.

    Parameters
    ----------
    runtime : Runtime
    requests : sequence of Generation
        Prompts are non-empty and leave room for ``max_new`` tokens in the context.
    sampling : Sampling
    ends : Ends
    limits : Limits
        ``sequences`` bounds the requests that are decoded at a time.
    """

    def __init__(
        self,
        runtime: Runtime,
        requests: Sequence[Generation],
        sampling: Sampling,
        ends: Ends,
        limits: Limits,
    ) -> None:
        self._runtime = runtime
        self._sampling = sampling
        self._ends = ends
        self._limits = limits
        # Neighbours share prefixes; the order does not matter otherwise.
        asking = [request for request in requests if request.max_new > 0]
        for request in asking:
            request.rotation = runtime.spec.rotation_key(len(request.prompt))
        self._waiting = sorted(
            asking, key=lambda r: (r.rotation, trie.sort_key(r.prompt)), reverse=True
        )
        self._live: list[Generation] = []

    def run(self) -> None:
        """Run all requests to their ends.

        Raises
        ------
        NonFiniteError
            If a request's logits are NaN or infinite.
        CapacityError
            If open streams hold too much of the cache.
        """
        with self._runtime.exclusive():
            while self._waiting or self._live:
                self._step(STEPS_PER_CALL)

    def stream(self) -> Iterator[str]:
        """Run one request, and yield its text in pieces; the model can be used in between."""
        runtime = self._runtime
        sent = 0
        try:
            while self._waiting or self._live:
                request = (self._live or self._waiting)[0]
                with runtime.exclusive():
                    runtime.kept.pop(request.sequence, None)
                    self._step(1)
                    runtime.kept |= {r.sequence: r.pages for r in self._live}
                ready = self._ends.ready(request.text, sent, request.done)
                if ready > sent:
                    yield request.text[sent:ready]
                    sent = ready
        finally:
            self._close()

    def _close(self) -> None:
        """Release what a stream that ends early still holds."""
        if not self._live:
            return
        with self._runtime.exclusive():
            for request in self._live:
                if self._runtime.kept.pop(request.sequence, None) is not None:
                    self._runtime.release(request.sequence)

    def _step(self, n_steps: int) -> None:
        """Admit what fits, decode, and let the finished go."""
        self._refill()
        self._decode(n_steps)
        if not self._waiting:  # else the next refill may share a prefix with them
            self._drop([request for request in self._live if request.done])

    def _drop(self, requests: Sequence[Generation]) -> None:
        for request in requests:
            self._live.remove(request)
            self._runtime.release(request.sequence)

    def _refill(self) -> None:
        """Replace finished requests by waiting ones while slots and pages last."""
        finished = [request for request in self._live if request.done]
        if not self._waiting:
            return
        anchor = self._anchor()
        self._drop([request for request in finished if request is not anchor])
        new = self._admit(anchor if anchor in finished else None)
        self._prefill(new, anchor)
        if anchor in finished:
            self._drop([anchor])
        self._live += new

    def _anchor(self) -> Generation | None:
        """Return the live request that shares most with the next one, a running one first."""
        following = self._waiting[-1]
        return max(
            (r for r in self._live if len(r.read) and r.rotation == following.rotation),
            key=lambda r: (trie.common_prefix(r.read, following.read), not r.done),
            default=None,
        )

    def _admit(self, leaving: Generation | None) -> list[Generation]:
        """Take requests that are turned alike from the queue; `leaving` has pages, but no slot."""
        room = self._runtime.free_pages - sum(r.pages for r in self._live)
        slots = (self._limits.sequences or MAX_LIVE) - len(self._live) + (leaving is not None)
        new: list[Generation] = []
        rotation = self._waiting[-1].rotation
        while (
            self._waiting
            and len(new) < slots
            and self._waiting[-1].pages <= room
            and self._waiting[-1].rotation == rotation
        ):
            room -= self._waiting[-1].pages
            new.append(self._waiting.pop())
        return new

    def _prefill(self, requests: Sequence[Generation], anchor: Generation | None) -> None:
        """Bring the prompts into the cache, all but their last token; shared prefixes once."""
        runtime = self._runtime
        reads = {trie.sort_key(r.read): r.read for r in requests if len(r.read)}
        keys = sorted(reads)
        shared = None if anchor is None else Anchor(anchor.sequence, anchor.read)
        runtime.rotation = requests[0].rotation if requests else 0
        leaves = batches.plan([reads[key] for key in keys], self._limits, shared)
        for leaf in leaves:
            leaf.kept = True

        def forward(nodes: Sequence[Node]) -> None:
            runtime.forward([Run(node.sequence, node.stretch) for node in nodes])

        batches.run(runtime, leaves, self._limits, forward)
        leaf_of = dict(zip(keys, leaves, strict=True))
        taken: set[Node] = set()
        for request in requests:
            if not len(request.read):
                request.sequence = runtime.new_sequence()
                continue
            leaf = leaf_of[trie.sort_key(request.read)]
            if leaf.computed or leaf in taken:
                request.sequence = runtime.fork(leaf.sequence, len(request.read))
            else:
                taken.add(leaf)
                request.sequence = leaf.sequence

    def _decode(self, n_steps: int) -> None:
        """Decode some steps of all live requests and look for their ends."""
        live = self._live
        tokens = self._runtime.generate(
            [r.sequence for r in live],
            [int(r.new[-1] if r.new else r.prompt[-1]) for r in live],
            [r.key for r in live],
            [len(r.new) for r in live],
            [self._steps_left(r) for r in live],
            end_ids=self._ends.ids,
            n_steps=n_steps,
            temperature=self._sampling.temperature,
            top_k=self._sampling.top_k,
            top_p=self._sampling.top_p,
        )
        for request, row in zip(live, np.asarray(tokens).tolist(), strict=True):
            request.accept(row, self._ends)
        self._turn_over([request for request in live if self._steps_left(request) <= 0])

    def _steps_left(self, request: Generation) -> int:
        """Tokens that a request may still take under its rotation."""
        left = request.max_new - len(request.new)
        limit = self._runtime.spec.rotation_limit(request.rotation)
        n = len(request.prompt) + len(request.new)
        return left if limit is None else min(left, limit - n + 1)

    def _turn_over(self, requests: Sequence[Generation]) -> None:
        """Put requests that have outgrown their rotation back into the queue, to be read again."""
        for request in requests:
            if not request.done:
                request.rotation = self._runtime.spec.rotation_key(len(request.ids))
                self._drop([request])
                self._waiting.append(request)
