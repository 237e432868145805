"""Bits of log-likelihoods in every mode and cache, and how often a prefix is computed.

`test_scoring.py` cuts one model's requests in every way; here every mode and KV format is cut in a
few, with threads enough for both ways of sharing a product out, by outputs and by tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from engine.builders import Pair, arrays, from_memory

from qbench import core
from qbench.engine import Model, scoring
from qbench.engine.runtime import NOTHING, Run, Scored
from qbench.engine.trie import Ids

KV = {"f32": "kv32", "bf16": "kv16"}
CONTEXT = 320
FORKS = (20, 31, 32, 33, 64, 65, 90, 255, 256, 257)
"""Where requests leave their stem: inside a page, at its end and beside it; chunks end at 256."""


def requests(rng: np.random.Generator, vocab: int) -> list[Pair]:
    """Requests that fork off one stem, are equal, begin each other, and share nothing."""

    def ids(n: int) -> list[int]:
        return [int(i) for i in rng.integers(0, vocab, n)]

    stem = ids(270)
    pairs = [(stem[:at] + ids(3), ids(1)) for at in FORKS]
    pairs += [(stem[:at], ids(n)) for at, n in ((32, 40), (33, 2), (64, 250), (64, 1), (64, 1))]
    pairs += [(stem[:40], stem[40:]), (stem[:95], stem[95:99]), (stem, ids(1)), (stem, ids(50))]
    # Together more tokens in one forward than four threads share by outputs.
    pairs += [(ids(1), ids(CONTEXT)), (ids(CONTEXT), ids(1)), (ids(100), ids(50))]
    return [*pairs, pairs[0], pairs[10], pairs[14]]


def reordered(model: Model, pairs: Sequence[Pair], rng: np.random.Generator) -> np.ndarray:
    """Score requests in a random order; results are in the order given."""
    order = rng.permutation(len(pairs))
    found = model.loglikelihood_tokens([pairs[i] for i in order])
    return found[np.argsort(order)]


# Threads, batch_tokens, batch_sequences, tokens that are planned together at least.
CUTS = (
    (1, 2048, 3, 2048),
    (1, 7, None, 1),
    (2, 33, None, 1),
    (2, 2048, 1, 2048),
    (3, 64, 5, 1),
    (4, 2048, None, 2048),
)


@pytest.mark.parametrize("recipe", ["bf16", "rtn-w4g32"])
@pytest.mark.parametrize("kv_format", core.KV_FORMATS)
@pytest.mark.parametrize("mode", core.MODES)
def test_bits_do_not_depend_on_how_requests_are_cut(
    mode: str,
    kv_format: str,
    recipe: str,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights, config = arrays(max_position_embeddings=CONTEXT)
    model = from_memory(weights, config, recipe=f"{recipe}+{KV[kv_format]}", mode=mode)
    assert (model.mode, model.kv_format) == (mode, kv_format)
    runtime = model._runtime
    runtime.products_per_thread = 0.0
    pairs = requests(rng, 37)
    expected = model.loglikelihood_tokens(pairs)
    assert np.isfinite(expected["logprob"]).all()
    alone = np.concatenate([model.loglikelihood_tokens([pair]) for pair in pairs])
    assert alone.tobytes() == expected.tobytes()
    for cut in CUTS:
        runtime.threads, model.batch_tokens, model.batch_sequences, group = cut
        monkeypatch.setattr(scoring, "GROUP_TOKENS", group)
        found = reordered(model, pairs, rng)
        assert found.tobytes() == expected.tobytes(), cut
    assert runtime.cache.pages_used == 0


class Forward(NamedTuple):
    """Tokens of each run of a forward, the rows that were scored, and the number of targets."""

    runs: list[int]
    rows: set[int]
    n_targets: int


@pytest.fixture
def forwards(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[Forward]:
    """Return the list of all forwards of the test model from now on."""
    log: list[Forward] = []
    forward = model._runtime.forward

    def noted(runs: Sequence[Run], rows: Ids = NOTHING, targets: Ids = NOTHING) -> Scored:
        log.append(Forward([len(run.tokens) for run in runs], set(rows.tolist()), len(targets)))
        return forward(runs, rows, targets)

    monkeypatch.setattr(model._runtime, "forward", noted)
    return log


SHOTS = [int(i) for i in np.random.default_rng(0).integers(0, 400, 150)]
# As many tokens as an item has of its own; no two begin alike.
STEMS = [[number, *range(n - 1)] for number, n in enumerate((9, 17, 30, 1, 25, 12, 33, 16, 2))]
CHOICES = (40, 41, 42, 43)
ITEMS = [(SHOTS + stem, [choice]) for stem in STEMS for choice in CHOICES]


def test_an_item_of_single_token_choices_is_one_forward(
    model: Model, forwards: list[Forward]
) -> None:
    for stem in STEMS:
        forwards.clear()
        model.loglikelihood_tokens([(SHOTS + stem, [choice]) for choice in CHOICES])
        n = len(SHOTS) + len(stem)
        assert forwards == [Forward([n], {n - 1}, len(CHOICES))]


def test_shots_are_computed_once_and_each_stem_once(model: Model, forwards: list[Forward]) -> None:
    model.loglikelihood_tokens(ITEMS)
    shots, stems = forwards
    assert shots == Forward([len(SHOTS)], set(), 0)
    assert sorted(stems.runs) == sorted(map(len, STEMS))
    assert stems.rows == {end - 1 for end in np.cumsum(stems.runs).tolist()}
    assert stems.n_targets == len(ITEMS)


@pytest.mark.parametrize("group", [1, 2048])
@pytest.mark.parametrize(("tokens", "sequences"), [(40, None), (64, 1), (2048, 2)])
def test_nor_are_they_computed_again_within_small_limits(
    tokens: int,
    sequences: int | None,
    group: int,
    model: Model,
    forwards: list[Forward],
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scoring, "GROUP_TOKENS", group)
    model.batch_tokens, model.batch_sequences = tokens, sequences
    reordered(model, ITEMS, rng)
    assert sum(sum(f.runs) for f in forwards) == len(SHOTS) + sum(map(len, STEMS))
    assert sum(len(f.rows) for f in forwards) == len(STEMS)
    assert sum(f.n_targets for f in forwards) == len(ITEMS)
    assert all(sum(f.runs) <= tokens for f in forwards)
    assert all(len(f.runs) <= (sequences or len(ITEMS)) for f in forwards)
