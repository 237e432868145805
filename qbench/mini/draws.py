"""Seeded random draws that are the same on every machine and under every version of Python.

``random.Random`` promises this for ``random()`` only; everything here is built on that method.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """A stream of draws, by a seed and a name, so that streams do not depend on one another.

    Parameters
    ----------
    seed
        Any integer.
    stream
        What the draws are for; streams of different names are independent.
    """

    def __init__(self, seed: int, stream: str) -> None:
        digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
        self._random = random.Random(int.from_bytes(digest[:8], "big")).random

    def below(self, n: int) -> int:
        """Draw an integer from 0 to ``n - 1``."""
        return int(self._random() * n)

    def between(self, low: int, high: int) -> int:
        """Draw an integer from ``low`` to ``high``, both included."""
        return low + int(self._random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self._random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Draw one of a sequence."""
        return options[int(self._random() * len(options))]

    def weighted(self, options: Sequence[tuple[float, T]]) -> T:
        """Draw one of (weight, option) pairs; the weights need not sum to one."""
        rest = self._random() * sum(weight for weight, _ in options)
        for weight, option in options:
            rest -= weight
            if rest < 0:
                return option
        return options[-1][1]

    def sample(self, options: Sequence[T], n: int) -> list[T]:
        """Draw ``n`` different places of a sequence, in random order."""
        taken: dict[int, int] = {}
        drawn = []
        for i in range(n):
            j = i + int(self._random() * (len(options) - i))
            drawn.append(options[taken.get(j, j)])
            taken[j] = taken.get(i, i)
        return drawn

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """Return a sequence in random order."""
        return self.sample(options, len(options))
