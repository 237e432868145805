"""`qbench bench`: how fast a model reads and writes, and which peak of the machine bounds it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from qbench.cli.options import (
    JsonOption,
    ModelArgument,
    ModeOption,
    RecipesOption,
    ThreadsOption,
)
from qbench.errors import RequestError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from qbench.engine import Model
    from qbench.engine.speed import Job, Measured, Speed
    from qbench.quant.recipe import Recipe

# A median below this share of the best call says that the machine did something else as well.
QUIET = 0.8


class Subject(NamedTuple):
    """One recipe of the model: loaded, and how long that took (reading, rounding, packing)."""

    model: Model
    load_seconds: float


def bench(
    model: ModelArgument,
    recipe: RecipesOption = None,
    prompt: Annotated[int, typer.Option("--prompt", min=1, help="Tokens to read.")] = 256,
    new: Annotated[int, typer.Option("--new", min=1, help="Tokens to write, each sequence.")] = 512,
    batch: Annotated[
        str, typer.Option("--batch", metavar="N,…", help="Sequences that are written at a time.")
    ] = "1,8",
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="Each times every recipe once, and the peaks.")
    ] = 3,
    mode: ModeOption = "faithful",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print tokens/s of prefill and decode, and GMAC/s and GB/s against the machine's peaks now.

    Prompts are random ids; decode is greedy, begins at one token, and runs past an end of text.
    Both end where the context does. All recipes are in memory together and timed in turns.
    """
    from qbench.cli.progress import steps
    from qbench.engine.speed import check_capacity, jobs_within, measure

    batches = batch_sizes(batch)
    subjects = _load(model, distinct_recipes(recipe or [], mode), mode, threads)
    models = [subject.model for subject in subjects]
    jobs = jobs_within(models[0].context_length, prompt, new, batches)
    for loaded in models:
        check_capacity(loaded, jobs)
    with steps("timing") as on_step:
        measured = measure(models, jobs, rounds=rounds, on_step=on_step)
    notes = remarks(measured, models[0], prompt, new)
    if as_json:
        from qbench.cli.terminal import print_json

        print_json(document(model, subjects, measured, notes, rounds))
    else:
        _print(model, subjects, measured, notes)


def batch_sizes(text: str) -> list[int]:
    """Read `--batch`.

    Parameters
    ----------
    text
        Numbers separated by commas.

    Returns
    -------
    list of int
        Each once, in the order given.

    Raises
    ------
    RequestError
        If a part is no whole number from 1 on.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise RequestError(f"--batch {text!r}: expected whole numbers from 1 on, such as 1,8")
    return list(dict.fromkeys(map(int, parts)))


def distinct_recipes(texts: Sequence[str], mode: str) -> list[Recipe | None]:
    """Parse all recipes before any is loaded.

    Parameters
    ----------
    texts
        As the user gave them.
    mode
        The mode that they are to run in.

    Returns
    -------
    list of Recipe or None
        Each once, in the order given; without any, None for the model as stored.

    Raises
    ------
    RecipeError
        If one does not parse or is not there.
    """
    from qbench.quant.recipe import Recipe, require_available

    recipes = list(dict.fromkeys(Recipe.parse(text) for text in texts))
    for recipe in recipes:
        require_available(recipe, mode)
    return [*recipes] or [None]


def _load(
    name: str, recipes: Sequence[Recipe | None], mode: str, threads: int | None
) -> list[Subject]:
    """Load the model once per recipe."""
    from qbench.quant.load import load

    subjects = []
    for recipe in recipes:
        start = time.perf_counter()
        loaded = load(name, recipe=recipe, mode=mode, threads=threads)
        subjects.append(Subject(loaded, time.perf_counter() - start))
    return subjects


def remarks(measured: Measured, model: Model, prompt: int, new: int) -> list[str]:
    """Say what a reader of the figures must know.

    Parameters
    ----------
    measured
        The figures.
    model
        Under any of the recipes: context and threads are those of all.
    prompt, new
        As the user asked for them.

    Returns
    -------
    list of str
        None if everything is as asked and nothing is odd.
    """
    said = []
    asked = {"--prompt": prompt, "--new": new}
    cut = [f"{option} {n}" for option, n in asked.items() if n > model.context_length]
    if cut:
        said.append(f"cut to the context of {model.context_length} tokens: {', '.join(cut)}")
    small = [speed for speed in measured.speeds[0] if speed.threads < model.threads]
    if small:
        ran = ", ".join(f"{job_name(speed.job)} ran on {speed.threads}" for speed in small)
        said.append(f"too small for {model.threads} threads, whose peaks these are: {ran}")
    speeds = [speed for row in measured.speeds for speed in row]
    if any(speed.read_share > 1 for speed in speeds):
        said.append("above 100 % of read, weights stay in the caches and memory is no bound")
    if any(speed.median < QUIET * speed.best for speed in speeds):
        said.append("medians far below the best: the machine was busy; run again to be sure")
    return said


def document(
    name: str, subjects: Sequence[Subject], measured: Measured, notes: list[str], rounds: int
) -> dict[str, Any]:
    """Arrange all facts for JSON.

    Parameters
    ----------
    name
        The model as the user named it.
    subjects, measured, notes
        What was loaded, found, and is to be said about it.
    rounds
        Rounds that were timed.

    Returns
    -------
    dict
        Rates in units of the names' last parts; shares are fractions.
    """
    first = subjects[0].model
    return {
        "model": name,
        "mode": first.mode,
        "isa": first.isa,
        "threads": first.threads,
        "rounds": rounds,
        "peaks": measured.peaks,
        "peak_resident_bytes": measured.resident_bytes,
        "notes": notes,
        "recipes": [
            {
                "recipe": loaded.recipe,
                "kv_format": loaded.kv_format,
                "bits_per_weight": loaded.bits_per_weight,
                "model_bits": loaded.model_bits,
                "weights_bytes": loaded.memory["weights"],
                "load_seconds": load_seconds,
                "rows": [_row(speed) for speed in speeds],
            }
            for (loaded, load_seconds), speeds in zip(subjects, measured.speeds, strict=True)
        ],
    }


def _row(speed: Speed) -> dict[str, Any]:
    """One job's figures for JSON."""
    return {
        "work": speed.job.kind,
        "tokens": speed.job.n_tokens,
        "batch": speed.job.batch,
        "threads": speed.threads,
        "calls": len(speed.seconds),
        "tokens_per_second": {"best": speed.best, "median": speed.median},
        "macs": speed.work.macs,
        "gmacs": speed.gmacs,
        "product_share": speed.product_share,
        "read_bytes": speed.work.read_bytes,
        "read_gbs": speed.read_gbs,
        "read_share": speed.read_share,
        "bound": speed.bound,
    }


def _print(name: str, subjects: Sequence[Subject], measured: Measured, notes: list[str]) -> None:
    """Print the peaks, the speeds, what each recipe takes, and remarks."""
    from qbench.cli.terminal import console, safe
    from qbench.report.numbers import size

    screen = console()
    first, peaks = subjects[0].model, measured.peaks
    threads = "1 thread" if first.threads == 1 else f"{first.threads} threads"
    screen.print(safe(f"{name}  {first.mode}  {first.isa}, {threads}", "bold"))
    bf16 = f"bf16 {rate(peaks.bf16_gmacs)}, " if peaks.bf16_gmacs else ""
    screen.print(
        f"peaks now: integer {rate(peaks.int_gmacs)}, {bf16}float32 {rate(peaks.float_gmacs)} "
        f"GMAC/s; memory read {rate(peaks.read_gbs)} GB/s"
    )
    screen.print(_speed_table(subjects, measured))
    screen.print(_cost_table(subjects))
    together = ", all recipes together" if len(subjects) > 1 else ""
    screen.print(f"peak resident memory {size(measured.resident_bytes)}{together}")
    for remark in notes:
        screen.print(safe(remark, "dim"))


def _speed_table(subjects: Sequence[Subject], measured: Measured) -> Table:
    """A line per job below its recipe; the share of what bounds it is bold."""
    from qbench.cli.terminal import safe

    table = _empty_table("tokens/s", "median", "GMAC/s", "of peak", "GB/s", "of read")
    table.add_column("bound by", no_wrap=True)
    for subject, speeds in zip(subjects, measured.speeds, strict=True):
        table.add_section()
        # On a line of its own: beside the figures a long recipe would not fit a terminal.
        table.add_row(safe(subject.model.recipe, "bold"))
        for speed in speeds:
            table.add_row(
                f"  {job_name(speed.job)}",
                rate(speed.best),
                safe(rate(speed.median), "dim"),
                rate(speed.gmacs),
                _share(speed.product_share, speed.bound == "products"),
                rate(speed.read_gbs),
                _share(speed.read_share, speed.bound == "memory"),
                speed.bound,
            )
    return table


def _cost_table(subjects: Sequence[Subject]) -> Table:
    """One row per recipe: bits, bytes, and the time to load."""
    from qbench.cli.terminal import safe
    from qbench.report.numbers import bits, size

    table = _empty_table("bits", "model bits", "weights in memory", "loaded in")
    for loaded, seconds in subjects:
        table.add_row(
            safe(loaded.recipe),
            bits(loaded.bits_per_weight),
            bits(loaded.model_bits),
            size(loaded.memory["weights"]),
            f"{seconds:.2f} s",
        )
    return table


def _empty_table(*figures: str) -> Table:
    """Columns for recipes, which may fold, and for figures, which may not."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("recipe", overflow="fold")
    for figure in figures:
        table.add_column(figure, justify="right", no_wrap=True)
    return table


def job_name(job: Job) -> str:
    """Write a job: `prefill 256`, `decode 512 ×8`."""
    times = f" ×{job.batch}" if job.kind == "decode" else ""
    return f"{job.kind} {job.n_tokens}{times}"


def rate(number: float) -> str:
    """Write three digits of a rate, all of them from 100 on: `8.31`, `83.1`, `12,345`."""
    return f"{number:,.0f}" if number >= 99.95 else f"{number:#.3g}"


def _share(share: float, bounds: bool) -> Text:
    """Write a share in percent, bold where it says how near to its bound a job is."""
    from qbench.cli.terminal import safe
    from qbench.report.numbers import share as percent

    return safe(percent(share), "bold" if bounds else "")
