"""What an engine would do, without weights: forwards, tokens and pages of the cache, counted.

A `Rehearsal` stands where a `Runtime` would. Planning, forking, batching and refilling are the
engine's own, so that nothing is decided twice; only the core is missing. Answers are of no worth:
every token is equally likely and no generation ends before its last token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from qbench.core import PAGE_TOKENS
from qbench.engine.described import Provenance
from qbench.engine.memory import Memory, pages_of
from qbench.engine.model import Model
from qbench.engine.prefix import KeptPrefix
from qbench.engine.runtime import NOTHING, Run, Scored
from qbench.engine.tally import Tally
from qbench.engine.trie import Ids
from qbench.errors import RequestError
from qbench.models import DecoderSpec, Tokenizer

if TYPE_CHECKING:
    from qbench.engine.runtime import Runtime


class Rehearsal:
    """A runtime that counts.

    Parameters
    ----------
    spec : DecoderSpec
    memory : Memory
        What the cache has room for.
    batch_tokens : int
        Tokens of a forward.
    """

    def __init__(self, spec: DecoderSpec, memory: Memory, batch_tokens: int) -> None:
        self.spec = spec
        self.memory = memory
        self.batch_tokens = batch_tokens
        self.capacity_pages = memory.pages
        self.context_pages = pages_of(memory.longest)
        self.tally = Tally()
        self.kept: dict[int, int] = {}
        self.rotation = 0
        self.prefix = KeptPrefix(self.release)
        self._pages: dict[int, list[int]] = {}
        self._lengths: dict[int, int] = {}
        self._users: Counter[int] = Counter()
        self._next = 0

    @contextmanager
    def exclusive(self, *, reuse: bool = False) -> Iterator[None]:
        """Nobody else is there."""
        if not reuse:
            self.prefix.drop()
        yield

    @property
    def free_pages(self) -> int:
        """All pages: no stream is open."""
        return self.capacity_pages

    def new_sequence(self) -> int:
        """Return an empty sequence."""
        self._next += 1
        self._pages[self._next], self._lengths[self._next] = [], 0
        return self._next

    def fork(self, parent: int, n_tokens: int) -> int:
        """Return a sequence that shares pages with another."""
        sequence = self.new_sequence()
        shared = self._pages[parent][: pages_of(n_tokens)]
        self._users.update(shared)
        self._pages[sequence], self._lengths[sequence] = list(shared), n_tokens
        return sequence

    def release(self, sequence: int) -> None:
        """Give a sequence's pages back."""
        self._drop(self._pages.pop(sequence))
        del self._lengths[sequence]

    def forward(self, runs: Sequence[Run], rows: Ids = NOTHING, targets: Ids = NOTHING) -> Scored:
        """Count a forward."""
        for run in runs:
            self._append(run.sequence, len(run.tokens))
        n = sum(len(run.tokens) for run in runs)
        self.tally.forwards[n, len(np.unique(rows))] += 1
        zeros = np.zeros(len(targets), np.int32)
        return Scored(np.zeros(len(targets)), zeros, zeros - 1)

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
        **_: object,
    ) -> NDArray[np.int32]:
        """Count decoding steps; no sequence ends before it must."""
        token = next(i for i in range(len(end_ids) + 1) if i not in end_ids)
        found = np.full((len(sequences), n_steps), -1, np.int32)
        for step in range(n_steps):
            live = [i for i, remaining in enumerate(left) if step < remaining]
            for i in live:
                self._append(sequences[i], 1)
                found[i, step] = token
            if live:
                self.tally.forwards[len(live), len(live)] += 1
        return found

    def _append(self, sequence: int, n: int) -> None:
        """Make a sequence longer; its last page is copied if another one shares it."""
        length, pages = self._lengths[sequence], self._pages[sequence]
        if length % PAGE_TOKENS and self._users[pages[-1]] > 1:
            self._drop([pages.pop()])
        while len(pages) < pages_of(length + n):
            self._next += 1
            pages.append(self._next)
            self._users[self._next] = 1
        self._lengths[sequence] = length + n
        self.tally.keys += n * length + n * (n + 1) // 2
        self.tally.most_pages = max(self.tally.most_pages, len(self._users))

    def _drop(self, pages: Sequence[int]) -> None:
        for page in pages:
            self._users[page] -= 1
            if self._users[page] == 0:
                del self._users[page]


def rehearse(
    spec: DecoderSpec, tokenizer: Tokenizer, memory: Memory, batch_tokens: int
) -> tuple[Model, Tally]:
    """Return a model that computes nothing, and the tally of what it was asked.

    Parameters
    ----------
    spec : DecoderSpec
    tokenizer : Tokenizer
    memory : Memory
        As a `Runtime` would share it out.
    batch_tokens : int
        Tokens of a forward.
    """
    rehearsal = Rehearsal(spec, memory, batch_tokens)
    provenance = Provenance("rehearsal", "", "", "", "", 0.0, 0.0)
    # It has all that scoring and generation use of a runtime; what a model says of itself is not.
    return Model(
        spec, tokenizer, cast("Runtime", rehearsal), provenance, _no_saver
    ), rehearsal.tally


def _no_saver(folder: Path, force: bool) -> Path:
    raise RequestError(f"a rehearsal has no weights to write to {folder}")
