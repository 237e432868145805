"""`qbench run --dry-run`: what a study would compute, told without opening any weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qbench.cli.options import template_source
from qbench.cli.reader import Reader
from qbench.cli.terminal import console, print_json, safe
from qbench.errors import QbenchError
from qbench.tasks import ChoiceRequest, Prepared, TaskSpec, get_task

if TYPE_CHECKING:
    from pathlib import Path

    from qbench.study.study import Study

# Tokens are counted on this many items, evenly spread, and scaled up.
SAMPLE = 64


class Cell(NamedTuple):
    """One cell of a plan. ``tokens`` is an estimate; ``problem`` says why the cell would fail."""

    model: str
    recipe: str
    task: str
    items: int
    of: int
    sequences: int
    tokens: int
    problem: str


def print_plan(study: Study, as_json: bool) -> None:
    """Print the cells of a study with items, sequences to score and tokens to read.

    Parameters
    ----------
    study
        The study; its request is checked as for a real run.
    as_json
        Whether to print JSON.
    """
    cells = plan_cells(study)
    if as_json:
        print_json({"cells": cells})
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("model", "recipe", "task"):
        table.add_column(name)
    for name in ("items", "of", "sequences", "tokens, about"):
        table.add_column(name, justify="right")
    table.add_column("")
    for cell in cells:
        numbers = (cell.items, cell.of, cell.sequences, cell.tokens)
        table.add_row(
            safe(cell.model),
            safe(cell.recipe),
            safe(cell.task),
            *(f"{n:,}" for n in numbers),
            safe(cell.problem, "dark_orange3"),
        )
    screen = console()
    screen.print(table)
    total = sum(cell.tokens for cell in cells)
    screen.print(f"{len(cells)} cells, about {total:,} tokens; stored items are not computed again")


def plan_cells(study: Study) -> list[Cell]:
    """Prepare every task for every model, and count.

    Parameters
    ----------
    study
        The study.

    Returns
    -------
    list of Cell
        In the order in which they would run.
    """
    plan = study.plan()
    cells = []
    counted: dict[tuple[str, TaskSpec], Cell] = {}
    readers: dict[str, Reader] = {}
    for group in plan.groups:
        name = group.model.name
        if name not in readers:
            readers[name] = Reader.open(group.model.path, template_source(study.chat_template))
        for spec in group.tasks:
            if (name, spec) not in counted:
                counted[name, spec] = _count(study, name, readers[name], spec, plan.data)
            cells.append(counted[name, spec]._replace(recipe=group.recipe or "as stored"))
    return cells


def _count(study: Study, model: str, reader: Reader, spec: TaskSpec, data: Path) -> Cell:
    """Prepare one task for one model; an error becomes the cell's problem, as in a run."""
    try:
        prepared = get_task(spec.task).prepare(
            spec,
            data,
            tokenizer=reader.tokenizer,
            context_length=reader.context_length,
            limit=study.limit,
            seed=study.seed,
            window=study.window,
            stride=study.stride,
        )
    except QbenchError as error:
        return Cell(model, "", spec.canonical, 0, 0, 0, 0, str(error))
    items = prepared.items
    sample = items[:: max(1, len(items) // SAMPLE)]
    tokens = sum(reader.ask(prepared, item, study.seed).n_tokens for item in sample)
    scaled = round(tokens * len(items) / len(sample)) if sample else 0
    sequences = _sequences(prepared)
    return Cell(model, "", spec.canonical, len(items), prepared.n_total, sequences, scaled, "")


def _sequences(prepared: Prepared) -> int:
    """Count the sequences that a model scores or continues: one per choice, chat or window."""
    requests = (item.request for item in prepared.items)
    return sum(len(r.choices) if isinstance(r, ChoiceRequest) else 1 for r in requests)
