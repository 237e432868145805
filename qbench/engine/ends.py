"""Where a generation ends: end-of-text ids and stop texts, and what of a text may be sent already.

A stop text counts from the character with which it is complete, so that it does not matter how many
tokens are decoded between two looks at the text. It knows no cache and no model.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

UNFINISHED = "\ufffd"
"""What a decoder gives for a character of which it has not seen all bytes."""


@dataclass(frozen=True)
class Ends:
    """What ends a generation, and how its ids become text.

    ``ids`` end it and are no part of it. ``stops`` end it before their first occurrence. ``decode``
    is None for a model without a tokenizer, whose text stays empty. ``follow``: the text is wanted
    while it grows.
    """

    ids: tuple[int, ...]
    stops: tuple[str, ...]
    decode: Callable[[Sequence[int]], str] | None
    follow: bool = False

    def text(self, ids: Sequence[int]) -> str:
        """Text of new ids."""
        return "" if self.decode is None else self.decode(ids)

    def cut(self, ids: Sequence[int]) -> tuple[str, int | None]:
        """Return the text of new ids, before the first stop text, and how many ids it takes.

        Returns
        -------
        str
            Of several stops that of the one that is complete first counts.
        int or None
            The smallest number of ids whose text has all of it; None if no stop was found.
        """
        text = self.text(ids)
        found = [(at + len(stop), at) for stop in self.stops if (at := text.find(stop)) >= 0]
        if not found:
            return text, None
        text = text[: min(found)[1]]
        return text, bisect_left(
            range(len(ids)), True, key=lambda n: self.text(ids[:n]).startswith(text)
        )

    def ready(self, text: str, sent: int, done: bool) -> int:
        """Return how much of a growing text may be sent, of which so much has been.

        What may be the beginning of a stop text or of a character is held back.
        """
        if done:
            return len(text)
        held = max((len(stop) - 1 for stop in self.stops), default=0)
        end = len(text) - held
        return sent if text.endswith(UNFINISHED) else max(sent, end)
