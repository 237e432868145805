"""One decoder and its cache, used by one call at a time.

Turns lists of runs into the arrays that the core reads, and holds the lock behind which calls from
several threads queue. It knows tokens and sequences, but no text and no request.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qbench import core
from qbench.engine.cost import linear_products
from qbench.engine.memory import default_batch_tokens, pages_of, share_out
from qbench.engine.prefix import KeptPrefix
from qbench.engine.trie import Ids
from qbench.engine.weights import DecoderWeights, core_spec, core_weights
from qbench.errors import CapacityError, RequestError
from qbench.models import DecoderSpec

MAX_THREADS = 256

ROTATION_SETS = 16
"""Sets of rotary angles that are kept for sequences of different lengths (dynamic scaling)."""

PRODUCTS_PER_THREAD = 4e6
"""Products that a thread must get for its barriers to pay: about eight a layer, microseconds each
on a quiet machine and far more on a busy one, where decoding a 0.26 M model gave 131 tokens/s on
two threads and 5,477 on one. No result depends on it.
"""


class Run(NamedTuple):
    """The next tokens of one sequence of the cache, at least one."""

    sequence: int
    tokens: Ids


class Scored(NamedTuple):
    """What the head says of the targets, in their order.

    ``logprobs`` float64, NaN where the row is not finite; ``best`` int32, the most likely id of the
    row, -1 where it is not finite; ``bad_layer`` int32, the first layer where it was not, else -1:
    the number of layers stands for the final norm and one more for the head.
    """

    logprobs: NDArray[np.float64]
    best: NDArray[np.int32]
    bad_layer: NDArray[np.int32]


NOTHING = np.zeros(0, np.int32)


class Runtime:
    """A decoder over packed weights with a paged cache.

    Parameters
    ----------
    spec : DecoderSpec
    weights : DecoderWeights
    mode : {"exact", "faithful", "fast"}
    kv_format : {"f32", "bf16"}
    threads : int, optional
        Default: CPUs of the affinity mask, bounded by the cgroup quota.
    isa : str, optional
        A tier by name; default the one in use.
    memory : int, optional
        Bytes that weights, activations and cache may take together; see `qbench.engine.memory`.

    Attributes
    ----------
    memory : Memory
        How they were shared out.
    batch_tokens : int
        Tokens of a forward for which there is room.
    prefix : KeptPrefix
        What scoring leaves for the next call.
    rotation : int
        Key of the rotations of sequences that are made now (`DecoderSpec.rotation_key`).
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
        memory: int | None = None,
    ) -> None:
        self.spec = spec
        self.weights = weights
        self.threads = core.default_threads() if threads is None else threads
        if not 1 <= self.threads <= MAX_THREADS:
            raise RequestError(f"threads must be 1 to {MAX_THREADS}, not {threads}")
        self.isa = isa or core.isa_tier()
        tiers = [name for name, is_here in core.isa_tiers() if is_here]
        if self.isa not in tiers:
            raise RequestError(f"no tier {self.isa!r} on this machine; it has {', '.join(tiers)}")
        self.products_per_thread = PRODUCTS_PER_THREAD
        self._products_per_token = linear_products(spec)
        self._lock = threading.RLock()  # a finalizer may close a stream inside a call
        model, layers = core_weights(weights, spec)
        self._decoder = core.RawDecoder(
            core_spec(spec), model, layers, spec.rotations(), mode, self.isa
        )
        self.rotation = 0
        self._rotation_sets = {0: 0}
        sizes = (kv_format, spec.n_layers, spec.n_kv_heads, spec.head_dim)
        page_bytes = core.Cache(*sizes, 1, spec.value_dim).page_bytes
        self.batch_tokens = default_batch_tokens(self.threads)
        self.memory = share_out(
            spec,
            weights=weights.nbytes,
            page_bytes=page_bytes,
            n_tokens=self.batch_tokens,
            budget=memory,
        )
        self.context_pages = pages_of(self.memory.longest)
        self.capacity_pages = self.memory.pages
        self.cache = core.Cache(*sizes, self.capacity_pages, spec.value_dim)
        self.kept: dict[int, int] = {}
        self.prefix = KeptPrefix(self.release)
        self._highest = 0

    @contextmanager
    def exclusive(self, *, reuse: bool = False) -> Iterator[None]:
        """Queue behind other calls; not to be nested.

        What the call before left in ``prefix`` goes, unless it is to be reused.

        Sequences made inside are the caller's to release or to put into ``kept``, which maps a
        sequence that lives on to the pages that it may need. If an exception leaves the block, all
        others are released here: Ctrl-C may come between the making of a sequence and its noting.
        """
        with self._lock:
            if not reuse:
                self.prefix.drop()
            try:
                yield
            except BaseException:
                self._release_strays()
                raise

    def _release_strays(self) -> None:
        """Release all sequences that are not kept; a new one's number is the lowest free."""
        for sequence in range(self._highest + 2):
            if sequence not in self.kept and self._is_live(sequence):
                self.cache.release(sequence)

    def _is_live(self, sequence: int) -> bool:
        try:
            self.cache.length(sequence)
        except ValueError:
            return False
        return True

    @property
    def free_pages(self) -> int:
        """Pages that kept sequences have no claim to.

        Raises
        ------
        CapacityError
            If that is not enough for a context and another one that it shares a prefix with.
        """
        free = self.capacity_pages - sum(self.kept.values())
        if free < 2 * (self.context_pages + 1):
            raise CapacityError(
                f"the cache is full: {len(self.kept)} open streams hold "
                f"{self.capacity_pages - free} of its {self.capacity_pages} pages; close some"
            )
        return free

    def new_sequence(self) -> int:
        """Return an empty sequence, to be turned by the rotations of the key in ``rotation``."""
        sequence = self.cache.new_sequence(self._rotation_set(self.rotation))
        self._highest = max(self._highest, sequence)
        return sequence

    def _rotation_set(self, key: int) -> int:
        """Number that the core has for a key's rotations; at most `ROTATION_SETS` are kept."""
        if key not in self._rotation_sets:
            number = len(self._rotation_sets)
            if number >= ROTATION_SETS:
                for old, used in self._rotation_sets.items():
                    if old and not self.cache.rotation_used(used):
                        number = self._rotation_sets.pop(old)
                        break
            self._decoder.set_rotations(number, self.spec.rotations(key))
            self._rotation_sets[key] = number
        return self._rotation_sets[key]

    def fork(self, parent: int, n_tokens: int) -> int:
        """Return a sequence that begins with the first n_tokens of another."""
        sequence = self.cache.fork(parent, n_tokens)
        self._highest = max(self._highest, sequence)
        return sequence

    def release(self, sequence: int) -> None:
        """Give a sequence's pages back."""
        self.cache.release(sequence)

    def forward(self, runs: Sequence[Run], rows: Ids = NOTHING, targets: Ids = NOTHING) -> Scored:
        """Run a packed batch, append it to the cache, and score targets.

        Parameters
        ----------
        runs : sequence of Run
            Each sequence at most once.
        rows : ndarray of int32, shape (targets,)
            Row after which each target stands, ascending; row 0 is the first token of the first
            run.
        targets : ndarray of int32, shape (targets,)
            Ids whose log-probabilities are wanted.

        Raises
        ------
        ValueError
            An id outside the vocabulary, or a sequence longer than the context.
        CapacityError
            If the cache has no free page.
        """
        is_first = np.diff(rows, prepend=-1) != 0
        first_target = np.append(np.flatnonzero(is_first), len(rows)).astype(np.int32)
        logprobs, best, bad_layer, _ = self._run(runs, rows[is_first], first_target, targets, False)
        in_head = (best < 0) & (bad_layer < 0)
        bad_layer[in_head] = self.spec.n_layers + 1
        row_of = np.cumsum(is_first) - 1
        return Scored(logprobs, best[row_of], bad_layer[row_of])

    def logits(self, sequence: int, tokens: Ids) -> NDArray[np.float32]:
        """Run the next tokens of one sequence; return the logits, (tokens, vocabulary)."""
        rows = np.arange(len(tokens), dtype=np.int32)
        first_target = np.zeros(len(tokens) + 1, np.int32)
        logits = self._run([Run(sequence, tokens)], rows, first_target, NOTHING, True)[3]
        assert logits is not None
        return logits

    def _run(
        self, runs: Sequence[Run], rows: Ids, first_target: Ids, targets: Ids, want_logits: bool
    ) -> tuple[NDArray[np.float64], Ids, Ids, NDArray[np.float32] | None]:
        """Call the core: scored row r has the targets from first_target[r] to the next."""
        logprobs, best, bad_layer, logits, *_ = self._decoder.forward(
            self.cache,
            np.array([run.sequence for run in runs], np.int32),
            np.array([len(run.tokens) for run in runs], np.int32),
            np.concatenate([run.tokens for run in runs]),
            rows,
            first_target,
            targets,
            want_logits,
            self.useful_threads(sum(len(run.tokens) for run in runs)),
        )
        return logprobs, best, bad_layer, logits

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
            self.useful_threads(len(sequences)),
        )

    def useful_threads(self, n_tokens: int) -> int:
        """As many threads as a forward of that many tokens keeps busy; 1 in a forked child."""
        most = n_tokens * self._products_per_token / max(1.0, self.products_per_thread)
        return core.safe_threads(max(1, min(self.threads, int(most))))
