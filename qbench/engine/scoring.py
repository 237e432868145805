"""Log-probabilities of continuations, each shared prefix computed once.

A request is a context and a continuation; what the model must read is both without the last
token. Reads are sorted, taken in groups of bounded size, and each group's tree of runs is computed
in packed batches. The last read of a group stays in the cache for the next group, so that a long
common prefix (the shots of a subject) survives; on request also for the next call
(`qbench.engine.prefix`). Values do not depend on any of this.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qbench.core import PAGE_TOKENS
from qbench.engine import batches, trie
from qbench.engine.batches import Limits
from qbench.engine.memory import pages_of
from qbench.engine.prefix import Anchor
from qbench.engine.runtime import NOTHING, Run, Runtime
from qbench.engine.trie import Ids, Node

RESULT_DTYPE = np.dtype(
    [
        ("logprob", np.float64),
        ("is_greedy", np.bool_),
        ("n_tokens", np.int32),
        ("bad_layer", np.int32),
    ]
)

Slots = NDArray[np.intp]

GROUP_TOKENS = 2048
"""New tokens of reads that are planned together, at least: more branches fill a forward."""


class _Read(NamedTuple):
    """What the model must read, and the slots that are asked after it, in order of position.

    ``rotation``: key of its rotations.
    """

    ids: Ids
    slots: Slots
    rotation: int


class _Answers:
    """One slot for every token of every continuation, in the order of the requests.

    A slot has the token, the position after which it stands, and what the model says of it.
    """

    def __init__(self, requests: Sequence[tuple[Ids, Ids]]) -> None:
        self.lengths = np.array([len(continuation) for _, continuation in requests], np.intp)
        self.first: Slots = np.cumsum(self.lengths) - self.lengths
        contexts = np.array([len(context) for context, _ in requests], np.intp)
        n = int(self.lengths.sum())
        self.tokens: Ids = np.concatenate([NOTHING, *(ids for _, ids in requests)])
        self.positions: Slots = np.arange(n) + np.repeat(contexts - 1 - self.first, self.lengths)
        self.logprobs = np.full(n, np.nan)
        self.is_greedy = np.zeros(n, np.bool_)
        self.bad_layer = np.full(n, -1, np.int32)

    def slots(self, members: Sequence[int]) -> Slots:
        """Slots of some requests, in order of position."""
        ranges = [np.arange(self.first[i], self.first[i] + self.lengths[i]) for i in members]
        return self.in_order(ranges)

    def in_order(self, parts: Sequence[Slots]) -> Slots:
        """Join slots that are in order of position each."""
        if len(parts) == 1:
            return parts[0]
        slots = np.concatenate(parts)
        return slots[np.argsort(self.positions[slots], kind="stable")]

    def results(self) -> NDArray[np.void]:
        """Sum up each request."""
        results = np.zeros(len(self.lengths), RESULT_DTYPE)
        if not len(results):
            return results
        results["n_tokens"] = self.lengths
        results["is_greedy"] = np.logical_and.reduceat(self.is_greedy, self.first)
        results["bad_layer"] = -1
        for slot in np.flatnonzero(self.bad_layer >= 0)[::-1]:
            request = np.searchsorted(self.first, slot, side="right") - 1
            results["bad_layer"][request] = self.bad_layer[slot]
        logprobs = self.logprobs.tolist()
        ends = (self.first + self.lengths).tolist()
        # An exact sum: the order of the tokens cannot matter.
        results["logprob"] = [
            math.fsum(logprobs[first:end])
            for first, end in zip(self.first.tolist(), ends, strict=True)
        ]
        return results


def score(
    runtime: Runtime, requests: Sequence[tuple[Ids, Ids]], limits: Limits
) -> NDArray[np.void]:
    """Score continuations.

    Parameters
    ----------
    runtime : Runtime
    requests : sequence of (context, continuation)
        int32 ids; both non-empty, together at most one token longer than the context length.
    limits : Limits

    Returns
    -------
    structured ndarray, shape (requests,)
        ``logprob``: summed log-probability in nats, NaN if a position is not finite;
        ``is_greedy``: whether every token is the most likely one; ``n_tokens``; ``bad_layer``:
        where the first such position was first not finite (see `Scored`), -1 if none.

    Raises
    ------
    CapacityError
        If open streams hold too much of the cache.
    """
    answers = _Answers(requests)
    reads = _reads(requests, answers, runtime.spec.rotation_key)
    with runtime.exclusive(reuse=True):
        # The anchor of a group and the group itself must fit together.
        max_pages = runtime.free_pages - runtime.context_pages - 1
        anchor = runtime.prefix.take()
        for group in _groups(reads, max(limits.tokens, GROUP_TOKENS), max_pages):
            runtime.rotation = group[0].rotation
            following = _compute(runtime, group, answers, limits, anchor)
            if anchor is not None:
                runtime.release(anchor.sequence)
            anchor = following
        runtime.rotation = 0
        runtime.prefix.leave(anchor)
    return answers.results()


def _reads(
    requests: Sequence[tuple[Ids, Ids]], answers: _Answers, rotation_key: Callable[[int], int]
) -> list[_Read]:
    """Distinct reads of all requests, sorted; those that are turned alike stand together."""
    ids_of: dict[bytes, Ids] = {}
    members: dict[bytes, list[int]] = defaultdict(list)
    for index, (context, continuation) in enumerate(requests):
        ids = np.concatenate((context, continuation[:-1]))
        key = trie.sort_key(ids)
        ids_of[key] = ids
        members[key].append(index)
    reads = [
        _Read(ids_of[key], answers.slots(members[key]), rotation_key(len(ids_of[key])))
        for key in sorted(ids_of)
    ]
    return sorted(reads, key=lambda read: read.rotation)


def _groups(reads: Sequence[_Read], max_tokens: int, max_pages: int) -> Iterator[list[_Read]]:
    """Sorted reads in groups within about max_tokens new tokens and max_pages; at least one."""
    group: list[_Read] = []
    tokens = pages = 0
    before: Ids = NOTHING
    for read in reads:
        n = len(read.ids)
        shared = trie.common_prefix(before, read.ids)
        own_pages = pages_of(n) - max(0, shared - trie.MIN_SHARED) // PAGE_TOKENS
        is_full = tokens + n - shared > max_tokens or pages + own_pages > max_pages
        if group and (is_full or read.rotation != group[0].rotation):
            yield group
            group, tokens, pages = [], 0, 0
            own_pages = pages_of(n)
        group.append(read)
        tokens += n - shared
        pages += own_pages
        before = read.ids
    if group:
        yield group


def _compute(
    runtime: Runtime,
    group: Sequence[_Read],
    answers: _Answers,
    limits: Limits,
    anchor: Anchor | None,
) -> Anchor:
    """Compute a group's tree; return its last member as the next group's anchor."""
    reads = [read.ids for read in group]
    leaves = batches.plan(reads, limits, _usable(anchor, group, answers))
    leaves[-1].kept = True
    wanted = _by_node(leaves, group, answers)

    def forward(nodes: Sequence[Node]) -> None:
        _forward(runtime, nodes, wanted, answers)

    batches.run(runtime, leaves, limits, forward)
    return Anchor(leaves[-1].sequence, reads[-1], group[0].rotation)


def _usable(anchor: Anchor | None, group: Sequence[_Read], answers: _Answers) -> Anchor | None:
    """Cut an anchor at the first position whose score is wanted: that one is computed again."""
    if anchor is None or anchor.rotation != group[0].rotation:
        return None
    end = len(anchor.ids)
    for read in group:
        shared = trie.common_prefix(anchor.ids, read.ids)
        first_wanted = int(answers.positions[read.slots[0]])
        if first_wanted < shared:
            end = min(end, first_wanted)
    return Anchor(anchor.sequence, anchor.ids[:end], anchor.rotation)


def _by_node(
    leaves: Sequence[Node], group: Sequence[_Read], answers: _Answers
) -> dict[Node, Slots]:
    """Slots that each node answers, in order of position."""
    parts: dict[Node, list[Slots]] = defaultdict(list)
    for leaf, read in zip(leaves, group, strict=True):
        positions = answers.positions[read.slots]
        node: Node | None = leaf
        while node is not None and node.end > positions[0]:
            begin, end = np.searchsorted(positions, (node.start, node.end))
            if begin < end:
                parts[node].append(read.slots[begin:end])
            node = node.parent
    return {node: answers.in_order(slots) for node, slots in parts.items()}


def _forward(
    runtime: Runtime, nodes: Sequence[Node], wanted: dict[Node, Slots], answers: _Answers
) -> None:
    """Run one packed batch and note its scores."""
    slots: list[Slots] = []
    rows: list[NDArray[np.intp]] = []
    first_row = 0
    for node in nodes:
        if node in wanted:
            slots.append(wanted[node])
            rows.append(answers.positions[wanted[node]] + (first_row - node.start))
        first_row += node.end - node.start
    runs = [Run(node.sequence, node.stretch) for node in nodes]
    if not slots:
        runtime.forward(runs)
        return
    asked = np.concatenate(slots)
    scored = runtime.forward(runs, np.concatenate(rows).astype(np.int32), answers.tokens[asked])
    answers.logprobs[asked] = scored.logprobs
    answers.is_greedy[asked] = scored.best == answers.tokens[asked]
    answers.bad_layer[asked] = scored.bad_layer
