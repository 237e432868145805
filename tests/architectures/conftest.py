"""The table of parity, printed at the end of a run."""

from __future__ import annotations

from typing import Any

import pytest

_ROWS = pytest.StashKey[list[tuple[str, ...]]]()
HEAD = ("model", "architecture", "tokens", "spread of logits", "off, of the largest")


@pytest.fixture
def parity_table(request: pytest.FixtureRequest) -> list[tuple[str, ...]]:
    """Rows of the table."""
    return request.config.stash.setdefault(_ROWS, [])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    rows = terminalreporter.config.stash.get(_ROWS, [])
    if not rows:
        return
    terminalreporter.section("logits of mode exact against the float32 forward of transformers")
    widths = [max(len(row[i]) for row in (HEAD, *rows)) for i in range(len(HEAD))]
    for row in (HEAD, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        terminalreporter.write_line("  ".join(cells).rstrip())
