"""One decoder and its cache, used by one call at a time.

Turns lists of runs into the arrays that the core reads, and holds the lock behind which calls from
several threads queue. It knows tokens and sequences, but no text and no request.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qbench import core
from qbench.core import PackedTensor
from qbench.models import DecoderSpec

MAX_CACHE_BYTES = 2 << 30
"""Upper bound of the cache's pages, which are allocated when they are first needed."""

_forked = False


def _after_fork() -> None:
    """A child of a process that used OpenMP hangs in its first parallel region: run it alone."""
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class DecoderWeights(NamedTuple):
    """Packed weights in their places.

    ``layers`` holds, per layer, attn_norm, q, k, v, o, mlp_norm, gate, up, down; norms are float32
    arrays of shape (hidden,). ``head`` may be the embedding itself.
    """

    embedding: PackedTensor
    head: PackedTensor
    final_norm: NDArray[np.float32]
    layers: tuple[tuple[PackedTensor | NDArray[np.float32], ...], ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all weights as they lie in memory."""
        parts: list[PackedTensor | NDArray[np.float32]] = [self.embedding, self.final_norm]
        parts += [part for layer in self.layers for part in layer]
        if self.head is not self.embedding:
            parts.append(self.head)
        return sum(part.nbytes for part in parts)


class Run(NamedTuple):
    """The next tokens of one sequence of the cache."""

    sequence: int
    tokens: Sequence[int]


class Scored(NamedTuple):
    """What the head says of the scored rows.

    ``logprobs`` float64, one per target, NaN where the row is not finite; ``best`` int32 and
    ``bad_layer`` int32, one per row (-1: not finite, and finite, respectively); ``logits`` float32
    (rows, vocabulary) if asked for.
    """

    logprobs: NDArray[np.float64]
    best: NDArray[np.int32]
    bad_layer: NDArray[np.int32]
    logits: NDArray[np.float32] | None


class Runtime:
    """A decoder over packed weights with a paged cache.

    Parameters
    ----------
    spec : DecoderSpec
    weights : DecoderWeights
    mode : {"exact", "faithful"}
    kv_format : {"f32", "bf16"}
    threads : int, optional
        Default: CPUs of the affinity mask, bounded by the cgroup quota.
    isa : str, optional
        A tier by name; default the one in use.
    """

    def __init__(
        self,
        spec: DecoderSpec,
        weights: DecoderWeights,
        *,
        mode: str,
        kv_format: str,
        threads: int | None = None,
        isa: str | None = None,
    ) -> None:
        self.spec = spec
        self.weights = weights
        self.threads = threads or core.default_threads()
        self.isa = isa or core.isa_tier()
        self._lock = threading.RLock()
        self._decoder = core.RawDecoder(
            spec.intermediate_size,
            spec.n_heads,
            spec.n_kv_heads,
            spec.head_dim,
            spec.context_length,
            spec.norm_eps,
            np.ascontiguousarray(spec.rope.inv_freq(spec.head_dim), np.float32),
            weights.embedding.raw,
            weights.head.raw,
            weights.final_norm,
            tuple(
                tuple(p.raw if isinstance(p, PackedTensor) else p for p in layer)
                for layer in weights.layers
            ),
            mode,
            self.isa,
        )
        page_bytes = core.Cache(kv_format, spec.n_layers, spec.n_kv_heads, spec.head_dim, 1).page_bytes
        per_sequence = -(-spec.context_length // core.PAGE_TOKENS)
        # Two whole contexts always fit, so that a fork of the longest sequence can be extended.
        self.capacity_pages = max(2 * per_sequence + 2, MAX_CACHE_BYTES // page_bytes)
        self.cache = core.Cache(
            kv_format, spec.n_layers, spec.n_kv_heads, spec.head_dim, self.capacity_pages
        )

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Queue behind other calls; sequences made inside are the caller's to release."""
        while not self._lock.acquire(timeout=0.05):  # short waits, so that a signal is answered
            pass
        try:
            yield
        finally:
            self._lock.release()

    def forward(
        self,
        runs: Sequence[Run],
        rows: Sequence[int] = (),
        targets: Sequence[Sequence[int]] = (),
        *,
        logits: bool = False,
    ) -> Scored:
        """Run a packed batch, append it to the cache, and score rows.

        Parameters
        ----------
        runs : sequence of Run
            Each sequence at most once.
        rows : sequence of int
            Rows to score; row 0 is the first token of the first run.
        targets : sequence of sequences of int
            For each scored row the ids whose log-probabilities are wanted.
        logits : bool
            Whether to return the logits of the scored rows.

        Raises
        ------
        ValueError
            An id outside the vocabulary, or a sequence longer than the context.
        CapacityError
            If the cache has no free page.
        """
        counts = np.cumsum([0, *map(len, targets or [()] * len(rows))])
        return Scored(
            *self._decoder.forward(
                self.cache,
                np.array([run.sequence for run in runs], np.int32),
                np.array([len(run.tokens) for run in runs], np.int32),
                np.concatenate([np.asarray(run.tokens, np.int32) for run in runs]),
                np.array(rows, np.int32),
                counts.astype(np.int32),
                np.array([t for row in targets for t in row], np.int32),
                logits,
                self.usable_threads,
            )
        )

    def generate(
        self,
        sequences: Sequence[int],
        last_tokens: Sequence[int],
        keys: Sequence[int],
        steps: Sequence[int],
        left: Sequence[int],
        *,
        end_ids: Sequence[int],
        n_steps: int,
        temperature: float,
        top_k: int,
        top_p: float,
    ) -> NDArray[np.int32]:
        """Decode up to n_steps tokens of each sequence.

        Returns
        -------
        ndarray of int32, shape (sequences, n_steps)
            New ids, then -1; -2 where the logits were not finite.
        """
        return self._decoder.generate(
            self.cache,
            np.array(sequences, np.int32),
            np.array(last_tokens, np.int32),
            np.array(keys, np.uint64),
            np.array(steps, np.uint32),
            np.array(left, np.uint32),
            np.array(end_ids, np.int32),
            n_steps,
            temperature,
            top_k,
            top_p,
            self.usable_threads,
        )

    @property
    def usable_threads(self) -> int:
        """The thread count, or 1 in a forked child."""
        return 1 if _forked else self.threads
