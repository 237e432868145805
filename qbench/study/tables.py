"""A list of frozen rows that shows itself: as text, as HTML in a notebook, as a DataFrame.

Text from outside (names of models, answers) is escaped in HTML and loses control characters in
text, because a terminal obeys them.
"""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    import pandas as pd

Row = TypeVar("Row")
SHOWN_ROWS = 60


class Table(ABC, Generic[Row]):
    """Rows and three ways to look at them."""

    title: ClassVar[str] = "table"

    @abstractmethod
    def rows(self) -> list[Row]:
        """All rows as frozen dataclasses."""

    @abstractmethod
    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """Head and lines of the short table that a person reads."""

    def to_dicts(self) -> list[dict[str, Any]]:
        """All rows as plain dictionaries, ready for JSON."""
        return [asdict(row) for row in self.rows()]  # type: ignore[call-overload]

    def to_pandas(self) -> pd.DataFrame:
        """All rows as a tidy DataFrame, one column per field of a row."""
        import pandas as pd

        return pd.DataFrame(self.to_dicts())

    def __len__(self) -> int:
        return len(self.rows())

    def __repr__(self) -> str:
        head, lines = self._cells()
        if not lines:
            return f"<{self.title}: no rows>"
        return text_table(head, lines[:SHOWN_ROWS]) + _rest(len(lines))

    def _repr_html_(self) -> str:
        head, lines = self._cells()
        top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
            for line in lines[:SHOWN_ROWS]
        )
        rest = html.escape(_rest(len(lines)))
        return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{rest}"


def _rest(n_lines: int) -> str:
    """Say how many lines are not shown."""
    left = n_lines - SHOWN_ROWS
    return f"\n… {left} more rows in to_pandas()" if left > 0 else ""


def text_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Lay out columns padded to their widest cell; control characters are dropped."""
    clean = [
        ["".join(c for c in cell if c.isprintable()) for cell in line] for line in (head, *lines)
    ]
    widths = [max(len(line[i]) for line in clean) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in clean
    )


def number(x: float | None, *, signed: bool = False) -> str:
    """Write a number with four significant digits, or a dash where there is none."""
    if x is None:
        return "–"
    return f"{x:+.4g}" if signed else f"{x:.4g}"
