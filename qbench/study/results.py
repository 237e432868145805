"""Results: the scores of a set of cells, from a store or from memory, as a table.

Scores are computed from item records when they are first asked for. Of cells that say the same
(model, recipe, task, mode, KV format) but differ in key, because the engine, the data or the seed
changed between runs, the newest is shown and the number of older ones is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import overload

from qbench.errors import RecipeError, RequestError
from qbench.quant.recipe import Recipe
from qbench.study.compare import Comparison, ComparisonRow, Flip, Side, compare_cells, incomparable
from qbench.study.records import Failure, ItemRecord, ResultRow
from qbench.study.scores import Cell, result_rows
from qbench.study.store import Store
from qbench.study.tables import Table, number


@dataclass(frozen=True)
class CellView:
    """A cell and the way to its items; ``updated`` orders cells that say the same."""

    cell: Cell
    load: Callable[[], Sequence[ItemRecord]]
    updated: float = 0.0

    @property
    def label(self) -> tuple[str, str, str, str, str]:
        """What a reader tells cells apart by."""
        facts = self.cell.facts
        return (facts.model, facts.recipe, facts.task_label, facts.mode, facts.kv_format)


class Results(Table[ResultRow]):
    """Scores of a set of cells; ``failures`` are those that could not be computed."""

    title = "results"

    def __init__(self, views: Iterable[CellView], failures: Sequence[Failure] = ()) -> None:
        newest: dict[tuple[str, ...], CellView] = {}
        n_views = 0
        for view in views:
            n_views += 1
            known = newest.get(view.label)
            if known is None or view.updated >= known.updated:
                newest[view.label] = view
        self._views = tuple(newest.values())
        self.superseded = n_views - len(newest)
        self.failures = tuple(failures)

    @classmethod
    def from_store(cls, path: str | Path, keys: Sequence[str] | None = None) -> Results:
        """Read a store; ``keys`` limits and orders the cells. Failures are those of the last run.

        Raises
        ------
        StoreError
            The file is missing, damaged or no store.
        """
        path = Path(path)
        with Store.read(path) as store:
            stored = {cell.key: cell for cell in store.cells()}
            runs = store.runs()
        chosen = stored if keys is None else [key for key in keys if key in stored]
        views = [
            CellView(Cell(*stored[key][:5]), partial(_load, path, key), stored[key].updated)
            for key in chosen
        ]
        return cls(views, runs[-1].failures if runs else ())

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells behind the table."""
        return tuple(view.cell for view in self._views)

    @cached_property
    def _result_rows(self) -> tuple[ResultRow, ...]:
        """All rows, computed once."""
        return tuple(row for v in self._views for row in result_rows(v.cell, v.load()))

    def rows(self) -> list[ResultRow]:
        """All rows: model x recipe x task x metric x subset ("" is the whole)."""
        return list(self._result_rows)

    def items(self, cell_key: str) -> list[ItemRecord]:
        """Return the item records of a cell, ordered by item id.

        Raises
        ------
        RequestError
            No cell has this key, or several begin with it.
        """
        found = [view for view in self._views if view.cell.key.startswith(cell_key)]
        if len(found) != 1:
            raise RequestError(f"{len(found)} cells begin with {cell_key!r}; give more of the key")
        return list(found[0].load())

    @overload
    def compare(self, a: str, b: str, *, across: bool = ...) -> Comparison: ...
    @overload
    def compare(self, a: Results, b: None = ..., *, across: bool = ...) -> Comparison: ...

    def compare(
        self, a: str | Results, b: str | None = None, *, across: bool = False
    ) -> Comparison:
        """Compare two recipes, or these results with others, item by item.

        Parameters
        ----------
        a, b
            Recipes, compared per model, or ``MODEL::RECIPE``; or other results alone, which are
            then side b: paired by model and recipe, else by model, else by task.
        across
            Compare cells of different mode or KV format too.

        Returns
        -------
        Comparison
            One row per model x task x metric x subset.

        Raises
        ------
        RequestError
            A name that is not there, nothing in common, or different modes without ``across``.
        """
        if isinstance(a, Results):
            pairs = _pairs_between(self._views, a._views)
            labels = _Labels("", "")
        elif b is None:
            raise RequestError("compare needs two recipes, or other results")
        else:
            pairs = _pairs_of_selectors(self._views, a, b)
            labels = _Labels(a, b)
        return _compare(pairs, labels, across)

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """Head and lines of the short text table."""
        lines = [
            [
                row.model,
                row.recipe,
                row.task
                + (f":{row.preset}" if row.preset else "")
                + ("" if row.shots is None else f"@{row.shots}"),
                row.metric,
                number(row.value),
                "" if row.low is None else f"[{number(row.low)}, {number(row.high)}]",
                f"{row.n_scored + row.n_unparsed}/{row.n_items}",
                row.reason or ("" if row.state == "done" else row.state),
            ]
            for row in self._result_rows
            if not row.subset
        ]
        return ["model", "recipe", "task", "metric", "value", "95 %", "scored", ""], lines


def _load(path: Path, key: str) -> list[ItemRecord]:
    """Items of one cell; the pages of the file were checked when the results were made."""
    with Store.read(path, check=False) as store:
        return store.items(key)


Pair = tuple[CellView, CellView]


@dataclass(frozen=True)
class _Labels:
    """How the two sides were named by the caller; empty when they were not."""

    a: str
    b: str

    def side(self, name: str, view: CellView, other: CellView) -> Side:
        """One side with the shortest name that tells it from the other."""
        facts = view.cell.facts
        label = facts.recipe
        if "::" in name or facts.model != other.cell.facts.model:
            label = f"{facts.model}::{facts.recipe}"
        return Side(label, view.cell, view.load())


def _compare(pairs: Sequence[Pair], labels: _Labels, across: bool) -> Comparison:
    """Compare each pair; refuse those of different mode when no pair of the same mode exists."""
    rows: list[ComparisonRow] = []
    flips: list[Flip] = []
    groups: dict[tuple[str, ...], list[Pair]] = {}
    for a, b in pairs:
        groups.setdefault((*a.label[:3], *b.label[:2]), []).append((a, b))
    for group in groups.values():
        reasons = [incomparable(a.cell.facts, b.cell.facts) for a, b in group]
        fitting = [pair for pair, why in zip(group, reasons, strict=True) if not why]
        if not fitting and not across:
            raise RequestError(
                f"{group[0][0].cell.facts.task_label}: the cells have {reasons[0]}; "
                "run both alike, or compare them all the same with --across (across=True)"
            )
        for a, b in fitting or group:
            found, flipped = compare_cells(labels.side(labels.a, a, b), labels.side(labels.b, b, a))
            rows += found
            flips += flipped
    return Comparison(rows, flips)


def _select(views: Sequence[CellView], name: str) -> tuple[str | None, list[CellView]]:
    """Return the model, if ``RECIPE`` or ``MODEL::RECIPE`` names one, and the cells it means."""
    model, separator, recipe = name.rpartition("::")
    recipes = sorted({view.cell.facts.recipe for view in views})
    if recipe not in recipes:
        try:
            recipe = Recipe.parse(recipe).canonical
        except RecipeError as error:
            raise RequestError(f"{error}; the results hold {', '.join(recipes)}") from error
    found = [
        view
        for view in views
        if view.cell.facts.recipe == recipe and (not separator or view.cell.facts.model == model)
    ]
    if not found:
        models = ", ".join(sorted({view.cell.facts.model for view in views}))
        raise RequestError(
            f"nothing was run as {name!r}; the results hold recipes {', '.join(recipes)} "
            f"of models {models}"
        )
    return (model if separator else None), found


def _pairs_of_selectors(views: Sequence[CellView], a: str, b: str) -> list[Pair]:
    """Pair the cells of two selectors by task, and by model unless both name one."""
    model_a, side_a = _select(views, a)
    model_b, side_b = _select(views, b)
    free = model_a is not None and model_b is not None
    pairs = [
        (x, y)
        for x in side_a
        for y in side_b
        if x.label[2] == y.label[2] and (free or x.label[0] == y.label[0])
    ]
    if not pairs:
        raise RequestError(f"{a!r} and {b!r} have no task of one model in common")
    return pairs


def _pairs_between(views: Sequence[CellView], others: Sequence[CellView]) -> list[Pair]:
    """Pair cells of two results by the closest name that tells them apart."""
    pairs: list[Pair] = []
    for task in dict.fromkeys(view.label[2] for view in views):
        mine = [view for view in views if view.label[2] == task]
        theirs = [view for view in others if view.label[2] == task]
        for parts in (2, 1, 0):
            found = [(x, y) for x in mine for y in theirs if x.label[:parts] == y.label[:parts]]
            unique = len({id(x) for x, _ in found}) == len({id(y) for _, y in found}) == len(found)
            if found and (unique or parts == 2):
                pairs += found
                break
    if not pairs:
        raise RequestError("the two results have no task in common that pairs one to one")
    return pairs
