"""Perplexities by windows against sums over plain logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from engine.builders import arrays, from_memory, log_softmax

from qbench.engine import Perplexity
from qbench.engine.perplexity import exp
from qbench.errors import RequestError


def by_hand(model, ids, window, stride) -> tuple[float, int]:
    """Score every token in the first window that has something before it."""
    nll, n_tokens, scored = 0.0, 0, 0
    for begin in range(0, len(ids), stride):
        part = ids[begin : begin + window]
        logprobs = log_softmax(model.logits(part))
        for at in range(1, len(part)):
            if begin + at >= scored:
                nll -= logprobs[at - 1, part[at]]
                n_tokens += 1
        scored = begin + len(part)
        if scored == len(ids):
            break
    return nll, n_tokens


CUTS = [(256, 256, 40), (64, 64, 200), (64, 64, 193), (64, 32, 200), (50, 49, 101), (10, 3, 30)]


@pytest.mark.parametrize(("window", "stride", "n"), [*CUTS, (2, 1, 9), (2, 2, 9), (256, 256, 2)])
def test_windows_and_strides(window, stride, n, model, rng) -> None:
    ids = rng.integers(2, 400, n).tolist()
    result = model.perplexity(ids, window=window, stride=stride)
    nll, n_tokens = by_hand(model, ids, window, stride)
    assert result.nll == pytest.approx(nll, rel=1e-6)
    assert result.n_tokens == n_tokens
    assert result.ppl == pytest.approx(math.exp(nll / n_tokens), rel=1e-6)
    assert (result.window, result.stride) == (window, stride)
    assert (result.n_words, result.n_bytes) == (None, None)
    assert (result.word_ppl, result.bits_per_byte) == (None, None)
    assert n_tokens == n - (1 if stride < window else -(-n // window))


def test_window_defaults_to_the_context_and_stride_to_the_window(model, rng) -> None:
    ids = rng.integers(2, 400, 600).tolist()
    assert model.perplexity(ids) == model.perplexity(ids, 256, 256)
    assert model.perplexity(ids, window=100) == model.perplexity(ids, 100, 100)
    assert model.perplexity(np.array(ids)) == model.perplexity(ids)


def test_a_text_has_words_and_bytes(model) -> None:
    text = "Tom has a café.\n  Anna sees it."
    result = model.perplexity(text)
    ids = model.tokenizer.encode(text)
    assert ids[0] == model.tokenizer.bos_id
    assert result.nll == model.perplexity(ids).nll
    assert (result.n_words, result.n_bytes) == (7, len(text) + 1)
    assert result.word_ppl == pytest.approx(math.exp(result.nll / 7))
    assert result.bits_per_byte == pytest.approx(result.nll / math.log(2) / (len(text) + 1))


@pytest.mark.parametrize("recipe", ["bf16", "rtn-w4g32"])
def test_the_trained_model_knows_its_world(recipe, loaded, tiny_model) -> None:
    model = loaded(tiny_model, recipe)
    text = (tiny_model / "heldout.txt").read_text()
    assert model.perplexity(text).ppl < 6
    assert model.perplexity(text, stride=64).ppl < model.perplexity(text).ppl


@pytest.mark.parametrize("given", ["", [], [5]])
def test_too_little_to_score(given, model) -> None:
    with pytest.raises(RequestError, match="at least two tokens"):
        model.perplexity(given)


@pytest.mark.parametrize(
    ("window", "stride", "said"),
    [
        (257, None, "window of 257 tokens exceeds the context of 256"),
        (1, None, "window of 1"),
        (8, 9, "stride 9"),
        (8, 0, "stride 0"),
    ],
)
def test_impossible_windows(window, stride, said, model) -> None:
    with pytest.raises(RequestError, match=said):
        model.perplexity([1, 2, 3], window, stride)


def test_it_is_nan_where_a_position_is_not_finite() -> None:
    weights, config = arrays()
    weights["model.layers.0.mlp.down_proj.weight"] *= 1e38
    model = from_memory(weights, config)
    result = model.perplexity([1, 2, 3, 4])
    assert math.isnan(result.nll)
    assert math.isnan(result.ppl)
    assert result.n_tokens == 3


def test_what_exceeds_all_floats_is_infinite() -> None:
    assert exp(1.0) == math.e
    assert exp(710.0) == math.inf
    assert math.isnan(exp(math.nan))
    one_word = Perplexity(2.0, 5000.0, 999, 1, 99, n_windows=1, window=9, stride=9)
    assert one_word.word_ppl == math.inf
