"""`qbench run --dry-run`: what a study would compute, told without opening any weights.

Items go through the study's own path to a model that only counts (`qbench.engine.rehearsal`), in
shards as a run would take them. Long tasks are told from some of their shards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qbench.cli.options import template_source
from qbench.cli.reader import Reader
from qbench.cli.terminal import console, print_json, safe
from qbench.engine.cost import Rates, seconds_of
from qbench.engine.memory import GIB, Memory, default_batch_tokens, share_out
from qbench.engine.rehearsal import rehearse
from qbench.engine.tally import Tally
from qbench.errors import QbenchError
from qbench.study.execute import run_items
from qbench.study.schedule import SHARD_ITEMS
from qbench.tasks import ChoiceRequest, Prepared, TaskSpec, get_task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qbench.study.plan import Group
    from qbench.study.study import Study
    from qbench.tasks import PreparedItem

MOST_SHARDS = 4
"""Shards of a task that are rehearsed, evenly spread; what they need is scaled up to all items."""


class Cell(NamedTuple):
    """One cell of a plan; ``problem`` says why it would fail.

    ``forwards`` and ``tokens`` are what the engine computes, shared prefixes once; with more items
    than are rehearsed they are estimates. ``memory`` in bytes, ``seconds`` at the speed of now.
    """

    model: str
    recipe: str
    task: str
    items: int
    of: int
    sequences: int
    forwards: int
    tokens: int
    memory: int
    seconds: float
    problem: str


def print_plan(study: Study, as_json: bool) -> None:
    """Print the cells of a study with what they would take.

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
    for name in ("items", "of", "sequences", "forwards", "tokens", "GiB", "time"):
        table.add_column(name, justify="right")
    table.add_column("")
    for cell in cells:
        counts = (cell.items, cell.of, cell.sequences, cell.forwards, cell.tokens)
        table.add_row(
            safe(cell.model),
            safe(cell.recipe),
            safe(cell.task),
            *(f"{n:,}" for n in counts),
            f"{cell.memory / GIB:.2f}",
            _clock(cell.seconds),
            safe(cell.problem, "dark_orange3"),
        )
    screen = console()
    screen.print(table)
    seconds = sum(cell.seconds for cell in cells)
    tokens = sum(cell.tokens for cell in cells)
    screen.print(
        f"{len(cells)} cells, about {tokens:,} tokens in {_clock(seconds)} at the speed of now, "
        "loading not counted; stored items are not computed again"
    )


def _clock(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def plan_cells(study: Study) -> list[Cell]:
    """Prepare every task for every model, and rehearse it under every recipe.

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
    readers: dict[str, Reader] = {}
    for group in plan.groups:
        name = group.model.name
        if name not in readers:
            readers[name] = Reader.open(group.model.path, template_source(study.chat_template))
        rehearsal = _Stage(study, group, readers[name])
        cells += [rehearsal.cell(spec, plan.data) for spec in group.tasks]
    return cells


class _Stage:
    """A model under a recipe, as far as it can be told without its weights."""

    def __init__(self, study: Study, group: Group, reader: Reader) -> None:
        from qbench.cli.probe import kv_page_bytes, rates_of, wanted_recipe
        from qbench.core import default_threads
        from qbench.quant.footprint import weight_bytes

        self.study, self.reader = study, reader
        self.names = (group.model.name, group.recipe or "as stored")
        recipe = wanted_recipe(group.recipe, reader.spec, group.model.path)
        self.weights = weight_bytes(reader.spec, recipe)
        self.page_bytes = kv_page_bytes(reader.spec, recipe, study.mode)
        self.threads = study.threads or default_threads()
        self.rates: Rates = rates_of(reader.spec, recipe, study.mode, self.threads)

    def cell(self, spec: TaskSpec, data: Path) -> Cell:
        """Rehearse one task; an error becomes the cell's problem, as in a run."""
        blank = Cell(*self.names, spec.canonical, 0, 0, 0, 0, 0, 0, 0.0, "")
        try:
            prepared = self._prepare(spec, data)
            memory = self._memory()
            tally, n_rehearsed = self._rehearse(prepared, memory)
        except QbenchError as error:
            return blank._replace(problem=str(error))
        scale = len(prepared.items) / max(1, n_rehearsed)
        cache = tally.most_pages * self.page_bytes
        return blank._replace(
            items=len(prepared.items),
            of=prepared.n_total,
            sequences=_sequences(prepared),
            forwards=round(scale * tally.n_forwards),
            tokens=round(scale * tally.n_tokens),
            memory=memory.weights + memory.forward + cache,
            seconds=scale * seconds_of(tally, self.reader.spec, self.weights, self.rates),
        )

    def _prepare(self, spec: TaskSpec, data: Path) -> Prepared:
        return get_task(spec.task).prepare(
            spec,
            data,
            tokenizer=self.reader.tokenizer,
            context_length=self.reader.context_length,
            limit=self.study.limit,
            seed=self.study.seed,
            window=self.study.window,
            stride=self.study.stride,
        )

    def _memory(self) -> Memory:
        budget = None if self.study.memory is None else int(self.study.memory * GIB)
        return share_out(
            self.reader.spec,
            weights=self.weights,
            page_bytes=self.page_bytes,
            n_tokens=default_batch_tokens(self.threads),
            budget=budget,
        )

    def _rehearse(self, prepared: Prepared, memory: Memory) -> tuple[Tally, int]:
        """Run some shards on a model that counts; with the number of their items."""
        batch_tokens = default_batch_tokens(self.threads)
        model, tally = rehearse(self.reader.spec, self.reader.tokenizer, memory, batch_tokens)
        model.keep_prefix = True  # as a study does
        shards = _shards(prepared.items)
        for shard in shards:
            run_items(model, prepared, shard, seed=self.study.seed)
        return tally, sum(map(len, shards))


def _shards(items: Sequence[PreparedItem]) -> list[Sequence[PreparedItem]]:
    """Shards of a task, all of them or as many as are rehearsed."""
    shards = [items[i : i + SHARD_ITEMS] for i in range(0, len(items), SHARD_ITEMS)]
    step = max(1, -(-len(shards) // MOST_SHARDS))
    return shards[::step]


def _sequences(prepared: Prepared) -> int:
    """Count the sequences that a model scores or continues: one per choice, chat or window."""
    requests = (item.request for item in prepared.items)
    return sum(len(r.choices) if isinstance(r, ChoiceRequest) else 1 for r in requests)
