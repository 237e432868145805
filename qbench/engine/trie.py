"""Shared prefixes of many sequences, as a tree of runs.

Sequences are sorted, so that those with a common prefix are neighbours; the tree then has one node
for every stretch of tokens that is computed once. The numerical promise of the core makes results
independent of how sequences are cut, so this is planning alone: nothing here changes a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MIN_SHARED = 16
"""A shared stretch shorter than this is computed twice: a forward of its own would cost more."""


@dataclass
class Node:
    """Tokens [start, end) of a sequence, below the node that holds what comes before them."""

    tokens: Sequence[int]
    start: int
    end: int
    parent: Node | None
    sequence: int = -1
    children: list[Node] = field(default_factory=list)

    @property
    def stretch(self) -> Sequence[int]:
        """The node's own tokens."""
        return self.tokens[self.start : self.end]


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common prefix of two sequences."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


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


def build(sequences: Sequence[Sequence[int]], max_run: int) -> list[Node]:
    """Return the leaf of each sequence.

    Parameters
    ----------
    sequences : sequence of sequences of int
        Sorted and distinct, none empty.
    max_run : int
        Longest stretch that one forward takes; longer ones become chains.

    Returns
    -------
    list of Node
        One per sequence, at whose end the whole sequence has been computed.
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
    for node in [node for leaf in leaves for node in lineage(leaf)]:
        while node.end - node.start > max_run:
            node = _split(node, node.end - max_run)
    return leaves


def lineage(leaf: Node) -> list[Node]:
    """Return the nodes from the root to a leaf."""
    nodes = []
    node: Node | None = leaf
    while node is not None:
        nodes.append(node)
        node = node.parent
    return nodes[::-1]


def levels(leaves: Sequence[Node]) -> list[list[Node]]:
    """Return all nodes by depth; those of one depth depend only on the depths before."""
    by_depth: list[list[Node]] = []
    seen: set[int] = set()
    for leaf in leaves:
        for depth, node in enumerate(lineage(leaf)):
            if id(node) not in seen:
                seen.add(id(node))
                while len(by_depth) <= depth:
                    by_depth.append([])
                by_depth[depth].append(node)
    return by_depth
