"""`qbench report`: the HTML page of a store."""

from __future__ import annotations

from typing import Annotated

import typer

from qbench.cli.options import ForceOption, JsonOption, OutOption, StoreArgument


def report(
    store: StoreArgument,
    out: OutOption,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline", metavar="RECIPE", help="Default: each model's first unquantized recipe."
        ),
    ] = None,
    title: Annotated[
        str, typer.Option("--title", help="Heading of the page.")
    ] = "What quantization did",
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write one self-contained HTML page: scores, changes, a scatter, failures, method notes."""
    from qbench.cli.terminal import note, print_json, refuse_existing
    from qbench.report.html import write
    from qbench.study.results import Results
    from qbench.study.store import Store

    refuse_existing(out, force)
    results = Results.from_store(store)
    with Store.read(store) as opened:
        runs = opened.runs()
    write(out, results, runs=runs, title=title, baseline=baseline)
    if as_json:
        print_json({"report": out, "bytes": out.stat().st_size, "rows": len(results)})
    else:
        note(f"{out}: {len(results)} rows, {out.stat().st_size} bytes")
