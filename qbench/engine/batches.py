"""Computes a tree of runs in packed batches: opens nodes, runs them, gives their pages back.

The one mechanism behind scoring and the prefill of generation. It knows sequences and limits; what
a forward is asked for is its caller's affair.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qbench.engine import trie
from qbench.engine.prefix import Anchor
from qbench.engine.runtime import Runtime
from qbench.engine.trie import Ids, Node
from qbench.errors import RequestError


@dataclass(frozen=True)
class Limits:
    """How much one forward takes: tokens, and sequences (None: no limit of its own)."""

    tokens: int = 2048
    sequences: int | None = None

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise RequestError(f"batch_tokens must be 1 or more, not {self.tokens}")
        if self.sequences is not None and self.sequences < 1:
            raise RequestError(f"batch_sequences must be 1 or more, not {self.sequences}")


def plan(reads: Sequence[Ids], limits: Limits, anchor: Anchor | None) -> list[Node]:
    """Return the leaf of each read in a tree where what the anchor holds is already computed.

    Parameters
    ----------
    reads : sequence of ndarray of int32
        Sorted and distinct, none empty.
    limits : Limits
    anchor : Anchor, optional
        Stays the caller's: its sequence must outlive `run`.
    """
    if anchor is None or len(anchor.ids) == 0:
        return trie.build(reads, limits.tokens)
    keyed = {trie.sort_key(ids): ids for ids in reads}
    anchor_key = trie.sort_key(anchor.ids)
    keys = sorted({anchor_key, *keyed})
    leaves = trie.build([keyed.get(key, anchor.ids) for key in keys], limits.tokens)
    by_key = dict(zip(keys, leaves, strict=True))
    for node in trie.lineage(by_key[anchor_key]):
        node.sequence, node.kept, node.computed = anchor.sequence, True, True
    return [by_key[key] for key in keyed]


def run(
    runtime: Runtime,
    leaves: Sequence[Node],
    limits: Limits,
    forward: Callable[[Sequence[Node]], None],
) -> None:
    """Compute all nodes of a tree that are not computed yet.

    Parameters
    ----------
    runtime : Runtime
        In the hands of the caller (`Runtime.exclusive`).
    leaves : sequence of Node
        Those whose sequences the caller wants afterwards are ``kept``; all others are released.
    limits : Limits
    forward : callable
        Runs the stretches of a batch of nodes, whose sequences hold all that comes before.
    """
    ready = deque(
        node
        for node in trie.nodes(leaves)
        if not node.computed and (node.parent is None or node.parent.computed)
    )
    while ready:
        batch = _take(ready, limits)
        for node in batch:
            _open(runtime, node)
        forward(batch)
        for node in batch:
            ready.extend(node.children)
            if not node.children and not node.kept:
                runtime.release(node.sequence)


def _take(ready: deque[Node], limits: Limits) -> list[Node]:
    """Take from the front what fits one forward, at least one node."""
    batch: list[Node] = []
    size = 0
    while ready and len(batch) != limits.sequences:
        size += ready[0].end - ready[0].start
        if batch and size > limits.tokens:
            break
        batch.append(ready.popleft())
    return batch


def _open(runtime: Runtime, node: Node) -> None:
    """Give a node its sequence: a fork of its parent's, or that itself for the last child."""
    parent = node.parent
    if parent is None:
        node.sequence = runtime.new_sequence()
    elif parent.kept or node is not parent.children[-1]:
        node.sequence = runtime.fork(parent.sequence, node.start)
    else:
        node.sequence, parent.sequence = parent.sequence, -1
