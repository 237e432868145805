"""How fast models read and write, timed in turns and held against the machine's peaks of that time.

A job is prefill (one prompt, the head after its last token only) or greedy decode (each sequence
from one token on, so that no prefill is in it). Both run on random ids: no speed depends on which.
Decode does not stop at an end-of-text id: after random ids many sequences end early, each recipe's
elsewhere, and what is said of eight sequences would be timed on fewer.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qbench import core
from qbench.core import Peaks
from qbench.engine import work
from qbench.engine.batches import Limits
from qbench.engine.ends import Ends
from qbench.engine.generation import Generation, Generator, Sampling
from qbench.engine.model import Model
from qbench.engine.requests import generation_request
from qbench.engine.work import Work
from qbench.errors import RequestError

SLICE_SECONDS = 0.3
"""A round repeats a job for so long, at least once: a short one needs many calls for its best."""

GREEDY = Sampling()
ENDLESS = Ends(ids=(), stops=(), decode=None)

OnStep = Callable[[int, int], object]


@dataclass(frozen=True)
class Job:
    """Something to time: ``n_tokens`` of each of ``batch`` sequences, read or written."""

    kind: str
    n_tokens: int
    batch: int = 1

    def work(self, model: Model) -> Work:
        """Return what it takes at least."""
        if self.kind == "prefill":
            return work.prefill(model, self.n_tokens)
        return work.decode(model, self.n_tokens, self.batch)

    def prepare(self, model: Model, rng: np.random.Generator) -> Callable[[], object]:
        """Draw new ids, and return the function that does the job once."""
        if self.kind == "prefill":
            ids = rng.integers(0, model.spec.vocab_size, self.n_tokens + 1).tolist()
            return lambda: model.loglikelihood_tokens([(ids[:-1], ids[-1:])])
        starts = rng.integers(0, model.spec.vocab_size, self.batch).tolist()
        asked = [self.request(model, start) for start in starts]
        limits = Limits(model.batch_tokens, self.batch)
        return Generator(model.runtime, asked, GREEDY, ENDLESS, limits).run

    def threads(self, model: Model) -> int:
        """Return how many threads a forward of it keeps busy; never more than the model's own."""
        is_prefill = self.kind == "prefill"
        together = min(self.n_tokens, model.batch_tokens) if is_prefill else self.batch
        return model.runtime.useful_threads(together)

    def request(self, model: Model, start: int) -> Generation:
        """Return one sequence of a decode."""
        return generation_request("bench", [start], self.n_tokens, GREEDY, model.room)


@dataclass(frozen=True)
class Speed:
    """A job's times on one model, and what they mean beside the peaks.

    ``seconds`` has one entry per call. Figures are those of the fastest call, since a disturbance
    only ever adds; ``peaks`` are the best of the same time, of all threads although the job may
    have been too small for more than ``threads``.
    """

    job: Job
    work: Work
    threads: int
    seconds: tuple[float, ...]
    peaks: Peaks

    @property
    def best(self) -> float:
        """Tokens per second of the fastest call, over all sequences."""
        return self.work.n_tokens / min(self.seconds)

    @property
    def median(self) -> float:
        """Tokens per second of the median call."""
        return self.work.n_tokens / statistics.median(self.seconds)

    @property
    def gmacs(self) -> float:
        """1e9 multiply-accumulates a second."""
        return self.work.total_macs / min(self.seconds) * 1e-9

    @property
    def read_gbs(self) -> float:
        """1e9 bytes of weights a second."""
        return self.work.read_bytes / min(self.seconds) * 1e-9

    @property
    def product_share(self) -> float:
        """Share of the time in which the machine's peaks allow the products."""
        return self.work.product_seconds(self.peaks) / min(self.seconds)

    @property
    def read_share(self) -> float:
        """Share of the time in which the memory gives the weights; above 1 out of the caches."""
        return self.work.read_seconds(self.peaks) / min(self.seconds)

    @property
    def bound(self) -> str:
        """``"products"`` or ``"memory"``: which of the two allows fewer tokens a second."""
        return "products" if self.product_share >= self.read_share else "memory"


class Measured(NamedTuple):
    """What `measure` found.

    ``speeds``: per model, per job. ``peaks``: the best of all rounds. ``resident_bytes``: the most
    that the process held while every job ran once, before the peaks took memory of their own.
    """

    speeds: tuple[tuple[Speed, ...], ...]
    peaks: Peaks
    resident_bytes: int


def jobs_within(context_length: int, prompt: int, new: int, batches: Sequence[int]) -> list[Job]:
    """Return prefill and the decodes, none longer than the context."""
    new = min(new, context_length)
    decodes = [Job("decode", new, batch) for batch in batches]
    return [Job("prefill", min(prompt, context_length)), *decodes]


def check_capacity(model: Model, jobs: Sequence[Job]) -> None:
    """Refuse a batch whose sequences cannot all be in the cache at the same time.

    Raises
    ------
    RequestError
        Naming the largest batch that can.
    """
    free = model.runtime.free_pages
    for job in jobs:
        if job.kind == "decode" and job.batch > (most := free // job.request(model, 0).pages):
            raise RequestError(
                f"{job.batch} sequences of {job.n_tokens} tokens do not fit the cache of "
                f"{model.recipe} together; at most {most} do: take a smaller batch or fewer tokens"
            )


def measure(
    models: Sequence[Model], jobs: Sequence[Job], *, rounds: int, on_step: OnStep | None = None
) -> Measured:
    """Time every job on every model, in rounds.

    A round measures the machine's peaks and then each job, on one model after the other, so that a
    change of the clock or of the load meets all of them. Before the rounds every job runs once: it
    brings weights and cache into memory, and fails where a model's values are not finite.

    Parameters
    ----------
    models : sequence of Model
        At least one; all with the same number of threads and tier.
    jobs : sequence of Job
    rounds : int
        At least 1.
    on_step : callable, optional
        Called between the timed calls with steps done and steps in all.

    Raises
    ------
    NonFiniteError
        If a model's logits are NaN or infinite.
    """
    rng = np.random.default_rng(0)
    tell = on_step or (lambda done, total: None)
    pairs = [(model, job) for job in jobs for model in models]
    total = len(pairs) * (rounds + 1)
    for done, (model, job) in enumerate(pairs):
        tell(done, total)
        job.prepare(model, rng)()
    resident = _resident_bytes()
    seconds: list[list[float]] = [[] for _ in pairs]
    seen: list[Peaks] = []
    for number in range(1, rounds + 1):
        seen.append(core.measure_peaks(models[0].threads, models[0].isa))
        for index, (model, job) in enumerate(pairs):
            tell(number * len(pairs) + index, total)
            seconds[index] += _slice(model, job, rng)
    tell(total, total)
    peaks = Peaks(*map(max, zip(*seen, strict=True)))
    speeds = [
        Speed(job, job.work(model), job.threads(model), tuple(taken), peaks)
        for (model, job), taken in zip(pairs, seconds, strict=True)
    ]
    n = len(models)
    return Measured(tuple(tuple(speeds[m::n]) for m in range(n)), peaks, resident)


def _slice(model: Model, job: Job, rng: np.random.Generator) -> list[float]:
    """Seconds of each call of a job, as many as begin within the slice of a round."""
    taken: list[float] = []
    while sum(taken) < SLICE_SECONDS or not taken:
        call = job.prepare(model, rng)
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return taken


def _resident_bytes() -> int:
    """Most memory that this process has held so far."""
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
