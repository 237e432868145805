"""Results arranged for a reader: every score beside its change from the model's own baseline.

The terminal, the HTML page and nothing else read a `Board`. It computes no statistics: values and
intervals come from the result rows, changes and verdicts from the paired comparison of the study.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qbench.errors import RecipeError, RequestError
from qbench.quant.recipe import Recipe
from qbench.report.numbers import share
from qbench.report.points import headline_rows, task_label
from qbench.study.compare import ComparisonRow
from qbench.study.records import Failure, ResultRow
from qbench.study.results import Results
from qbench.tasks import get_task, list_tasks

MARKS = {"worse": "▼", "better": "▲", "no difference shown": "≈"}


@dataclass(frozen=True)
class Line:
    """One row of results; `change` is its comparison with the baseline, if both have a score."""

    row: ResultRow
    change: ComparisonRow | None
    is_baseline: bool

    @property
    def task(self) -> str:
        """Task, preset and shots: `mmlu:lm-eval@5`."""
        return task_label(self.row)

    @property
    def mark(self) -> str:
        """Return ▼ shown worse, ▲ shown better, ≈ no difference shown, or nothing."""
        return MARKS.get(self.change.verdict, "") if self.change else ""

    @property
    def verdict(self) -> str:
        """Return `worse`, `better`, `no difference shown`, or nothing."""
        return self.change.verdict if self.change and self.mark else ""

    @property
    def n_counted(self) -> int:
        """Items that enter the score: scored ones, and unparsed ones as wrong."""
        return self.row.n_scored + self.row.n_unparsed

    @property
    def problem(self) -> str:
        """Why there is no value, or that the cell is not complete, or nothing."""
        if self.row.reason:
            return self.row.reason
        return "" if self.row.state == "done" else f"{self.row.state}: more items were asked for"

    @property
    def counts(self) -> list[str]:
        """Counts in words, one kind each, without those that did not occur.

        Such as `["150 of 200 scored", "50 skipped", "0.4 % <unk>"]`.
        """
        row = self.row
        kinds = (
            (row.n_skipped, "skipped"),
            (row.n_cut, "cut"),
            (row.n_unparsed, "unparsed"),
            (row.n_nonfinite, "non-finite"),
        )
        return [
            f"{self.n_counted} of {row.n_items} scored",
            *(f"{count} {what}" for count, what in kinds if count),
            *([f"{share(row.unk_share)} <unk>"] if row.unk_share else []),
        ]


@dataclass(frozen=True)
class Grid:
    """Headline scores of one model: a line of cells per recipe, a column per task.

    Attributes
    ----------
    model
        Its name.
    tasks
        Column heads.
    rows
        (recipe, cells): `cells[i]` belongs to `tasks[i]` and is a line, or the word for why there
        is none: `failed` or `not run`.
    """

    model: str
    tasks: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Line | str, ...]], ...]

    def shared_counts(self) -> list[list[str]]:
        """Counts of each task if they are the same under all recipes, else nothing for it.

        They depend on model and prompts, not on the recipe, so this is the rule.
        """
        shared = []
        for column in range(len(self.tasks)):
            cells = [cells[column] for _, cells in self.rows]
            found = [cell.counts for cell in cells if isinstance(cell, Line)]
            same = bool(found) and all(counts == found[0] for counts in found)
            shared.append(found[0] if same else [])
        return shared

    def bits_per_weight(self, recipe: str) -> float | None:
        """Return the bits per weight of a recipe, None where nothing tells."""
        cells = next(cells for name, cells in self.rows if name == recipe)
        return next((c.row.bits_per_weight for c in cells if isinstance(c, Line)), None)


@dataclass(frozen=True)
class Board:
    """All lines of a set of results, in their order, and what could not be computed."""

    lines: tuple[Line, ...]
    baselines: dict[str, str]
    failures: tuple[Failure, ...]
    remarks: tuple[str, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """Models in the order of first appearance."""
        return tuple(dict.fromkeys(line.row.model for line in self.lines))

    @property
    def recipes(self) -> tuple[str, ...]:
        """Recipes in the order of first appearance."""
        return tuple(dict.fromkeys(line.row.recipe for line in self.lines))

    @property
    def headlines(self) -> tuple[Line, ...]:
        """One line per cell: its first metric over all items."""
        chosen = {id(row) for row in headline_rows(line.row for line in self.lines)}
        return tuple(line for line in self.lines if id(line.row) in chosen)

    @property
    def n_compared(self) -> int:
        """How many verdicts the headlines show."""
        return sum(bool(line.verdict) for line in self.headlines)

    def grids(self) -> tuple[Grid, ...]:
        """Headlines as one grid per model and, where several modes were run, per mode."""
        groups: dict[tuple[str, str], list[Line]] = {}
        for line in self.headlines:
            groups.setdefault((line.row.model, line.row.mode), []).append(line)
        several = len(groups) > len(self.models)
        return tuple(
            _grid(f"{model} ({mode})" if several else model, lines, self._failed(model))
            for (model, mode), lines in groups.items()
        )

    def problems(self) -> list[str]:
        """Say once each why headline cells have no score or are not complete."""
        told = {
            f"{line.row.model}, {line.task}: {line.problem}": None
            for line in self.headlines
            if line.problem
        }
        return list(told)

    def _failed(self, model: str) -> set[tuple[str, str]]:
        """Recipes and tasks of a model that failed."""
        return {(f.recipe, f.task) for f in self.failures if f.model == model}


def board(results: Results, baseline: str | None = None) -> Board:
    """Arrange results and compare every recipe with the baseline of its model.

    Parameters
    ----------
    results
        Scores of a study.
    baseline
        The recipe to compare with; None takes each model's first unquantized one.

    Returns
    -------
    Board
        Lines in the order of the results. A model without an unquantized recipe has no changes.
    """
    rows = results.rows()
    if baseline is None:
        baselines = _baselines(rows)
    else:
        baselines = {row.model: baseline for row in rows if row.recipe == baseline}
    changes, remarks = _changes(results, rows, baselines)
    if results.superseded:
        remarks.append(
            f"{results.superseded} older cells of the same name (other engine, data or seed) "
            "are in the store and not shown."
        )
    lines = tuple(
        Line(row, changes.get(_identity(row)), baselines.get(row.model) == row.recipe)
        for row in rows
    )
    return Board(lines, baselines, results.failures, tuple(remarks))


BOUNDARIES = {
    "whole": "prompt and choice encoded as one string and split where the prompt's ids end, as in "
    "lm-eval",
    "separate": "prompt and choice encoded each on its own",
}
"""What a reader is told of each policy of the boundary between prompt and choice."""


def boundary_note(arranged: Board) -> str:
    """Say how the border between prompt and choice is tokenized, per task that has choices.

    Parameters
    ----------
    arranged
        Arranged results; tasks that qbench does not know are left out.

    Returns
    -------
    str
        Empty where nothing was chosen.
    """
    found: dict[str, dict[str, None]] = {}
    for line in arranged.headlines:
        row = line.row
        preset = get_task(row.task).presets.get(row.preset) if row.task in list_tasks() else None
        if preset is not None and preset.kind == "choice":
            found.setdefault(preset.boundary, {})[task_label(row)] = None
    told = (f"{name} ({', '.join(t)}): {BOUNDARIES[name]}" for name, t in found.items())
    return "; ".join(f"Boundary {text}" for text in told) + "." * bool(found)


def is_dense(recipe: str) -> bool:
    """Say whether a recipe leaves weights and cache as they are; a foreign label does not."""
    try:
        parsed = Recipe.parse(recipe)
    except RecipeError:
        return False
    return parsed.is_dense and parsed.kv_bits is None and parsed.head_bits is None


def _baselines(rows: Iterable[ResultRow]) -> dict[str, str]:
    """Return the first unquantized recipe of each model."""
    found: dict[str, str] = {}
    for row in rows:
        if row.model not in found and is_dense(row.recipe):
            found[row.model] = row.recipe
    return found


Identity = tuple[str, ...]


def _identity(row: ResultRow) -> Identity:
    """What joins a result row with its comparison."""
    return (
        row.model,
        row.recipe,
        task_label(row),
        row.metric,
        row.subset,
        row.mode,
        row.kv_format,
    )


def _changes(
    results: Results, rows: Sequence[ResultRow], baselines: dict[str, str]
) -> tuple[dict[Identity, ComparisonRow], list[str]]:
    """Compare each recipe of each model with its baseline; say what could not be compared."""
    changes: dict[Identity, ComparisonRow] = {}
    remarks: list[str] = []
    pairs = dict.fromkeys((row.model, row.recipe) for row in rows)
    for model, recipe in pairs:
        base = baselines.get(model)
        if base is None or base == recipe:
            continue
        try:
            compared = results.compare(f"{model}::{base}", f"{model}::{recipe}")
        except RequestError as error:
            remarks.append(f"{model}, {recipe}: not compared with {base}: {error}")
            continue
        for found in compared.rows():
            # The KV format of the quantized side stands last when the two differ by recipe.
            kv_format = found.kv_format.rpartition(" / ")[2]
            key = (model, recipe, found.task, found.metric, found.subset, found.mode, kv_format)
            changes[key] = found
    without = sorted({row.model for row in rows} - set(baselines))
    remarks += [f"{model}: no unquantized recipe was run, so no changes." for model in without]
    return changes, remarks


def _grid(title: str, lines: Sequence[Line], failed: set[tuple[str, str]]) -> Grid:
    """Arrange the headlines of one model."""
    tasks = tuple(dict.fromkeys([*(x.task for x in lines), *sorted({t for _, t in failed if t})]))
    recipes = dict.fromkeys(line.row.recipe for line in lines)
    cells = {(line.row.recipe, line.task): line for line in lines}

    def cell(recipe: str, task: str) -> Line | str:
        absent = "failed" if (recipe, task) in failed else "not run"
        return cells.get((recipe, task), absent)

    return Grid(title, tasks, tuple((r, tuple(cell(r, task) for task in tasks)) for r in recipes))
