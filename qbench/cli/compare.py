"""`qbench compare`: two recipes, or two models, over the same items of one store."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from qbench.cli.options import JsonOption, StoreArgument

if TYPE_CHECKING:
    from rich.table import Table

    from qbench.study.compare import Comparison, ComparisonRow

CONDITION_HELD = 3


class Condition(StrEnum):
    """What `--fail-if` can ask for."""

    WORSE = "worse"


def compare(
    store: StoreArgument,
    a: Annotated[str, typer.Argument(metavar="A", help="RECIPE, per model, or MODEL::RECIPE.")],
    b: Annotated[str, typer.Argument(metavar="B", help="As A; changes are B minus A.")],
    across: Annotated[
        bool, typer.Option("--across", help="Also compare different modes or KV formats.")
    ] = False,
    subsets: Annotated[bool, typer.Option("--subsets", help="Show every subset, too.")] = False,
    fail_if: Annotated[
        Condition | None,
        typer.Option("--fail-if", help="worse: exit code 3 if any task is shown to be worse."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare item by item: change, 95 % interval, flips both ways, McNemar's exact test."""
    from qbench.cli.terminal import console, print_json
    from qbench.study.results import Results

    compared = Results.from_store(store).compare(a, b, across=across)
    rows = [row for row in compared.rows() if subsets or not row.subset]
    if as_json:
        print_json({"rows": rows, "flips": compared.flips})
    else:
        console().print(comparison_table(rows))
    if fail_if is Condition.WORSE:
        _fail_if_worse(compared)


def comparison_table(rows: list[ComparisonRow]) -> Table:
    """Arrange compared rows for the terminal.

    Parameters
    ----------
    rows
        From `Results.compare`.

    Returns
    -------
    Table
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from qbench.cli.board import STYLES
    from qbench.cli.terminal import safe
    from qbench.report import numbers
    from qbench.report.tables import MARKS

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("model", "task", "metric"):
        table.add_column(name)
    for name in ("A", "B", "B − A", "95 %", "lost", "gained", "p", "items"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for row in rows:
        style = STYLES.get(row.verdict, "")
        verdict = f"{MARKS.get(row.verdict, '')} {row.verdict}".strip()
        table.add_row(
            safe(row.model),
            safe(row.task),
            safe(f"{row.metric} {row.subset}".rstrip()),
            safe(f"{row.a} {numbers.value(row.metric, row.value_a)}"),
            safe(f"{row.b} {numbers.value(row.metric, row.value_b)}"),
            safe(numbers.change_with_unit(row.metric, row.delta), style),
            safe(numbers.change_interval(row.metric, row.low, row.high)),
            numbers.count(row.right_to_wrong),
            numbers.count(row.wrong_to_right),
            numbers.p_value(row.mcnemar_p),
            str(row.n_paired),
            safe(f"{verdict}: {row.reason}" if row.reason else verdict, style),
        )
    return table


def _fail_if_worse(compared: Comparison) -> None:
    """Exit with 3 if any whole task is worse, and fail if nothing could be judged."""
    from qbench.errors import StoreError

    whole = [row for row in compared.rows() if not row.subset]
    if any(row.verdict == "worse" for row in whole):
        raise typer.Exit(CONDITION_HELD)
    if not any(row.n_paired for row in whole):
        reasons = ", ".join(sorted({row.reason for row in whole if row.reason})) or "no pairs"
        raise StoreError(f"nothing could be compared ({reasons}), so --fail-if has no answer")
