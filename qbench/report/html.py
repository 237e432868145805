"""One HTML page that holds a whole study: no request, no server, no library in the browser.

The policy in its head forbids everything but its own style sheet and its own script, both named by
hash, so that text of a model could run nothing even if it got past the escaping. Equal results give
equal bytes: no clock, no host, no random names.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from qbench._version import __version__
from qbench.report import numbers, svg
from qbench.report.files import write_text
from qbench.report.points import Panel, metric_name, tradeoff_panels
from qbench.report.provenance import header, notes
from qbench.report.tables import Board, Grid, Line, board
from qbench.report.text import json_for_script, made_visible
from qbench.study.results import Results
from qbench.study.rows import StoredRun

# (name, is a number, explanation)
COLUMNS = (
    ("Model", False, "Name of the model"),
    ("Recipe", False, "How weights, activations and cache were quantized"),
    ("Bits", True, "Bits per weight of the quantized layers"),
    ("Task", False, "Task, preset and shots"),
    ("Metric", False, "Metric, and the subset it is over"),
    ("Score", True, "Value and its 95 % interval"),
    ("Change", True, "Change from the baseline: points, or ln for a perplexity; 95 % interval"),
    ("Verdict", False, "Whether the paired change is shown; items lost and gained"),
    ("Scored", True, "Items that entered the score, of all items"),
    ("Skipped", True, "Items that did not fit the context"),
    ("Cut", True, "Items that were shortened and scored"),
    ("Unparsed", True, "Answers in which no answer was found; they count as wrong"),
    ("Non-finite", True, "Items with NaN or infinity"),
    ("<unk>", True, "Share of unknown tokens in the requests"),
)


def write(
    path: str | Path,
    results: Results,
    *,
    runs: Sequence[StoredRun] = (),
    title: str = "What quantization did",
    baseline: str | None = None,
) -> None:
    """Write the page of a set of results.

    Parameters
    ----------
    path
        The file; one that stands there is replaced in one step.
    results, runs, title, baseline
        As for `render`.
    """
    write_text(Path(path), render(results, runs=runs, title=title, baseline=baseline))


def render(
    results: Results,
    *,
    runs: Sequence[StoredRun] = (),
    title: str = "What quantization did",
    baseline: str | None = None,
) -> str:
    """Return the page of a set of results as HTML text.

    Parameters
    ----------
    results
        Scores with their items.
    runs
        Runs of the store, for versions, threads and limits at the head of the page.
    title
        Heading.
    baseline
        Recipe to compare with; None takes each model's first unquantized one.

    Returns
    -------
    str
    """
    arranged = board(results, baseline)
    facts = [cell.facts for cell in results.cells]
    css, script = _part("report.css"), _part("report.js")
    head = header(arranged, facts, runs)
    panels = tradeoff_panels(line.row for line in arranged.lines)
    methods = tuple(dict.fromkeys(point.method for panel in panels for point in panel.points))
    data = {
        "facts": [list(fact) for fact in head],
        "rows": [_record(line) for line in arranged.lines],
        "failures": [
            {k: v for k, v in asdict(failure).items() if k != "trace"}
            for failure in arranged.failures
        ],
    }
    return _fill(
        css=_trusted(css),
        script=_trusted(script),
        policy=_policy(css, script),
        version=__version__,
        title=title,
        lead=_lead(arranged),
        facts=head,
        grids=[_grid(grid, arranged) for grid in arranged.grids()],
        problems=arranged.problems(),
        panels=[_trusted(svg.scatter(panel, arranged.models, methods)) for panel in panels],
        legend=_legend(arranged, panels, methods),
        columns=[{"name": n, "number": is_number, "help": h} for n, is_number, h in COLUMNS],
        lines=[_line(line) for line in arranged.lines],
        failures=arranged.failures,
        notes=notes(arranged, facts),
        data=_trusted(json_for_script(data)),
    )


def _part(name: str) -> str:
    """Text of a file beside the template."""
    folder = resources.files("qbench.report") / "page"
    return (folder / name).read_text(encoding="utf-8")


def _trusted(text: str) -> Any:
    """Mark text as HTML that the template must not escape again."""
    from markupsafe import Markup

    return Markup(text)


def _fill(**values: Any) -> str:
    """Fill the template; every text is escaped and its invisible characters are spelt out."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    return environment.from_string(_part("report.html")).render(**values)


def _shown(value: Any) -> Any:
    """Spell out what cannot be seen in text that is not HTML yet."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return made_visible(value)
    return value


def _policy(css: str, script: str) -> str:
    """Content security policy that allows exactly this style sheet and this script."""

    def source(text: str) -> str:
        digest = hashlib.sha256(text.encode("utf-8")).digest()
        return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"

    return (
        f"default-src 'none'; style-src {source(css)}; script-src {source(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _lead(arranged: Board) -> str:
    """One line: how much there is."""
    n_tasks = len({line.task for line in arranged.lines})
    counts = (
        (len(arranged.models), "model"),
        (len(arranged.recipes), "recipe"),
        (n_tasks, "task"),
    )
    text = " × ".join(f"{n} {what}{'' if n == 1 else 's'}" for n, what in counts)
    if arranged.failures:
        n = len(arranged.failures)
        text += f"; {n} cell{'' if n == 1 else 's'} could not be computed"
    return text


def _grid(grid: Grid, arranged: Board) -> dict[str, Any]:
    """One summary table as the template wants it."""
    metrics = {line.task: metric_name(line.row.metric) for line in arranged.headlines}
    shared = grid.shared_counts()
    return {
        "model": grid.model,
        "tasks": [{"name": task, "metric": metrics.get(task, "")} for task in grid.tasks],
        "shared": shared,
        "rows": [
            {
                "recipe": recipe,
                "base": any(isinstance(cell, Line) and cell.is_baseline for cell in cells),
                "bits": numbers.bits(grid.bits_per_weight(recipe)),
                "cells": [
                    {"absent": cell}
                    if isinstance(cell, str)
                    else {**_line(cell), "absent": "", "own": [] if counts else cell.counts}
                    for cell, counts in zip(cells, shared, strict=True)
                ],
            }
            for recipe, cells in grid.rows
        ],
    }


def _line(line: Line) -> dict[str, Any]:
    """One row of the full table as the template wants it; its texts are already written."""
    row, found = line.row, line.change
    delta = found.delta if found else None
    flips = ""
    if found is not None and found.right_to_wrong is not None:
        flips = f"{found.right_to_wrong} lost, {found.wrong_to_right} gained"
        flips += f", p {numbers.p_value(found.mcnemar_p)}"
    classes = [("base", line.is_baseline), ("subset", bool(row.subset))]
    return {
        "classes": " ".join(name for name, is_so in classes if is_so),
        "model": row.model,
        "recipe": row.recipe,
        "task": line.task,
        "metric": metric_name(row.metric),
        "subset": row.subset,
        "bits": numbers.bits(row.bits_per_weight),
        "bits_sort": _sortable(row.bits_per_weight),
        "value": numbers.value(row.metric, row.value),
        "value_sort": _sortable(row.value),
        "interval": numbers.interval(row.metric, row.low, row.high),
        "change": "" if delta is None else numbers.change_with_unit(row.metric, delta),
        "change_sort": _sortable(delta),
        "change_interval": (
            numbers.change_interval(row.metric, found.low, found.high) if found else ""
        ),
        "kind": line.verdict if line.verdict in ("worse", "better") else "",
        "mark": line.mark,
        "verdict": line.verdict,
        "flips": flips,
        "problem": line.problem,
        "has_score": row.value is not None,
        "counts": [
            {"text": f"{line.n_counted} of {row.n_items}", "sort": line.n_counted},
            *(
                {"text": str(n), "sort": n}
                for n in (row.n_skipped, row.n_cut, row.n_unparsed, row.n_nonfinite)
            ),
            {"text": numbers.share(row.unk_share), "sort": _sortable(row.unk_share)},
        ],
    }


def _record(line: Line) -> dict[str, Any]:
    """One row with its change, for the download buttons."""
    found = line.change
    return {
        **asdict(line.row),
        "baseline": found.a if found else None,
        "change": found.delta if found else None,
        "change_low": found.low if found else None,
        "change_high": found.high if found else None,
        "mcnemar_p": found.mcnemar_p if found else None,
        "verdict": line.verdict,
    }


def _sortable(number: float | None) -> str:
    """Write a number for the sorting script: exact, and nothing where there is none."""
    return "" if number is None else repr(float(number))


def _legend(
    arranged: Board, panels: Sequence[Panel], methods: Sequence[str]
) -> list[dict[str, Any]]:
    """Colours of the models that have points, then shapes of the methods."""
    drawn = {point.model for panel in panels for point in panel.points}
    return [
        *(
            {"key": _trusted(svg.legend_key(index, 0)), "name": model}
            for index, model in enumerate(arranged.models)
            if model in drawn
        ),
        *(
            {"key": _trusted(svg.legend_key(-1, index)), "name": method}
            for index, method in enumerate(methods)
        ),
    ]
