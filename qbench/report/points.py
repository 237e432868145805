"""The points of the picture everybody asks for first: perplexity across, accuracy up.

Both the HTML page and matplotlib draw from here, so they cannot disagree. A point pairs two rows of
one model under one recipe; a pair in which either score is missing makes no point.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qbench.study.records import ResultRow

PERPLEXITY_METRICS = ("word_ppl", "ppl")
METRIC_NAMES = {"acc": "accuracy", "ppl": "perplexity", "word_ppl": "perplexity per word"}
# What a scatter shows of a perplexity, best first. Tokenizers agree about bytes; they agree about
# words as well, but not every language writes words; they do not agree about tokens.
BITS_PER_BYTE = "bits_per_byte"
SCATTER_METRICS = (BITS_PER_BYTE, *PERPLEXITY_METRICS)


@dataclass(frozen=True)
class Estimate:
    """A score with its 95 % interval; ``low`` and ``high`` are None where there is none."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Point:
    """One model under one recipe: perplexity `x` against accuracy `y` (a fraction)."""

    model: str
    recipe: str
    method: str
    x: Estimate
    y: Estimate
    at_chance: bool


@dataclass(frozen=True)
class Panel:
    """One accuracy task against one perplexity: all points, and the chance line if there is one."""

    x_label: str
    y_label: str
    chance: float | None
    points: tuple[Point, ...]


def task_label(row: ResultRow) -> str:
    """Write task, preset and shots as the grammar does: `mmlu:lm-eval@5`."""
    preset = f":{row.preset}" if row.preset else ""
    shots = "" if row.shots is None else f"@{row.shots}"
    return f"{row.task}{preset}{shots}"


def method_of(recipe: str) -> str:
    """Return the method of a canonical recipe: `rtn` of `rtn-w4g32`, `f16` of `f16+kv8`."""
    return recipe.split("{")[0].split("-")[0].split("+kv")[0].split("+head")[0]


def headline_rows(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """Keep one row per model, recipe, task and mode: the first metric that the task reports.

    Parameters
    ----------
    rows
        Rows in the order in which the tasks report their metrics.

    Returns
    -------
    list of ResultRow
        Rows over all items (no subset), in the order of first appearance.
    """
    chosen: dict[tuple[str, ...], ResultRow] = {}
    for row in rows:
        if not row.subset:
            chosen.setdefault(_cell(row), row)
    return list(chosen.values())


def metric_name(metric: str) -> str:
    """Write a metric out for a reader: `perplexity per word` for `word_ppl`."""
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def is_perplexity(metric: str) -> bool:
    """Say whether a metric is a perplexity: compared as a ratio and drawn on a log axis."""
    return metric in PERPLEXITY_METRICS


def tradeoff_panels(rows: Iterable[ResultRow]) -> tuple[Panel, ...]:
    """Pair every perplexity with every task that is scored in fractions.

    Parameters
    ----------
    rows
        Result rows of a study.

    Returns
    -------
    tuple of Panel
        Those with at least one point, in the order of the rows.
    """
    known = list(rows)
    across = _by_task(_comparable_perplexities(known))
    upward = _by_task(row for row in headline_rows(known) if not is_perplexity(row.metric))
    panels = []
    for x_task, x_rows in across.items():
        for y_task, y_rows in upward.items():
            points = _points(x_rows, y_rows)
            if points:
                x_label = f"{_scatter_name(x_rows[0].metric)} · {x_task}"
                y_label = f"{metric_name(y_rows[0].metric)} · {y_task}"
                panels.append(Panel(x_label, y_label, y_rows[0].chance, points))
    return tuple(panels)


def _cell(row: ResultRow) -> tuple[str, ...]:
    """What a row is a score of, apart from the metric."""
    return row.model, row.recipe, task_label(row), row.mode, row.kv_format


def _comparable_perplexities(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """Keep one perplexity per cell: the one that compares best across tokenizers."""
    chosen: dict[tuple[str, ...], ResultRow] = {}
    for row in rows:
        if row.subset or row.metric not in SCATTER_METRICS:
            continue
        held = chosen.setdefault(_cell(row), row)
        if SCATTER_METRICS.index(row.metric) < SCATTER_METRICS.index(held.metric):
            chosen[_cell(row)] = row
    return list(chosen.values())


def _scatter_name(metric: str) -> str:
    """Name what the horizontal axis shows."""
    return "perplexity per byte" if metric == BITS_PER_BYTE else metric_name(metric)


def _perplexity(row: ResultRow, value: float) -> Estimate:
    """Return a perplexity as a scatter shows it; b bits per byte are 2^b per byte."""
    if row.metric != BITS_PER_BYTE:
        return Estimate(value, row.low, row.high)
    low, high = (None if bound is None else 2.0**bound for bound in (row.low, row.high))
    return Estimate(2.0**value, low, high)


def _by_task(rows: Iterable[ResultRow]) -> dict[str, list[ResultRow]]:
    """Group rows by task label, keeping order."""
    groups: dict[str, list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(task_label(row), []).append(row)
    return groups


def _points(x_rows: list[ResultRow], y_rows: list[ResultRow]) -> tuple[Point, ...]:
    """Join two tasks on model, recipe, mode and KV format."""
    found = {(r.model, r.recipe, r.mode, r.kv_format): r for r in x_rows}
    points = []
    for y in y_rows:
        x = found.get((y.model, y.recipe, y.mode, y.kv_format))
        if x is None or x.value is None or y.value is None:
            continue
        at_chance = y.chance is not None and y.low is not None and y.low <= y.chance
        points.append(
            Point(
                y.model,
                y.recipe,
                method_of(y.recipe),
                _perplexity(x, x.value),
                Estimate(y.value, y.low, y.high),
                at_chance,
            )
        )
    return tuple(points)
