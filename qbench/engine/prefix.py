"""What scoring leaves in the cache, so that the next call need not compute it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qbench.engine.trie import Ids


@dataclass(frozen=True)
class Anchor:
    """A sequence of the cache and the tokens at its beginning that others may share.

    ``rotation``: the key of its rotations; sequences of another key cannot share it.
    """

    sequence: int
    ids: Ids
    rotation: int = 0


class KeptPrefix:
    """The last read of a call, if it is to stay for the next one.

    Off unless somebody asks for it: who times the same request twice means to compute it twice.

    Parameters
    ----------
    release : callable
        Gives the pages of a sequence back.

    Attributes
    ----------
    wanted : bool
        Whether `leave` keeps.
    """

    def __init__(self, release: Callable[[int], None]) -> None:
        self.wanted = False
        self._release = release
        self._anchor: Anchor | None = None

    def take(self) -> Anchor | None:
        """Hand over what was left; it is the caller's to release."""
        anchor, self._anchor = self._anchor, None
        return anchor

    def leave(self, anchor: Anchor | None) -> None:
        """Keep an anchor, or release it where that is not wanted."""
        self.drop()
        if self.wanted:
            self._anchor = anchor
        elif anchor is not None:
            self._release(anchor.sequence)

    def drop(self) -> None:
        """Release what was left."""
        anchor = self.take()
        if anchor is not None:
            self._release(anchor.sequence)
