"""One generic registry: names to objects, with suggestions when a name is unknown.

Methods, tasks, presets and templates are all "a small object registered by name"; this is the one
place that spells the error for an unknown name. It must not know what it holds.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from qbench.errors import RequestError

T = TypeVar("T")


def near_names(name: str, known: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """Names that resemble a mistyped one, most similar first.

    Parameters
    ----------
    name
        What was asked for; compared without regard to case.
    known
        The names that exist.
    limit
        How many suggestions to return at most.
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=limit, cutoff=0.6)
    return tuple(by_folded[folded] for folded in close)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name: near names if there are any, else all of them."""
    names = sorted(known)
    near = near_names(name, names)
    if near:
        return f"unknown {kind} {name!r}; did you mean {', '.join(near)}?"
    return f"unknown {kind} {name!r}; known: {', '.join(names) or 'none'}"


class Registry(Generic[T]):
    """Objects of one kind by name.

    Parameters
    ----------
    kind
        What the objects are, as it should read in an error: ``"task"``, ``"method"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}
        self._frozen = False

    def register(self, name: str, item: T) -> T:
        """Add an object under a new name and return it.

        Raises
        ------
        RequestError
            If the name is taken or empty, or the registry is frozen.
        """
        if self._frozen:
            raise RequestError(f"cannot register {self.kind} {name!r}: the list is closed")
        if not name:
            raise RequestError(f"a {self.kind} needs a name")
        if name in self._items:
            raise RequestError(f"{self.kind} {name!r} is already registered")
        self._items[name] = item
        return item

    def freeze(self) -> None:
        """Refuse every later registration."""
        self._frozen = True

    def get(self, name: str) -> T:
        """Look a name up.

        Raises
        ------
        RequestError
            If nothing has that name; the message suggests near names.
        """
        try:
            return self._items[name]
        except KeyError:
            raise RequestError(unknown_name(self.kind, name, self._items)) from None

    @property
    def names(self) -> tuple[str, ...]:
        """All names in the order of registration."""
        return tuple(self._items)

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)
