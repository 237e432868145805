"""Batches of a tree: order, limits, and what is left in the cache."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qbench.engine import batches, trie
from qbench.engine.batches import Anchor, Limits
from qbench.engine.runtime import Run
from qbench.errors import RequestError

reads = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 60), st.lists(st.integers(0, 3), max_size=4)),
    min_size=1,
    max_size=9,
)
# The model is the same for all examples on purpose: nothing may be left in it.
same_model = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def arrays_of(picks) -> list[np.ndarray]:
    """Sorted distinct sequences, many of which begin alike."""
    found = {(*([stem] * n), *tail) for stem, n, tail in picks}
    return [np.array(s, np.int32) for s in sorted(found)]


def recorded(runtime, log):
    """Return a forward that checks what it is given and notes the sizes of the batches."""

    def forward(nodes) -> None:
        for node in nodes:
            assert runtime.cache.length(node.sequence) == node.start
        assert len({node.sequence for node in nodes}) == len(nodes)
        runtime.forward([Run(node.sequence, node.stretch) for node in nodes])
        log.append([node.end - node.start for node in nodes])

    return forward


@same_model
@given(reads, st.sampled_from([1, 7, 64]), st.sampled_from([None, 1, 3]))
def test_every_node_runs_once_within_the_limits(model, picks, tokens, sequences) -> None:
    runtime, limits, log = model._runtime, Limits(tokens, sequences), []
    given_reads = arrays_of(picks)
    with runtime.exclusive():
        leaves = batches.plan(given_reads, limits, None)
        expected = sorted(node.end - node.start for node in trie.nodes(leaves))
        batches.run(runtime, leaves, limits, recorded(runtime, log))
    assert sorted(n for batch in log for n in batch) == expected
    assert all(sum(batch) <= tokens and len(batch) <= (sequences or 99) for batch in log)
    assert runtime.cache.pages_used == 0


@same_model
@given(reads, reads, st.integers(1, 80), st.sampled_from([1, 7, 64]))
def test_an_anchor_is_shared_and_left_alone(model, first, second, cut, tokens) -> None:
    runtime, limits = model._runtime, Limits(tokens)
    given_reads = arrays_of(second)
    with runtime.exclusive():
        held = arrays_of(first)[-1]
        sequence = runtime.new_sequence()
        runtime.forward([Run(sequence, held)])
        anchor = Anchor(sequence, held[:cut])
        leaves = batches.plan(given_reads, limits, anchor)
        for leaf in leaves:
            leaf.kept = True
        log: list[list[int]] = []
        batches.run(runtime, leaves, limits, recorded(runtime, log))
        best = max(trie.common_prefix(held[:cut], read) for read in given_reads)
        computed = sum(sum(batch) for batch in log)
        assert computed <= sum(map(len, given_reads)) - (best if best >= trie.MIN_SHARED else 0)
        assert runtime.cache.length(sequence) == len(held)
        for leaf, read in zip(leaves, given_reads, strict=True):
            assert runtime.cache.length(leaf.sequence) >= len(read)
            if not leaf.computed:
                runtime.release(leaf.sequence)
        runtime.release(sequence)
    assert runtime.cache.pages_used == 0


def test_a_chain_holds_no_more_pages_than_its_tokens(model) -> None:
    """Parts of one sequence follow each other in it, instead of copying half a page each."""
    runtime, limits, most = model._runtime, Limits(1), 0
    read = np.arange(100, dtype=np.int32)

    def forward(nodes) -> None:
        nonlocal most
        runtime.forward([Run(node.sequence, node.stretch) for node in nodes])
        most = max(most, runtime.cache.pages_used)

    with runtime.exclusive():
        batches.run(runtime, batches.plan([read], limits, None), limits, forward)
    assert most == 4


@pytest.mark.parametrize(("tokens", "sequences"), [(0, None), (-1, None), (1, 0)])
def test_impossible_limits(tokens, sequences) -> None:
    with pytest.raises(RequestError, match="batch_"):
        Limits(tokens, sequences)
