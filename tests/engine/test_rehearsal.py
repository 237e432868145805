"""A rehearsal against the engine that it stands for: the same forwards, tokens, rows and pages."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from engine.builders import awkward_pairs

from qbench.engine.cost import Rates, attention_products, linear_products, seconds_of
from qbench.engine.ends import Ends
from qbench.engine.memory import share_out
from qbench.engine.model import Model
from qbench.engine.rehearsal import rehearse
from qbench.engine.tally import Tally


class Watch:
    """Counts what a runtime's core is asked, and the pages that its cache has in use."""

    def __init__(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        self.forwards: Counter[tuple[int, int]] = Counter()
        self.keys = self.most_pages = 0
        self.runtime = runtime = model._runtime
        forward, generate = runtime.forward, runtime.generate

        def watched(runs: Any, rows: Any = (), targets: Any = ()) -> Any:
            lengths = [runtime.cache.length(run.sequence) for run in runs]
            scored = forward(runs, *((rows, targets) if len(rows) else ()))
            self.forwards[
                sum(len(r.tokens) for r in runs), len(set(np.asarray(rows).tolist()))
            ] += 1
            for length, run in zip(lengths, runs, strict=True):
                self._add(length, len(run.tokens))
            return scored

        def stepped(sequences: Any, *rest: Any, n_steps: int, **settings: Any) -> Any:
            lengths = [runtime.cache.length(sequence) for sequence in sequences]
            found = generate(sequences, *rest, n_steps=n_steps, **settings)
            for step in range(n_steps):
                live = [i for i, row in enumerate(found) if row[step] >= 0]
                if live:
                    self.forwards[len(live), len(live)] += 1
                for i in live:
                    self._add(lengths[i] + step, 1)
            return found

        monkeypatch.setattr(runtime, "forward", watched)
        monkeypatch.setattr(runtime, "generate", stepped)

    def _add(self, length: int, n: int) -> None:
        self.keys += sum(length + i + 1 for i in range(n))
        self.most_pages = max(self.most_pages, self.runtime.cache.pages_used)


def both(
    model: Model, monkeypatch: pytest.MonkeyPatch, **limits: int
) -> tuple[Watch, Model, Tally]:
    """A real model that is watched, and its rehearsal."""
    rehearsed, tally = rehearse(
        model.spec, model.tokenizer, model._runtime.memory, model._runtime.batch_tokens
    )
    for name, value in limits.items():
        setattr(model, name, value)
        setattr(rehearsed, name, value)
    return Watch(model, monkeypatch), rehearsed, tally


def assert_alike(watch: Watch, tally: Tally) -> None:
    assert tally.forwards == watch.forwards
    assert tally.keys == watch.keys
    assert tally.most_pages == watch.most_pages


@pytest.mark.parametrize("group", [1, 2048])
@pytest.mark.parametrize("tokens", [7, 64, 2048])
def test_scoring_is_told_exactly(tokens, group, model, rng, monkeypatch) -> None:
    monkeypatch.setattr("qbench.engine.scoring.GROUP_TOKENS", group)
    watch, rehearsed, tally = both(model, monkeypatch, batch_tokens=tokens, batch_sequences=9)
    pairs = awkward_pairs(rng, model.spec.vocab_size, model.context_length)
    model.loglikelihood_tokens(pairs)
    rehearsed.loglikelihood_tokens(pairs)
    assert tally.n_rows > len(pairs) // 2
    assert_alike(watch, tally)


def test_a_kept_prefix_is_told_exactly(model, rng, monkeypatch) -> None:
    watch, rehearsed, tally = both(model, monkeypatch, keep_prefix=True)
    shots = rng.integers(3, 400, 70).tolist()
    for _ in range(3):
        pairs = [(shots + ids, [5]) for ids in rng.integers(3, 400, (4, 9)).tolist()]
        model.loglikelihood_tokens(pairs)
        rehearsed.loglikelihood_tokens(pairs)
    assert tally.n_tokens == 70 + 3 * 4 * 9
    assert_alike(watch, tally)
    model.keep_prefix = False


def test_generation_is_told_exactly_where_nothing_ends_early(model, rng, monkeypatch) -> None:
    monkeypatch.setattr(model, "_ends", lambda *_: Ends((), (), None, False))
    watch, rehearsed, tally = both(model, monkeypatch, batch_tokens=50, batch_sequences=3)
    shared = rng.integers(3, 400, 40).tolist()
    prompts = [shared[:n] + rng.integers(3, 400, k).tolist() for n in (5, 33, 40) for k in (1, 9)]
    for each in (model, rehearsed):
        each.generate(prompts, max_new_tokens=11)
    assert tally.n_tokens > 60
    assert_alike(watch, tally)


def test_a_shared_prefix_is_computed_once_and_a_choice_takes_one_row(model, rng) -> None:
    """N single-token choices after one few-shot prompt: the prompt, N stems, N rows."""
    rehearsed, tally = rehearse(
        model.spec, model.tokenizer, model._runtime.memory, model._runtime.batch_tokens
    )
    shots = rng.integers(3, 400, 60).tolist()
    stems = [[300 + i, *rng.integers(3, 400, 19).tolist()] for i in range(7)]
    rehearsed.loglikelihood_tokens([(shots + stem, [c]) for stem in stems for c in (5, 6, 7, 8)])
    assert tally.n_tokens == 60 + 7 * 20
    assert tally.n_rows == 7
    assert tally.n_forwards == 2


def test_seconds_follow_from_products_and_bytes(model) -> None:
    spec = model.spec
    tally = Tally(Counter({(100, 10): 2, (1, 1): 5}), keys=1000)
    rates = Rates(products_gmacs=1e-3, attention_gmacs=1e-4, read_gbs=1e-3)
    linear = spec.n_layers * (
        2 * spec.hidden_size * spec.n_heads * spec.head_dim
        + 2 * spec.hidden_size * spec.n_kv_heads * spec.head_dim
        + 3 * spec.hidden_size * spec.widest
    )
    assert linear_products(spec) == linear
    attention = 2 * spec.n_layers * spec.n_heads * spec.head_dim * 1000
    assert attention_products(spec, 1000) == attention
    head = spec.vocab_size * spec.hidden_size
    n_bytes = 50 * (linear + head)  # so many that one token waits for them, a hundred do not
    expected = 2 * (100 * linear + 10 * head) / 1e6 + 5 * n_bytes / 1e6 + attention / 1e5
    assert seconds_of(tally, spec, n_bytes, rates) == pytest.approx(expected)


def test_a_rehearsal_writes_nothing(model, tmp_path) -> None:
    memory = share_out(model.spec, weights=0, page_bytes=1, n_tokens=1, budget=None)
    rehearsed, _ = rehearse(model.spec, model.tokenizer, memory, 512)
    with pytest.raises(Exception, match="no weights"):
        rehearsed.save(tmp_path / "x")
