"""Shared prefixes of many sequences, as a tree of runs.

Sequences are sorted, so that those with a common prefix are neighbours; the tree then has one node
for every stretch of tokens that is computed once. The numerical promise of the core makes results
independent of how sequences are cut, so this is planning alone: nothing here changes a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]
"""Token ids of one sequence, shape (tokens,)."""

MIN_SHARED = 16
"""A shared stretch shorter than this is computed twice: a forward of its own would cost more."""


@dataclass(eq=False)
class Node:
    """Tokens [start, end) of a sequence, below the node that holds what comes before them.

    ``sequence`` is the node's in the cache while it has one. It is released or handed to a child
    once nothing needs it, unless ``kept``. ``computed``: the cache has it before the tree is run.
    """

    tokens: Ids
    start: int
    end: int
    parent: Node | None
    sequence: int = -1
    kept: bool = False
    computed: bool = False
    children: list[Node] = field(default_factory=list)

    @property
    def stretch(self) -> Ids:
        """The node's own tokens."""
        return self.tokens[self.start : self.end]


def sort_key(ids: Ids) -> bytes:
    """Bytes that compare as the ids do, and that are equal if the ids are."""
    return ids.astype(">i4").tobytes()


def common_prefix(a: Ids, b: Ids) -> int:
    """Length of the common prefix of two sequences."""
    n = min(len(a), len(b))
    differs = a[:n] != b[:n]
    first = int(differs.argmax()) if n else 0
    return first if n and differs[first] else n


def _split(node: Node, at: int) -> Node:
    """Cut a node at a position; return the upper part."""
    upper = Node(node.tokens, node.start, at, node.parent, children=[node])
    siblings = upper.parent.children if upper.parent is not None else None
    if siblings is not None:
        siblings[siblings.index(node)] = upper
    node.start, node.parent = at, upper
    return upper


def _branch_point(path: list[Node], shared: int) -> int:
    """Where a sequence that shares `shared` tokens with the path leaves it."""
    for node in path:
        if node.start <= shared < node.end:
            return node.start if shared - node.start < MIN_SHARED else shared
    return path[-1].end if path else 0


def build(sequences: Sequence[Ids], max_run: int) -> list[Node]:
    """Return the leaf of each sequence.

    Parameters
    ----------
    sequences : sequence of ndarray of int32
        Sorted and distinct, none empty.
    max_run : int
        Longest stretch that one forward takes; longer ones become chains.

    Returns
    -------
    list of Node
        One per sequence, at whose end the whole sequence has been computed. A leaf has children if
        its sequence begins another one.
    """
    leaves: list[Node] = []
    path: list[Node] = []
    for tokens in sequences:
        shared = common_prefix(path[-1].tokens, tokens) if path else 0
        at = _branch_point(path, shared)
        while path and path[-1].start >= at:
            path.pop()
        if path and path[-1].end > at:
            path[-1] = _split(path[-1], at)
        parent = path[-1] if path else None
        leaf = Node(tokens, at, len(tokens), parent)
        if parent is not None:
            parent.children.append(leaf)
        path.append(leaf)
        leaves.append(leaf)
    for node in nodes(leaves):
        part = node
        while part.end - part.start > max_run:
            part = _split(part, part.end - max_run)
    return leaves


def lineage(leaf: Node) -> list[Node]:
    """Return the nodes from the root to a leaf."""
    upwards = []
    node: Node | None = leaf
    while node is not None:
        upwards.append(node)
        node = node.parent
    return upwards[::-1]


def nodes(leaves: Sequence[Node]) -> list[Node]:
    """Return every node of a tree once, parents before their children."""
    seen: set[Node] = set()
    ordered: list[Node] = []
    for leaf in leaves:
        new = []
        node: Node | None = leaf
        while node is not None and node not in seen:
            seen.add(node)
            new.append(node)
            node = node.parent
        ordered += reversed(new)
    return ordered
