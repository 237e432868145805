"""Results on a terminal: per model one table, recipes down, tasks across.

A cell is a score over its change from the baseline. The counts of a task are the same under every
recipe as a rule, since they depend on model and prompts, and then stand once, in the last line;
where they differ each cell has its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.cli.terminal import safe
from qbench.report import numbers
from qbench.report.tables import Board, Grid, Line, boundary_note

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

STYLES = {"worse": "dark_orange3", "better": "dodger_blue2"}
LEGEND = (
    "▼ worse  ▲ better  ≈ no difference shown (paired, 95 %, over the same items as the baseline)"
)


def print_board(console: Console, arranged: Board) -> None:
    """Print the summary of a study.

    Parameters
    ----------
    console
        Where to.
    arranged
        Its results.
    """
    for grid in arranged.grids():
        console.print(grid_table(grid))
    if arranged.n_compared:
        console.print(safe(LEGEND, "dim"))
    if note := boundary_note(arranged):
        console.print(safe(note, "dim"))
    for problem in arranged.problems():
        console.print(safe(problem, "dim"))
    for remark in arranged.remarks:
        console.print(safe(remark, "dim"))
    for failure in arranged.failures:
        cell = " · ".join(part for part in (failure.model, failure.recipe, failure.task) if part)
        console.print(safe(f"not computed: {cell}: {failure.reason}", "dark_orange3"))


def grid_table(grid: Grid) -> Table:
    """Build the table of one model.

    Parameters
    ----------
    grid
        Its headline scores.

    Returns
    -------
    Table
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    shared = grid.shared_counts()
    table = Table(
        box=SIMPLE_HEAD,
        title=safe(grid.model, "bold"),
        title_justify="left",
        show_footer=any(shared),
        pad_edge=False,
    )
    table.add_column("recipe", footer=safe("items", "dim"), no_wrap=True)
    table.add_column("bits", justify="right")
    for task, counts in zip(grid.tasks, shared, strict=True):
        table.add_column(safe(task), justify="right", footer=safe_lines(counts, "dim"))
    for recipe, cells in grid.rows:
        bits = numbers.bits(grid.bits_per_weight(recipe))
        written = [
            _cell(cell, not counts) if isinstance(cell, Line) else safe(cell, "dim italic")
            for cell, counts in zip(cells, shared, strict=True)
        ]
        table.add_row(safe(recipe), bits, *written)
    return table


def safe_lines(lines: list[str], style: str = "") -> Text:
    """Stack short texts in one cell."""
    from rich.text import Text

    return Text("\n").join(safe(line, style) for line in lines)


def _cell(line: Line, with_counts: bool) -> Text:
    """Score, change and mark, and the counts where they are the cell's own."""
    row = line.row
    if row.value is None:
        parts = [safe("no score", "dim italic")]
    else:
        parts = [safe(numbers.value(row.metric, row.value), "bold" if line.is_baseline else "")]
        if line.change is not None and line.change.delta is not None:
            text = numbers.change_with_unit(row.metric, line.change.delta)
            parts.append(safe(f"{text} {line.mark}".rstrip(), STYLES.get(line.verdict, "dim")))
    if with_counts:
        parts += [safe(text, "dim") for text in line.counts]
    from rich.text import Text

    return Text("\n").join(parts)
