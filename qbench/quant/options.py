"""Typed options of a recipe: what may stand in ``{name=value,…}`` and how it is spelled back.

An option knows its default and its range, reads its text and writes it, so that a recipe has one
canonical spelling. It must not know which method it belongs to.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

OptionValue = bool | int | float | str

_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?"
)


def format_number(value: float) -> str:
    """Shortest text that reads back as the same float64, without a trailing ``.0``."""
    return repr(value).removesuffix(".0")


@dataclass(frozen=True)
class Option:
    """One option of a method.

    Parameters
    ----------
    name
        As it is spelled in a recipe.
    default
        Its value when it is not given; its type is the option's type.
    low, high
        Inclusive range of an int or float.
    choices
        Allowed values of a str.
    summary
        What it does, in a few words.
    """

    name: str
    default: OptionValue
    summary: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """What a value must be, as it should stand in an error."""
        if isinstance(self.default, bool):
            return "true or false"
        if isinstance(self.default, str):
            return " or ".join(self.choices)
        kind = "an integer" if isinstance(self.default, int) else "a number"
        return f"{kind} from {format_number(float(self.low))} to {format_number(float(self.high))}"

    def read(self, text: str) -> OptionValue | None:
        """Value that a text stands for, or None if it is of the wrong type or out of range."""
        if isinstance(self.default, bool):
            return {"true": True, "false": False}.get(text)
        if isinstance(self.default, str):
            return text if text in self.choices else None
        if isinstance(self.default, int):
            whole = int(text) if _INTEGER.fullmatch(text) else None
            return whole if whole is not None and self.low <= whole <= self.high else None
        # Adding zero turns -0.0 into 0.0, which would otherwise be a second spelling of it.
        number = float(text) + 0.0 if _NUMBER.fullmatch(text) else math.nan
        return number if self.low <= number <= self.high else None

    def spell(self, value: OptionValue) -> str:
        """Canonical text of a value."""
        if isinstance(value, bool):
            return "true" if value else "false"
        return format_number(value) if isinstance(value, float) else str(value)
