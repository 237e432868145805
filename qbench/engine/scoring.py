"""Log-probabilities of continuations, each shared prefix computed once.

A request is a context and a continuation; what the model must read is both without the last token.
Requests are sorted, taken in groups of bounded size, and each group's tree of runs is computed level
by level in packed batches. The path of a group's last sequence stays in the cache for the next
group, so that a long common prefix (the shots of a subject) survives. Values do not depend on any of
this.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qbench.engine import trie
from qbench.engine.runtime import Run, Runtime

RESULT_DTYPE = np.dtype(
    [("logprob", np.float64), ("is_greedy", np.bool_), ("n_tokens", np.int32), ("bad_layer", np.int32)]
)

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Limits:
    """How much one forward takes: tokens, and sequences (None: no limit of its own)."""

    tokens: int = 2048
    sequences: int | None = None


class _Target(NamedTuple):
    """A token asked for after a position: the `order`-th of the continuation of a request."""

    position: int
    token: int
    request: int
    order: int


def score(
    runtime: Runtime, requests: Sequence[tuple[Ids, Ids]], limits: Limits
) -> NDArray[np.void]:
    """Score continuations.

    Parameters
    ----------
    runtime : Runtime
    requests : sequence of (context, continuation)
        Ids; both non-empty, together at most one token longer than the context length.
    limits : Limits

    Returns
    -------
    structured ndarray, shape (requests,)
        ``logprob``: summed log-probability in nats, NaN if a position is not finite; ``is_greedy``:
        whether every token is the most likely one; ``n_tokens``; ``bad_layer``: first layer with a
        non-finite value, -1 if none.
    """
    results = np.zeros(len(requests), RESULT_DTYPE)
    parts: list[list[float]] = [[0.0] * len(continuation) for _, continuation in requests]
    results["is_greedy"] = True
    results["bad_layer"] = -1
    results["n_tokens"] = [len(continuation) for _, continuation in requests]
    by_read: dict[Ids, list[_Target]] = defaultdict(list)
    for index, (context, continuation) in enumerate(requests):
        read = context + continuation[:-1]
        by_read[read] += [
            _Target(len(context) - 1 + k, token, index, k)
            for k, token in enumerate(continuation)
        ]

    def take(target: _Target, logprob: float, best: int, bad_layer: int) -> None:
        parts[target.request][target.order] = logprob
        result = results[target.request]
        result["is_greedy"] &= best == target.token
        if bad_layer >= 0 and result["bad_layer"] < 0:
            result["bad_layer"] = bad_layer

    with runtime.exclusive():
        anchor: tuple[int, Ids] | None = None
        try:
            for reads in _groups(sorted(by_read), limits.tokens):
                anchor = _compute(runtime, reads, by_read, limits, anchor, take)
        finally:
            if anchor is not None:
                runtime.cache.release(anchor[0])
    for index, values in enumerate(parts):
        # An exact sum: the order of the tokens cannot matter.
        results[index]["logprob"] = math.fsum(values) if all(map(math.isfinite, values)) else np.nan
    return results


def _groups(reads: Sequence[Ids], max_tokens: int) -> Iterator[list[Ids]]:
    """Sorted sequences in groups of about max_tokens distinct tokens; at least one each."""
    group: list[Ids] = []
    size = 0
    for read in reads:
        new = len(read) - (trie.common_prefix(group[-1], read) if group else 0)
        if group and size + new > max_tokens:
            yield group
            group, size = [], 0
            new = len(read)
        group.append(read)
        size += new
    if group:
        yield group


Take = Callable[[_Target, float, int, int], None]
Anchor = tuple[int, Ids]
"""A sequence of the cache and its tokens."""


def _compute(
    runtime: Runtime,
    reads: list[Ids],
    targets: dict[Ids, list[_Target]],
    limits: Limits,
    anchor: Anchor | None,
    take: Take,
) -> Anchor:
    """Compute a group's tree; return its last member as the next group's anchor."""
    leaves = trie.build(reads, limits.tokens)
    wanted = _by_node(leaves, reads, targets)
    last, made = leaves[-1], []
    try:
        for level in trie.levels(leaves):
            for batch in _batches(level, limits):
                for node in batch:
                    _open(runtime, node, anchor, wanted[id(node)])
                    made.append(node)
                _forward(runtime, [n for n in batch if n.start < n.end], wanted, take)
    except BaseException:
        _release(runtime, made)
        raise
    _release(runtime, [node for node in made if node is not last])
    if anchor is not None:
        runtime.cache.release(anchor[0])
    return last.sequence, reads[-1]


def _release(runtime: Runtime, nodes: Sequence[trie.Node]) -> None:
    for node in nodes:
        runtime.cache.release(node.sequence)


def _by_node(
    leaves: Sequence[trie.Node], reads: Sequence[Ids], targets: dict[Ids, list[_Target]]
) -> dict[int, list[_Target]]:
    """Targets of each node (by identity), in order of position."""
    wanted: dict[int, list[_Target]] = defaultdict(list)
    for leaf, read in zip(leaves, reads, strict=True):
        for node in trie.lineage(leaf):
            wanted[id(node)] += [t for t in targets[read] if node.start <= t.position < node.end]
    for group in wanted.values():
        group.sort(key=lambda target: target.position)
    return wanted


def _open(
    runtime: Runtime, node: trie.Node, anchor: Anchor | None, wanted: Sequence[_Target]
) -> None:
    """Give a node its sequence: a fork of its parent's, or of what the anchor has in common.

    What the anchor has is not computed again, but for positions whose scores are wanted.
    """
    if node.parent is not None:
        node.sequence = runtime.cache.fork(node.parent.sequence, node.start)
        return
    shared = 0
    if anchor is not None:
        first_wanted = wanted[0].position if wanted else node.end
        shared = min(trie.common_prefix(anchor[1], node.tokens), node.end, first_wanted)
    if anchor is None or shared == 0:
        node.sequence = runtime.cache.new_sequence()
    else:
        node.sequence = runtime.cache.fork(anchor[0], shared)
        node.start = shared


def _batches(level: Sequence[trie.Node], limits: Limits) -> Iterator[list[trie.Node]]:
    """Nodes of one level in batches within the limits."""
    batch: list[trie.Node] = []
    size = 0
    for node in level:
        full = limits.sequences is not None and len(batch) >= limits.sequences
        if batch and (full or size + node.end - node.start > limits.tokens):
            yield batch
            batch, size = [], 0
        batch.append(node)
        size += node.end - node.start
    if batch:
        yield batch


def _forward(
    runtime: Runtime, nodes: Sequence[trie.Node], wanted: dict[int, list[_Target]], take: Take
) -> None:
    """Run one packed batch and hand its scores out."""
    if not nodes:
        return
    rows: list[int] = []
    asked: list[list[_Target]] = []
    first_row = 0
    for node in nodes:
        for target in wanted[id(node)]:
            row = first_row + target.position - node.start
            if not rows or rows[-1] != row:
                rows.append(row)
                asked.append([])
            asked[-1].append(target)
        first_row += node.end - node.start
    scored = runtime.forward(
        [Run(node.sequence, node.stretch) for node in nodes],
        rows,
        [[target.token for target in group] for group in asked],
    )
    logprobs = iter(scored.logprobs.tolist())
    bests, bad_layers = scored.best.tolist(), scored.bad_layer.tolist()
    for group, best, bad_layer in zip(asked, bests, bad_layers, strict=True):
        for target in group:
            take(target, next(logprobs), best, bad_layer)
