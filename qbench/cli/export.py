"""`qbench export`: the rows of a store for other programs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from qbench.cli.options import ForceOption, JsonOption, OutOption, StoreArgument


class Format(StrEnum):
    """What `qbench export` can write."""

    PARQUET = "parquet"
    CSV = "csv"
    LM_EVAL = "lm-eval"


def export(
    store: StoreArgument,
    out: OutOption,
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.CSV,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the result rows: a table (parquet, csv), or lm-eval's results as JSON.

    lm-eval's form holds one model under one recipe per file; with more, OUT becomes a folder.
    """
    from qbench.cli.terminal import note, print_json, refuse_existing
    from qbench.report import exports
    from qbench.study.results import Results

    refuse_existing(out, force)
    results = Results.from_store(store)
    if form is Format.LM_EVAL:
        written = exports.write_lm_eval(out, results)
    elif form is Format.PARQUET:
        written = [exports.write_parquet(out, results)]
    else:
        written = [exports.write_csv(out, results)]
    if as_json:
        print_json({"format": form.value, "files": written, "rows": len(results)})
    else:
        for path in written:
            note(f"{path}: {path.stat().st_size} bytes")
