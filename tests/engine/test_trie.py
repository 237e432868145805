"""The tree of shared prefixes, over random sequences from a small alphabet."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qbench.engine import trie
from qbench.engine.trie import MIN_SHARED, build, common_prefix, lineage, nodes, sort_key


@st.composite
def sequences(draw) -> list[tuple[int, ...]]:
    """Sorted distinct sequences that share long and short prefixes."""
    stems = draw(st.lists(st.lists(st.integers(0, 2), max_size=45), min_size=1, max_size=3))
    tails = st.lists(st.integers(0, 2), max_size=25)
    picks = draw(
        st.lists(st.tuples(st.sampled_from(stems), st.integers(0, 45), tails), max_size=12)
    )
    found = {(*stem[:cut], *tail) for stem, cut, tail in picks}
    return sorted(found - {()})


def as_arrays(given_sequences) -> list[np.ndarray]:
    return [np.array(s, np.int32) for s in given_sequences]


def spelled(leaf: trie.Node) -> tuple[int, ...]:
    """What the stretches from root to leaf say, one after another."""
    return tuple(int(i) for node in lineage(leaf) for i in node.stretch)


@given(sequences(), st.integers(1, 60))
def test_lineages_spell_the_sequences(given_sequences, max_run) -> None:
    leaves = build(as_arrays(given_sequences), max_run)
    assert [spelled(leaf) for leaf in leaves] == given_sequences
    for node in nodes(leaves):
        assert 0 <= node.start < node.end
        assert node.end - node.start <= max_run
        assert node.start == (node.parent.end if node.parent else 0)
        for child in node.children:
            assert child.parent is node
            assert (child.tokens[: node.end] == node.tokens[: node.end]).all()


@given(sequences(), st.integers(1, 60))
def test_nodes_come_once_and_after_their_parents(given_sequences, max_run) -> None:
    leaves = build(as_arrays(given_sequences), max_run)
    ordered = nodes(leaves)
    everywhere = {id(node) for leaf in leaves for node in lineage(leaf)}
    assert len(ordered) == len(everywhere)
    assert {id(node) for node in ordered} == everywhere
    place = {id(node): i for i, node in enumerate(ordered)}
    assert all(place[id(n.parent)] < place[id(n)] for n in ordered if n.parent is not None)


@given(sequences())
def test_no_token_is_computed_that_need_not_be(given_sequences) -> None:
    """At least the distinct prefixes, at most those and a short stretch for every branch."""
    leaves = build(as_arrays(given_sequences), 1000)
    computed = sum(node.end - node.start for node in nodes(leaves))
    distinct = len({s[:n] for s in given_sequences for n in range(1, len(s) + 1)})
    assert distinct <= computed <= sum(map(len, given_sequences))
    assert computed <= distinct + (MIN_SHARED - 1) * max(0, len(given_sequences) - 1)


@given(st.integers(0, 40), st.integers(1, 30), st.integers(1, 30))
def test_two_sequences_share_from_min_shared_on(shared, first, second) -> None:
    stem = [1] * shared
    leaves = build(as_arrays([stem + [2] * first, stem + [3] * second]), 1000)
    computed = sum(node.end - node.start for node in nodes(leaves))
    both = 2 * shared + first + second
    assert computed == (both - shared if shared >= MIN_SHARED else both)


def test_a_sequence_that_begins_another_is_its_parent() -> None:
    short, long = leaves = build(as_arrays([range(20), range(33)]), 1000)
    assert long.parent is short
    assert [node.end for node in lineage(long)] == [20, 33]
    assert nodes(leaves) == [short, long]


def test_nothing_gives_nothing() -> None:
    assert build([], 8) == []
    assert nodes([]) == []


ids = st.lists(st.integers(0, 2**31 - 1), max_size=6)


@given(ids, ids)
def test_keys_compare_as_ids_do(a, b) -> None:
    key_a, key_b = (sort_key(np.array(x, np.int32)) for x in (a, b))
    assert (key_a < key_b, key_a == key_b) == (a < b, a == b)


few = st.lists(st.integers(0, 1), max_size=9)


@given(few, few)
def test_common_prefix(a, b) -> None:
    n = common_prefix(np.array(a, np.int32), np.array(b, np.int32))
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]
