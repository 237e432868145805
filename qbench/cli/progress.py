"""Progress on stderr: a live bar on a terminal; of a study elsewhere a line per cell.

A study shows items, tokens per second, the time left for the cell, and the running score; anything
else that takes long shows its steps. Stdout stays free for results. `QBENCH_PROGRESS=0` turns it
off.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qbench.cli.terminal import console, note
from qbench.report.numbers import four_digits
from qbench.report.text import for_terminal

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from qbench.study.progress import OnProgress, Progress


def wanted() -> bool:
    """Say whether a live display makes sense: a terminal that has not turned it off."""
    return sys.stderr.isatty() and os.environ.get("QBENCH_PROGRESS") != "0"


@contextmanager
def progress() -> Iterator[OnProgress | None]:
    """Show events while a block runs.

    Yields
    ------
    callable or None
        What to pass as `on_progress`; None when the user turned progress off.
    """
    if os.environ.get("QBENCH_PROGRESS") == "0":
        yield None
    elif wanted():
        with _bar() as bar:
            yield _Live(bar)
    else:
        yield _tell


@contextmanager
def steps(title: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show how many steps of something are done, on a terminal only.

    The bar is drawn when a step is done and never by a thread of its own, which would disturb what
    is being timed.

    Yields
    ------
    callable or None
        To be called with the steps done and those there are; None where nothing is shown.
    """
    if not wanted():
        yield None
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    screen = console(stderr=True)
    with Bar(*columns, console=screen, transient=True, auto_refresh=False) as bar:
        task = bar.add_task(for_terminal(title, multiline=False), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total, refresh=True)


def describe(event: Progress) -> str:
    """Write an event as one line.

    Parameters
    ----------
    event
        From a study.

    Returns
    -------
    str
        Such as `3/10 stories260K · rtn-w4g32 · snli:words@0: done, 200 items, acc 0.3350`.
    """
    place = " · ".join(part for part in (event.model, event.recipe, event.task) if part)
    head = f"{event.cell}/{event.n_cells} {place}"
    if event.phase == "load":
        return f"{head}: loading"
    if event.phase == "failed":
        return f"{head}: failed: {event.message}"
    if event.message:
        return f"{head}: {event.message}"
    text = f"{head}: {event.done} of {event.total} items"
    if event.score is not None:
        text += f", {event.metric} {four_digits(event.score)}"
    if event.seconds > 0:
        text += f", {event.tokens / event.seconds:.0f} tokens/s"
    return text


def _tell(event: Progress) -> None:
    """Write a line for what is over; a log needs no line per shard."""
    if event.phase in ("done", "failed"):
        note(describe(event))


def _bar() -> Bar:
    """Build the live display."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[extra]}", markup=False),
        console=console(stderr=True),
        transient=True,
    )


class _Live:
    """Turns events into one bar for all cells and one for the cell at work."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._all = bar.add_task("cells", total=None, extra="")
        self._cell = bar.add_task("starting", total=None, extra="")
        self._over: set[int] = set()

    def __call__(self, event: Progress) -> None:
        """Show one event."""
        if event.phase in ("done", "failed"):
            self._over.add(event.cell)
            self._bar.console.print(for_terminal(describe(event), multiline=False))
        self._bar.update(self._all, total=event.n_cells, completed=len(self._over))
        place = " · ".join(part for part in (event.model, event.recipe, event.task) if part)
        rate = f"{event.tokens / event.seconds:.0f} tok/s" if event.seconds > 0 else ""
        score = f"{event.metric} {four_digits(event.score)}" if event.score is not None else ""
        self._bar.update(
            self._cell,
            description=for_terminal(place, multiline=False)
            + (" (loading)" if event.phase == "load" else ""),
            total=event.total or None,
            completed=event.done,
            extra="  ".join(part for part in (rate, score) if part),
        )
