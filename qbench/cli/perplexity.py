"""`qbench perplexity`: perplexity of a model on any text file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qbench.cli.options import (
    JsonOption,
    ModelArgument,
    ModeOption,
    RecipeOption,
    ThreadsOption,
)

if TYPE_CHECKING:
    from qbench.study.records import ResultRow
    from qbench.tasks import Prepared

# Windows that are given to the engine together; between two calls progress is shown.
CHUNK = 32


def perplexity(
    model: ModelArgument,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="UTF-8 text, or .jsonl with a field text per line."),
    ],
    recipe: RecipeOption = None,
    window: Annotated[
        int | None, typer.Option("--window", min=2, help="Tokens. Default: 2048 or the context.")
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option("--stride", min=1, help="Tokens between windows. Default: the window."),
    ] = None,
    mode: ModeOption = "faithful",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print perplexity per token and per word and bits per byte, with 95 % intervals.

    A plain file is one document; each line of a .jsonl file is one. No window crosses documents.
    """
    from qbench.data.text import read_corpus
    from qbench.quant.load import load
    from qbench.tasks.perplexity import prepare_corpus

    corpus = read_corpus(file)
    loaded = load(model, recipe=recipe, mode=mode, threads=threads)
    prepared = prepare_corpus(
        corpus,
        tokenizer=loaded.tokenizer,
        context_length=loaded.context_length,
        window=window,
        stride=stride,
    )
    rows = measure(loaded, model, prepared, window, stride)
    if as_json:
        from qbench.cli.terminal import print_json

        print_json({"file": file, "notes": prepared.notes, "rows": rows})
    else:
        _print(rows, prepared)


def measure(
    loaded: Any, name: str, prepared: Prepared, window: int | None, stride: int | None
) -> list[ResultRow]:
    """Score all windows and aggregate them as a study would.

    Parameters
    ----------
    loaded
        The model.
    name
        What it is called in the rows.
    prepared
        The windows.
    window, stride
        As the user gave them.

    Returns
    -------
    list of ResultRow
        Per metric: value, interval, counts.
    """
    from qbench.study.cells import cell_facts
    from qbench.study.execute import run_items
    from qbench.study.records import cell_key, finite
    from qbench.study.scores import Cell, result_rows

    items = prepared.items
    records = []
    for start in range(0, len(items), CHUNK):
        found = run_items(loaded, prepared, items[start : start + CHUNK], seed=0)
        records += [finite(record) for record in found]
    facts = cell_facts(loaded, name, prepared, seed=0, window=window, stride=stride)
    cell = Cell(cell_key(facts), facts, prepared.n_total, len(items), "")
    return result_rows(cell, records)


def _print(rows: list[ResultRow], prepared: Prepared) -> None:
    """Print one line per metric, then what it was measured on."""
    from qbench.cli.terminal import console, safe
    from qbench.report import numbers
    from qbench.report.points import metric_name
    from qbench.tasks import WindowRequest

    screen = console()
    first = rows[0]
    screen.print(safe(f"{first.model}  {first.recipe}  {first.mode}", "bold"))
    for row in rows:
        value = numbers.value(row.metric, row.value)
        interval = numbers.interval(row.metric, row.low, row.high)
        text = f"{metric_name(row.metric):<20} {value:>10}  {interval}"
        screen.print(safe(f"{text}  {row.reason}".rstrip()))
    requests = [item.request for item in prepared.items]
    n_tokens = sum(len(r.continuation) for r in requests if isinstance(r, WindowRequest))
    told = [f"{first.n_scored} windows, {n_tokens} scored tokens", *prepared.notes]
    if first.unk_share:
        told.append(f"{numbers.share(first.unk_share)} <unk>")
    screen.print(safe("; ".join(told), "dim"))
