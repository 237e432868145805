"""Text that came from outside (models, item files, folder names) made safe for where it is shown.

A terminal obeys control bytes, a spreadsheet obeys cells that look like formulas, a browser obeys
markup; bidirectional marks make any of them show something else than what is stored. Each function
here serves one such place. They change how text is shown, never what a store holds.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

# Marks that reorder the text around them: embeddings, overrides, isolates, and the two bare marks.
_BIDI = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_JSON_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def _is_unsafe(character: str) -> bool:
    """Say whether a character acts on its surroundings instead of showing itself."""
    return unicodedata.category(character) in ("Cc", "Cs") or character in _BIDI


def for_terminal(text: str, *, multiline: bool = True) -> str:
    r"""Drop control characters and bidirectional marks from text that goes to a terminal.

    Parameters
    ----------
    text
        Anything a model or a file produced.
    multiline
        Keep ``\n`` and ``\t``; otherwise each becomes one space.

    Returns
    -------
    str
        Printable text. An escape sequence loses its ESC, so that its rest shows as plain letters.
    """
    kept = []
    for character in text:
        if character in "\n\t":
            kept.append(character if multiline else " ")
        elif not _is_unsafe(character):
            kept.append(character)
    return "".join(kept)


def made_visible(text: str, limit: int | None = None) -> str:
    r"""Spell out what cannot be seen: control characters and bidirectional marks as ``\u202e``.

    Parameters
    ----------
    text
        Anything a model or a file produced.
    limit
        Longest result in characters; a longer text ends in an ellipsis.

    Returns
    -------
    str
        Text fit for a document. It is not escaped for HTML yet.
    """
    cut = text if limit is None or len(text) <= limit else text[: max(limit - 1, 0)] + "…"
    return "".join(f"\\u{ord(c):04x}" if _is_unsafe(c) and c not in "\n\t" else c for c in cut)


def csv_cell(value: object) -> object:
    """Return the value with a leading ``'`` if it is text that a spreadsheet would run.

    Parameters
    ----------
    value
        A cell. Numbers pass: a negative number is no formula.

    Returns
    -------
    object
        The value itself, or the prefixed text.
    """
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return "'" + value
    return value


def json_for_script(value: Any) -> str:
    """Write JSON that cannot end or open an element inside ``<script>``.

    Parameters
    ----------
    value
        JSON-able data without NaN or infinity.

    Returns
    -------
    str
        One line of ASCII JSON with sorted keys, in which ``<``, ``>`` and ``&`` are escapes too;
        parsing it gives the same value.
    """
    plain = json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return plain.translate(_JSON_ESCAPES)
