"""Attention and the cache through whole decoders: against float64, and bit by bit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from core.builders import (
    TIERS,
    Built,
    Shape,
    assemble,
    build,
    forward,
    logits_of,
    random_weights,
    relative,
)
from tolerance import BF16_CACHE, DECODER, FAST_ATTENTION
from tolerance import TIERS as TIER_BOUNDS

from qbench import core
from qbench.reference import decoder as reference
from qbench.reference.attention import causal_attention
from qbench.reference.formats import round_bf16

HEADS = [(1, 1), (2, 1), (4, 2), (4, 1), (8, 1), (3, 3), (6, 2)]
HEAD_DIMS = [2, 8, 16, 20, 64, 128, 512]
LENGTHS = [1, 2, 31, 32, 33, 255, 256, 257, 300, 513]
WIDE = Shape(n_layers=1, hidden=16, intermediate=16, vocab=37)


def tokens(rng: np.random.Generator, built: Built, n: int) -> list[int]:
    return [int(t) for t in rng.integers(0, built.shape.vocab, n)]


def cases() -> list[Shape]:
    sizes = [(heads, 16) for heads in HEADS] + [((2, 1), dim) for dim in HEAD_DIMS]
    return [
        dataclasses.replace(WIDE, n_heads=n_heads, n_kv_heads=n_kv_heads, head_dim=dim)
        for (n_heads, n_kv_heads), dim in sizes
    ]


def test_against_float64(isa: str, rng: np.random.Generator) -> None:
    for shape in cases():
        built = build(rng, shape, isa=isa)
        ids = tokens(rng, built, 70)
        expected = built.expected(ids)
        assert relative(logits_of(built, ids), expected) <= DECODER["exact"]


def rounded_attention(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, **rule: Any
) -> np.ndarray:
    stored = (round_bf16(array.astype(np.float32)) for array in (key, value))
    return causal_attention(query, *stored, **rule)


@pytest.mark.parametrize("mode", core.MODES)
def test_a_bf16_cache_against_float64(
    mode: str, isa: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "causal_attention", rounded_attention)
    bounds = FAST_ATTENTION if mode == "fast" else BF16_CACHE
    for shape in cases():
        built = build(rng, shape, isa=isa, mode=mode)
        ids = tokens(rng, built, 300)
        expected = built.expected(ids)
        found = logits_of(built, ids, kv="bf16")
        assert relative(found, expected) <= bounds["largest"]
        middle = np.median(np.abs(found - expected)) / np.sqrt(np.mean(expected**2))
        assert middle <= bounds["median"]


def attention_in_bf16(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, **_: object
) -> np.ndarray:
    """What fast computes over a bf16 cache: the weights are rounded, their sum is not."""
    scale = np.float32(np.log2(np.e) / np.sqrt(query.shape[2]))
    query, key, value = (
        round_bf16(array).astype(np.float64).repeat(query.shape[1] // array.shape[1], axis=1)
        for array in (np.float32(query) * scale, np.float32(key), np.float32(value))
    )
    scores = np.einsum("qhd,khd->hqk", query, key)
    scores[:, ~np.tri(len(query), dtype=bool)] = -np.inf
    weights = np.exp2(scores - scores.max(axis=2, keepdims=True))
    values = np.einsum("hqk,khd->qhd", round_bf16(weights.astype(np.float32)), value)
    result: np.ndarray = values / weights.sum(axis=2).T[:, :, None]
    return result


@pytest.mark.skipif("avx512bf16" not in TIERS, reason="this machine lacks the tier avx512bf16")
def test_fast_rounds_what_it_says(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "causal_attention", attention_in_bf16)
    for shape in cases():
        built = build(rng, shape, isa="avx512bf16", mode="fast")
        ids = tokens(rng, built, 250)  # one chunk of keys: the maximum is that of all
        expected = built.expected(ids)
        found = logits_of(built, ids, kv="bf16")
        off = np.abs(found - expected) / np.sqrt(np.mean(expected**2))
        assert np.median(off) <= FAST_ATTENTION["against its twin"]


@pytest.mark.parametrize("mode", core.MODES)
def test_every_length(mode: str, isa: str, rng: np.random.Generator) -> None:
    built = build(rng, isa=isa, mode=mode)
    ids = tokens(rng, built, LENGTHS[-1])
    expected = built.expected(ids)
    for n in LENGTHS:
        found = logits_of(built, ids[:n])
        assert relative(found, expected[:n]) <= DECODER[mode]


def test_a_bf16_cache_rounds_keys_and_values_and_nothing_else(rng: np.random.Generator) -> None:
    # Values are made of the embedding by a projection that is a permutation, and the queries are
    # zero: attention is the mean of the values seen, which is computed here by hand.
    shape = dataclasses.replace(
        WIDE, n_heads=1, n_kv_heads=1, head_dim=16, hidden=16, norm_eps=0.0, vocab=16
    )
    weights = random_weights(rng, shape)
    own = "model.layers.0."
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        array = np.eye(16) if name in ("v_proj", "o_proj") else np.zeros((16, 16))
        weights[f"{own}self_attn.{name}.weight"] = array.astype(np.float32)
    weights[f"{own}mlp.down_proj.weight"][:] = 0
    for norm in (f"{own}input_layernorm.weight", "model.norm.weight"):
        weights[norm][:] = 1
    weights["lm_head.weight"] = np.eye(16, dtype=np.float32)
    built = assemble(weights, shape)
    ids = tokens(rng, built, 300)
    rows = weights["model.embed_tokens.weight"][ids].astype(np.float64)
    normed = (rows / np.sqrt((rows**2).mean(axis=1, keepdims=True))).astype(np.float32)
    for kv, values in (("f32", normed), ("bf16", round_bf16(normed))):
        seen = np.cumsum(values.astype(np.float64), axis=0) / np.arange(1, 301)[:, None]
        hidden = rows + seen
        expected = hidden / np.sqrt((hidden**2).mean(axis=1, keepdims=True))
        assert relative(logits_of(built, ids, kv=kv), expected) <= DECODER["exact"]


@pytest.mark.parametrize("kv", ["f32", "bf16"])
def test_tiers_agree(kv: str, rng: np.random.Generator) -> None:
    if len(TIERS) < 2:
        pytest.skip("this machine has one tier")
    shape = Shape()
    weights = random_weights(rng, shape)
    ids = tokens(rng, assemble(weights, shape), 300)
    first, *others = (logits_of(assemble(weights, shape, isa=t), ids, kv=kv) for t in TIERS)
    for other in others:
        assert relative(other, first) <= TIER_BOUNDS[kv]


@pytest.mark.parametrize("kv", ["f32", "bf16"])
@pytest.mark.parametrize("mode", core.MODES)
def test_chunks_of_a_prompt_change_nothing(
    kv: str, mode: str, isa: str, rng: np.random.Generator
) -> None:
    built = build(rng, isa=isa, mode=mode)
    ids = tokens(rng, built, 300)
    whole = logits_of(built, ids, kv=kv)
    for chunk in (1, 5, 32, 64, 257):
        np.testing.assert_array_equal(logits_of(built, ids, kv=kv, chunk=chunk), whole)
    for threads in (2, 3, 5):
        np.testing.assert_array_equal(logits_of(built, ids, kv=kv, threads=threads), whole)


@pytest.mark.parametrize("kv", ["f32", "bf16"])
@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_a_fork_continues_as_if_it_were_alone(
    kv: str, mode: str, isa: str, rng: np.random.Generator
) -> None:
    built = build(rng, isa=isa, mode=mode)
    stem, ends = tokens(rng, built, 300), [tokens(rng, built, 40) for _ in range(2)]
    cache = built.cache(kv)
    parent = cache.new_sequence()
    forward(built, cache, [(parent, stem)])
    for at in (1, 20, 31, 32, 33, 64, 255, 256, 257, 288, 290, 300):
        one, two = cache.fork(parent, at), cache.fork(parent, at)
        runs = [(one, ends[0][:35]), (two, ends[1][:35])]
        both = forward(built, cache, runs).logits
        more = forward(built, cache, [(two, ends[1][35:]), (one, ends[0][35:])]).logits
        for end, found in (
            (ends[0], np.concatenate([both[:35], more[5:]])),
            (ends[1], np.concatenate([both[35:], more[:5]])),
        ):
            alone = logits_of(built, stem[:at] + end, kv=kv)[at:]
            np.testing.assert_array_equal(found, alone)
        cache.release(one)
        cache.release(two)
    # The parent has not been written to by its children.
    after = forward(built, cache, [(parent, ends[0])]).logits
    np.testing.assert_array_equal(after, logits_of(built, stem + ends[0], kv=kv)[300:])


def test_the_company_in_a_batch_changes_nothing(isa: str, rng: np.random.Generator) -> None:
    for mode in core.MODES:
        built = build(rng, isa=isa, mode=mode)
        prompts = [tokens(rng, built, n) for n in (1, 40, 3, 17, 290, 32, 1, 64)]
        alone = [logits_of(built, ids) for ids in prompts]
        order = [int(i) for i in rng.permutation(len(prompts))]
        cache = built.cache()
        runs = [(cache.new_sequence(), prompts[i]) for i in order]
        for threads in (1, 2, 3):
            found = forward(built, cache, runs, threads=threads).logits
            np.testing.assert_array_equal(found, np.concatenate([alone[i] for i in order]))
            for sequence, _ in runs:
                cache.truncate(sequence, 0)


@pytest.mark.parametrize("kv", ["f32", "bf16"])
def test_a_broken_sequence_leaves_the_others_alone(
    kv: str, isa: str, rng: np.random.Generator
) -> None:
    shape = Shape()
    for mode in core.MODES:
        weights = random_weights(rng, shape)
        weights["model.embed_tokens.weight"][60] = np.nan
        built = assemble(weights, shape, isa=isa, mode=mode)
        good, bad = [int(t) for t in rng.integers(0, 60, 40)], [3, 4, 60, 5, 6]
        clean = logits_of(built, good, kv=kv)
        cache = built.cache(kv)
        first, broken, last = (cache.new_sequence() for _ in range(3))
        found = forward(built, cache, [(first, good), (broken, bad), (last, good)])
        np.testing.assert_array_equal(found.logits[:40], clean)
        np.testing.assert_array_equal(found.logits[45:], clean)
        assert (found.best[42:45] == -1).all() and (found.bad_layer[42:45] == 0).all()
        np.testing.assert_array_equal(found.logits[40:42], logits_of(built, bad[:2], kv=kv))
        # The second of a pair of tokens is broken: the first sees half of it.
        pair = [3, 60]
        np.testing.assert_array_equal(
            logits_of(built, pair, kv=kv)[0], logits_of(built, pair[:1], kv=kv)[0]
        )
        # Pages that held NaN are used again.
        cache.release(broken)
        again = cache.new_sequence()
        np.testing.assert_array_equal(forward(built, cache, [(again, good)]).logits, clean)


def test_positions_count_from_the_start_of_the_sequence(rng: np.random.Generator) -> None:
    built = build(rng)
    ids = tokens(rng, built, 40)
    cache = built.cache()
    sequence = cache.new_sequence()
    forward(built, cache, [(sequence, ids)])
    cache.truncate(sequence, 17)
    found = forward(built, cache, [(sequence, ids[17:])]).logits
    np.testing.assert_array_equal(found, logits_of(built, ids)[17:])
