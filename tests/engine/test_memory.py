"""The budget of memory: what it is shared out to, and what is refused."""

from __future__ import annotations

import pytest
from engine.builders import arrays, from_memory

from qbench.engine.memory import GIB, forward_bytes, share_out
from qbench.errors import RequestError
from qbench.quant.load import load


def test_the_cache_gets_what_is_left(model) -> None:
    spec = model.spec
    forward = forward_bytes(spec, 512)
    budget = 1000 + forward + 40 * 4096 + 17
    found = share_out(spec, weights=1000, page_bytes=4096, n_tokens=512, budget=budget)
    assert (found.weights, found.forward, found.pages) == (1000, forward, 40)
    assert found.total <= budget < found.total + 4096
    assert found.longest == spec.context_length


def test_three_contexts_are_enough_and_the_least(tiny_model) -> None:
    free = load(tiny_model, "rtn-w4g32", threads=1)
    page, context = free._runtime.cache.page_bytes, free.context_length
    pages = 3 * (context // 32 + 1)
    fixed = free.memory["weights"] + free.memory["forward"]
    with pytest.raises(RequestError, match=r"a memory of .* GiB is too little: the weights take"):
        load(tiny_model, "rtn-w4g32", threads=1, memory=(fixed + pages * page - 1) / GIB)
    enough = load(tiny_model, "rtn-w4g32", threads=1, memory=(fixed + pages * page + 1) / GIB)
    assert enough.memory["cache"] == pages * page
    pairs = [([1] * n, [2]) for n in (1, context)]
    expected = free.loglikelihood_tokens(pairs)
    assert enough.loglikelihood_tokens(pairs).tobytes() == expected.tobytes()


def long_context(memory: float | None):
    """A model whose context is longer than its budget allows."""
    weights, config = arrays(max_position_embeddings=4096)
    return from_memory(weights, config, memory=memory)


def test_what_finds_no_room_is_refused_not_cut() -> None:
    free = long_context(None)
    fixed = free.memory["weights"] + free.memory["forward"]
    page = free._runtime.cache.page_bytes
    tight = long_context((fixed + 3 * 11 * page) / GIB)
    assert tight.context_length == 4096
    pair = ([3] * 320, [4])
    assert (
        tight.loglikelihood_tokens([pair]).tobytes() == free.loglikelihood_tokens([pair]).tobytes()
    )
    room = "the memory given leaves room for 320 of the context's 4096"
    with pytest.raises(RequestError, match=room):
        tight.loglikelihood_tokens([([3] * 321, [4])])
    with pytest.raises(RequestError, match=rf"300 tokens and up to 22 new ones do not fit; {room}"):
        tight.generate([[3] * 300], max_new_tokens=22)
    assert len(tight.generate([[3] * 300], max_new_tokens=5)[0]) <= 5
    with pytest.raises(RequestError, match=room):
        tight.logits([3] * 321)


def test_weights_beyond_the_budget_are_refused_before_they_are_read(
    tiny_model, monkeypatch
) -> None:
    import qbench.quant.load as load_module

    def never(*_: object) -> None:
        raise AssertionError("the weights were read")

    monkeypatch.setattr(load_module, "_read", never)
    with pytest.raises(RequestError, match=r"the weights take .* GiB as rtn-w4g32"):
        load(tiny_model, "rtn-w4g32", memory=1e-6)
