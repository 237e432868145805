"""What is timed is what its work counts; rounds, figures, and the bounds of a batch."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from engine.builders import arrays, from_memory

from qbench.core import Peaks
from qbench.engine import memory as memory_module
from qbench.engine import speed as module
from qbench.engine import work
from qbench.engine.speed import Job, Speed
from qbench.engine.work import Work
from qbench.errors import RequestError


@pytest.fixture
def seen(model, monkeypatch) -> list[tuple[int, ...]]:
    """Watch the runtime: tokens and targets of a forward, sequences and new tokens of a call."""
    calls: list[tuple[int, ...]] = []
    forward, generate = model.runtime.forward, model.runtime.generate

    def watched_forward(runs, rows, targets):
        calls.append((*(len(run.tokens) for run in runs), *rows.tolist()))
        return forward(runs, rows, targets)

    def watched_generate(sequences, *args, **settings):
        tokens = generate(sequences, *args, **settings)
        calls.append((len(sequences), int((tokens >= 0).sum())))
        return tokens

    monkeypatch.setattr(model.runtime, "forward", watched_forward)
    monkeypatch.setattr(model.runtime, "generate", watched_generate)
    return calls


def test_prefill_reads_a_prompt_and_asks_after_its_last_token(model, seen, rng) -> None:
    job = Job("prefill", 23)
    job.prepare(model, rng)()
    assert seen == [(23, 22)]
    job.prepare(model, rng)()
    assert len(seen) == 2  # other ids: nothing of the first prompt is still there


def test_decode_passes_the_end_of_text(model, seen, rng) -> None:
    starts = np.random.default_rng(0).integers(0, model.spec.vocab_size, 5)
    texts = model.generate([[int(start)] for start in starts], max_new_tokens=48)
    assert min(map(len, texts)) < 20
    seen.clear()
    Job("decode", 48, 5).prepare(model, np.random.default_rng(0))()
    assert seen == [(5, 80)] * 3


def test_a_batch_is_decoded_together_however_large(model, seen, rng) -> None:
    Job("decode", 3, 70).prepare(model, rng)()
    assert seen == [(70, 210)]


def test_jobs_end_where_the_context_does() -> None:
    assert module.jobs_within(256, 300, 512, [1, 8]) == [
        Job("prefill", 256), Job("decode", 256, 1), Job("decode", 256, 8),
    ]  # fmt: skip
    assert module.jobs_within(256, 3, 5, [2]) == [Job("prefill", 3), Job("decode", 5, 2)]


def test_the_whole_context_can_be_timed(rng) -> None:
    model = from_memory(*arrays())
    for job in module.jobs_within(model.context_length, 99, 99, [1, 2]):
        job.prepare(model, rng)()
    for job in module.jobs_within(model.context_length, 1, 1, [1]):
        job.prepare(model, rng)()


def test_a_batch_must_fit_the_cache(monkeypatch, rng) -> None:
    monkeypatch.setattr(memory_module, "DEFAULT_CACHE_BYTES", 0)
    model = from_memory(*arrays())  # a context of two pages, and a cache of nine
    four = Job("decode", 32, 4)
    module.check_capacity(model, [Job("prefill", 64), four])
    four.prepare(model, rng)()
    with pytest.raises(RequestError, match=r"5 sequences of 32 tokens .* at most 4 do"):
        module.check_capacity(model, [four, Job("decode", 32, 5)])


def test_threads_are_those_that_a_forward_keeps_busy(loaded, tiny_model, monkeypatch) -> None:
    model = loaded(tiny_model, "rtn-w4g32", threads=2)
    monkeypatch.setattr(model.runtime, "useful_threads", lambda n_tokens: n_tokens)
    model.batch_tokens = 64
    jobs = (Job("prefill", 50), Job("prefill", 100), Job("decode", 50, 3))
    assert [job.threads(model) for job in jobs] == [50, 64, 3]


def test_models_take_turns_in_every_round(loaded, tiny_model, monkeypatch) -> None:
    models = [loaded(tiny_model, recipe) for recipe in ("bf16", "rtn-w4g32")]
    jobs = [Job("prefill", 9), Job("decode", 7, 2)]
    log: list[object] = []
    peaks = iter([Peaks(1.0, 5.0, 3.0, 4.0), Peaks(2.0, 4.0, 3.0, 6.0)])

    def measure_peaks(threads, isa):
        log.append((threads, isa))
        return next(peaks)

    def prepare(job, model, rng):
        return lambda: log.append((model.recipe, job.kind))

    monkeypatch.setattr(module, "core", SimpleNamespace(measure_peaks=measure_peaks))
    monkeypatch.setattr(Job, "prepare", prepare)
    monkeypatch.setattr(module, "SLICE_SECONDS", 0.0)
    steps: list[tuple[int, int]] = []
    measured = module.measure(models, jobs, rounds=2, on_step=lambda *step: steps.append(step))
    turns = [(model.recipe, job.kind) for job in jobs for model in models]
    assert log == [*turns, (1, models[0].isa), *turns, (1, models[0].isa), *turns]
    assert steps == [(done, 12) for done in range(13)]
    assert measured.peaks == Peaks(2.0, 5.0, 3.0, 6.0)
    assert 10 << 20 < measured.resident_bytes < 1 << 40
    for model, speeds in zip(models, measured.speeds, strict=True):
        assert [speed.job for speed in speeds] == jobs
        assert speeds[0].work == work.prefill(model, 9)
        assert speeds[1].work == work.decode(model, 7, 2)
        assert all(len(speed.seconds) == 2 for speed in speeds)


def test_short_jobs_are_called_many_times_a_round(model, monkeypatch) -> None:
    clock = itertools.count(0.0, 0.125)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(module, "SLICE_SECONDS", 0.3)
    taken = module._slice(model, Job("decode", 2, 1), np.random.default_rng(0))
    assert taken == [0.125] * 3


def test_figures_by_hand() -> None:
    least = Work(100, {"int": 8 * 10**9, "bf16": 10**9}, 7 * 10**9)
    speed = Speed(Job("decode", 50, 2), least, 1, (2.0, 1.0, 5.0), Peaks(16.0, 2.0, 4.0, 8.0))
    assert (speed.best, speed.median) == (100.0, 50.0)
    assert (speed.gmacs, speed.read_gbs) == (pytest.approx(9.0), pytest.approx(7.0))
    assert (speed.product_share, speed.read_share, speed.bound) == (0.75, 0.875, "memory")
    slower = Speed(speed.job, least, 1, (2.0,), Peaks(16.0, 2.0, 0.0, 8.0))
    assert (slower.product_share, slower.read_share, slower.bound) == (0.5, 0.4375, "products")
