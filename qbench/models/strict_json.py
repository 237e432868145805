"""JSON from files that anybody may have written: strict, bounded, one error class.

Python's own parser accepts NaN, 1e999, duplicate keys and lone surrogates, and fails with
RecursionError or ValueError on hostile input. Here each of these is one clear error that names the
file. It must not know what the documents mean; the typed getters below only check a key's type and
range (a bool is no integer).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from qbench.errors import CheckpointError, QbenchError
from qbench.models.files import read_bytes

CONFIG_LIMIT = 16 << 20
"""Largest configuration file that is read, in bytes."""

MAX_DEPTH = 64

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89abAB]|\\u[dD][c-fC-F]")


def loads(
    data: bytes,
    where: str,
    *,
    max_depth: int = MAX_DEPTH,
    error: type[QbenchError] = CheckpointError,
) -> Any:
    """Parse JSON strictly.

    Parameters
    ----------
    data
        The document, UTF-8.
    where
        The file, as it should stand in an error.
    max_depth
        Deepest nesting of arrays and objects.
    error
        The exception class to raise.

    Raises
    ------
    QbenchError
        Of the given class, for anything that is not plain JSON: NaN or infinity, a number beyond
        float64, a duplicate key, a lone surrogate, too deep a nesting, bytes that are no UTF-8.
    """

    def fail(what: str) -> NoReturn:
        raise error(f"{where}: {what}")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(items)
        if len(out) != len(items):
            seen: set[str] = set()
            for key, _ in items:
                if key in seen:
                    fail(f"the key {key[:80]!r} stands twice")
                seen.add(key)
        return out

    def number(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            fail(f"the number {text[:40]} does not fit a float64")
        return value

    def constant(text: str) -> NoReturn:
        fail(f"{text} is no JSON")

    _check_depth(data, where, max_depth, error)
    try:
        text = data.decode("utf-8")
        document = json.loads(
            text, object_pairs_hook=pairs, parse_float=number, parse_constant=constant
        )
    except UnicodeDecodeError as exc:
        raise error(f"{where}: no UTF-8 at byte {exc.start}") from None
    except json.JSONDecodeError as exc:
        raise error(f"{where}: no valid JSON at byte {exc.pos}: {exc.msg}") from None
    except RecursionError:
        raise error(f"{where}: nested too deeply") from None
    except ValueError as exc:  # an integer of more digits than int() takes
        raise error(f"{where}: no valid JSON: {exc}") from None
    if _SURROGATE_ESCAPE.search(data) and _has_surrogate(document):
        fail("a string holds half of a surrogate pair")
    return document


def _check_depth(data: bytes, where: str, max_depth: int, error: type[QbenchError]) -> None:
    """Refuse deep nesting before the recursive parser sees it."""
    depth = 0
    for match in _BRACKETS.finditer(_STRINGS.sub(b"", data)):
        if match[0] in b"[{":
            depth += 1
            if depth > max_depth:
                raise error(f"{where}: nested deeper than {max_depth} levels")
        else:
            depth -= 1


def _has_surrogate(document: Any) -> bool:
    """Whether any string of the document holds a lone surrogate."""
    stack = [document]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if any("\ud800" <= char <= "\udfff" for char in item):
                return True
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return False


def read_object(
    path: Path, limit: int = CONFIG_LIMIT, error: type[QbenchError] = CheckpointError
) -> dict[str, Any]:
    """Read a JSON file whose top level is an object.

    Raises
    ------
    QbenchError
        As for `read_bytes` and `loads`, and if the top level is something else.
    """
    document = loads(read_bytes(path, limit, error), str(path), error=error)
    if not isinstance(document, dict):
        raise error(f"{path}: expected an object, found {kind_of(document)}")
    return document


def kind_of(value: Any) -> str:
    """Name a JSON value's type and, where short, the value, for an error message."""
    if value is None:
        return "null"
    names = {bool: "the boolean", int: "the integer", float: "the number", str: "the string"}
    if type(value) in names:
        return f"{names[type(value)]} {value!r:.60}"
    return "an array" if isinstance(value, list) else "an object"


class Fields:
    """Typed access to one JSON object; every failure names file, key, expected and found.

    Parameters
    ----------
    values
        The object.
    where
        The file (and place in it), as it should stand in an error.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values = values
        self.where = where

    def fail(self, key: str, expected: str) -> NoReturn:
        """Raise the error for a value of the wrong type or range."""
        found = kind_of(self.values[key]) if key in self.values else "nothing"
        raise CheckpointError(f"{self.where}: {key}: expected {expected}, found {found}")

    def _absent(self, key: str) -> bool:
        return self.values.get(key) is None

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Return an integer in ``low..high``; null and absence give the default, if any."""
        if self._absent(key) and default is not None:
            return default
        value = self.values.get(key)
        if type(value) is not int or not low <= value <= high:
            self.fail(key, f"an integer in {low}..{high}")
        return value

    def optional_integer(self, key: str, low: int, high: int) -> int | None:
        """Return an integer in ``low..high``, or None for null and absence."""
        return None if self._absent(key) else self.integer(key, low, high)

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        """Return a finite number strictly between ``low`` and ``high``."""
        if self._absent(key) and default is not None:
            return default
        value: Any = self.values.get(key)
        if type(value) not in (int, float) or not low < value < high:
            self.fail(key, f"a number between {low:g} and {high:g}")
        return float(value)

    def boolean(self, key: str, default: bool) -> bool:
        """Return a boolean; null and absence give the default."""
        if self._absent(key):
            return default
        value = self.values[key]
        if type(value) is not bool:
            self.fail(key, "true or false")
        return value

    def string(self, key: str, default: str | None = None) -> str:
        """Return a string; null and absence give the default, if there is one."""
        if self._absent(key) and default is not None:
            return default
        value = self.values.get(key)
        if not isinstance(value, str):
            self.fail(key, "a string")
        return value

    def object(self, key: str) -> dict[str, Any] | None:
        """Return a nested object, or None for null and absence."""
        if self._absent(key):
            return None
        value = self.values[key]
        if not isinstance(value, dict):
            self.fail(key, "an object")
        return value
