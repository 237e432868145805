"""`qbench run`: compute a study, or what is missing of it, and show what came out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qbench.cli.options import (
    ChatTemplateOption,
    DataOption,
    JsonOption,
    MemoryOption,
    ModeOption,
    RecipesOption,
    ThreadsOption,
    checked_template,
)
from qbench.errors import RequestError

if TYPE_CHECKING:
    from qbench.study.results import Results
    from qbench.study.study import Study


def run(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="MODEL", help="Model folder or hub id. Repeatable."),
    ] = None,
    recipe: RecipesOption = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", "-t", metavar="TASK", help="Such as mmlu:lm-eval@5. Repeatable."),
    ] = None,
    data: DataOption = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Items per task, a nested sample.")
    ] = None,
    store: Annotated[
        Path,
        typer.Option("--store", metavar="FILE", help="Result file; one that is there is resumed."),
    ] = Path("study.db"),
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Also write an HTML report.")
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes; 1 works in this one.")
    ] = 1,
    mode: ModeOption = "faithful",
    seed: Annotated[int, typer.Option("--seed", help="Of samples and of sampled answers.")] = 0,
    chat_template: ChatTemplateOption = None,
    threads: ThreadsOption = None,
    memory: MemoryOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be computed, and compute nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run models x recipes x tasks into a store, and print the scores.

    A cell that fails does not stop the others; the exit code is then 1. Interrupted or killed, the
    same command computes only what is missing.
    """
    from qbench.study.study import Study

    study = Study(
        model or [],
        recipe or [],
        task or [],
        store,
        data=data,
        limit=limit,
        mode=mode,
        seed=seed,
        chat_template=checked_template(chat_template),
        threads=threads,
        memory=None if memory is None else memory / workers,
    )
    if dry_run:
        from qbench.cli.dry_run import print_plan

        print_plan(study, as_json)
        return
    study.plan()
    for path in (store, report):
        if path is not None and not path.absolute().parent.is_dir():
            raise RequestError(f"{path}: there is no folder {path.absolute().parent}")
    results = _compute(study, workers)
    if report is not None:
        _write_report(report, results, store)
    _show(results, store, report, as_json)
    if results.failures:
        raise typer.Exit(1)


def _compute(study: Study, workers: int) -> Results:
    """Run with a progress display, in this process or in several."""
    from qbench.cli.progress import progress

    with ExitStack() as stack:
        executor = None
        if workers > 1:
            from qbench.study.workers import LocalWorkers

            executor = stack.enter_context(LocalWorkers(workers, threads=study.threads))
        listener = stack.enter_context(progress())
        return study.run(executor, listener)


def _write_report(path: Path, results: Results, store: Path) -> None:
    """Write the page of the cells of this study."""
    from qbench.report.html import write
    from qbench.study.store import Store

    with Store.read(store) as opened:
        runs = opened.runs()
    write(path, results, runs=runs)


def _show(results: Results, store: Path, report: Path | None, as_json: bool) -> None:
    """Print the scores, and where everything is."""
    from qbench.cli.board import print_board
    from qbench.cli.terminal import console, print_json
    from qbench.report.tables import board

    if as_json:
        document: dict[str, Any] = {
            "store": store,
            "report": report,
            "rows": results.rows(),
            "failures": results.failures,
        }
        print_json(document)
        return
    screen = console()
    print_board(screen, board(results))
    screen.print(f"store:  {store}", soft_wrap=True)
    if report is not None:
        screen.print(f"report: {report}", soft_wrap=True)
