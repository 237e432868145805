"""Regular expressions from files: those whose matching can take for ever are refused.

The engine behind ``tokenizers`` backtracks. A match gives up after ten million steps, which bounds
exponential patterns, but one that just stays below that at every position of a text hangs. Both
kinds are told here by their form. It must not know what a pattern is for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from qbench.errors import CheckpointError

MAX_PATTERN = 8192

_PATTERN_PARTS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]|[*+]|\{\d*,?\d*\}|.", re.DOTALL)


def patterns_of(document: Any) -> Iterator[str]:
    """Every regular expression of the normalizer, pre-tokenizer and decoder."""
    stack = [document.get(key) for key in ("normalizer", "pre_tokenizer", "decoder")]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if isinstance(item.get("Regex"), str):
                yield item["Regex"]
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def check_pattern(pattern: str, where: str) -> None:
    """Refuse regular expressions whose matching time can explode.

    What makes it exponential is a repeated group that itself repeats something, such as ``(a+)+``;
    cubic at least, two repetitions side by side before something that must follow, as ``a*a*b``.
    No tokenizer in use has either at a place where a text can bring it out.

    Raises
    ------
    CheckpointError
        For such a pattern, or one longer than 8192 characters.
    """
    if len(pattern) > MAX_PATTERN:
        raise CheckpointError(f"{where}: a pattern has {len(pattern)} characters")
    parts = _PATTERN_PARTS.findall(pattern)
    why = ""
    if _repeats_repetition(parts):
        why = "repeats a group that repeats something"
    elif _repeats_side_by_side(parts):
        why = "has two repetitions side by side before something that must follow"
    if why:
        raise CheckpointError(
            f"{where}: the pattern {pattern!r:.80} {why}, which can take for ever; it is refused"
        )


def _is_unbounded(part: str) -> bool:
    """Whether a part is a quantifier without an upper end."""
    return part in ("*", "+") or (part[0] == "{" and part.endswith(",}"))


def _repeats_repetition(parts: Sequence[str]) -> bool:
    """Whether a group that holds an unbounded repetition is itself repeated without end."""
    open_groups = [False]  # for each open group: does it hold an unbounded repetition?
    closed: bool | None = None  # the same, for a group that ended right before this part
    for part in parts:
        unbounded = _is_unbounded(part)
        if unbounded and closed:
            return True
        closed = None
        if part == "(":
            open_groups.append(False)
        elif part == ")" and len(open_groups) > 1:
            closed = open_groups.pop()
            open_groups[-1] = open_groups[-1] or closed
        elif unbounded:
            open_groups[-1] = True
    return False


def _repeats_side_by_side(parts: Sequence[str]) -> bool:
    """Whether two unbounded repetitions meet, with nothing between, before a mandatory part."""
    optional = _optional_groups(parts)
    run = 0  # unbounded repetitions in a row that end here
    outer: list[tuple[int, int]] = []  # per open group: the same before it, and as it begins
    index = 0
    while index < len(parts):
        part = parts[index]
        index += 1
        if part == "(":
            # What an optional group needs is no reason to go back: it is left out.
            begin = 0 if index - 1 in optional else run
            outer.append((run, begin))
            run = begin
            if parts[index : index + 1] == ["?"]:  # (?: (?i: (?= and the like
                while index < len(parts) and parts[index] not in (":", "=", "!", ">", ")"):
                    index += 1
                index += parts[index : index + 1] != [")"]
            continue
        if part == "|":
            run = outer[-1][1] if outer else 0
            continue
        closes = part == ")" and bool(outer)
        before = outer.pop()[0] if closes else run
        quantifier = parts[index] if index < len(parts) else ""
        if quantifier and (_is_unbounded(quantifier) or _is_optional(quantifier)):
            index += 1
            index += parts[index : index + 1] in (["+"], ["?"])  # possessive or lazy
            run = before + _is_unbounded(quantifier)
        elif not closes:
            if before > 1:
                return True
            run = 0
    return False


def _is_optional(part: str) -> bool:
    """Whether a part is a quantifier that allows nothing at all."""
    return part in ("?", "*") or part.startswith(("{0", "{,"))


def _optional_groups(parts: Sequence[str]) -> set[int]:
    """Positions of the opening brackets of groups that may be left out."""
    opened: list[int] = []
    optional = set()
    for index, part in enumerate(parts):
        if part == "(":
            opened.append(index)
        elif part == ")" and opened:
            begin = opened.pop()
            if index + 1 < len(parts) and _is_optional(parts[index + 1]):
                optional.add(begin)
    return optional
