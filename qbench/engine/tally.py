"""What was asked of the core, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What was asked of the core.

    Attributes
    ----------
    forwards : Counter of (int, int)
        How often a forward had so many tokens and so many scored rows; a decoding step is one.
    keys : int
        Pairs of a query and a key that it may see, over all tokens.
    most_pages : int
        Pages of the cache in use at a time, at most.
    """

    forwards: Counter[tuple[int, int]] = field(default_factory=Counter)
    keys: int = 0
    most_pages: int = 0

    @property
    def n_forwards(self) -> int:
        """Forwards in all."""
        return sum(self.forwards.values())

    @property
    def n_tokens(self) -> int:
        """Tokens that were computed."""
        return sum(tokens * times for (tokens, _), times in self.forwards.items())

    @property
    def n_rows(self) -> int:
        """Rows for which the head was computed."""
        return sum(rows * times for (_, rows), times in self.forwards.items())
