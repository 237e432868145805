"""`qbench ls`: what there is: models, recipes, tasks, kernels, runs. Reads no weights."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from qbench.cli.options import JsonOption
from qbench.errors import CheckpointError, RequestError
from qbench.report.text import for_terminal

# Folders below the one that is named, in which models are looked for.
MODEL_DEPTH = 4
MAX_FOLDERS = 10_000

Row = dict[str, Any]


class Kind(StrEnum):
    """What can be listed."""

    MODELS = "models"
    RECIPES = "recipes"
    TASKS = "tasks"
    KERNELS = "kernels"
    RUNS = "runs"


def ls(
    kind: Annotated[Kind, typer.Argument(metavar="models|recipes|tasks|kernels|runs")],
    place: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER|STORE]", help="models: a folder or store; runs: a store."),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="runs: what failed, and why.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List models (embedded, of a folder or store), recipes, tasks, kernels, runs of a store."""
    if place is not None and kind not in (Kind.MODELS, Kind.RUNS):
        raise RequestError(f"ls {kind.value} takes no folder or store, found {place}")
    if failed and kind is not Kind.RUNS:
        raise RequestError("--failed goes with ls runs STORE")
    if kind is Kind.MODELS:
        rows = list_models(place) if place else _models_here()
    elif kind is Kind.RUNS:
        if place is None:
            raise RequestError("ls runs needs a store: qbench ls runs STORE")
        rows = list_failures(place) if failed else list_runs(place)
    else:
        rows = {Kind.RECIPES: list_recipes, Kind.TASKS: _tasks, Kind.KERNELS: list_kernels}[kind]()
    if as_json:
        from qbench.cli.terminal import print_json

        print_json(rows)
    else:
        _print_rows(rows, kind)


def _models_here() -> list[Row]:
    """List the models that come with the package and those below this folder, each once."""
    from qbench.mini.family import embedded_models

    embedded = {folder.resolve() for folder in embedded_models().values()}
    below = [row for row in list_models(Path()) if Path(row["model"]).resolve() not in embedded]
    return [*list_embedded(), *below]


def list_embedded() -> list[Row]:
    """List the models that come with the package, by the names that load them.

    Returns
    -------
    list of dict
        As ``list_models`` of a folder.
    """
    from qbench.mini.family import embedded_models

    return [{**_model(f, f), "model": name} for name, f in embedded_models().items()]


def list_models(place: Path) -> list[Row]:
    """List the models of a store, or those below a folder.

    Parameters
    ----------
    place
        A store, or a folder.

    Returns
    -------
    list of dict
        Of a folder: path, architecture, parameters, stored type, bytes, or a problem.

    Raises
    ------
    RequestError
        There is no such place.
    """
    if place.is_file():
        from qbench.study.store import Store

        with Store.read(place) as store:
            facts = [cell.facts for cell in store.cells()]
        names = dict.fromkeys(cell.model for cell in facts)
        return [
            {
                "model": name,
                "recipes": list(dict.fromkeys(c.recipe for c in facts if c.model == name)),
                "weights": next(c.weights_sha256[:12] for c in facts if c.model == name),
            }
            for name in names
        ]
    if not place.is_dir():
        raise RequestError(f"{place}: no such folder or store")
    return [_model(folder, place) for folder in _model_folders(place)]


def list_recipes() -> list[Row]:
    """List the methods that run now, with their defaults and options.

    Returns
    -------
    list of dict
    """
    from qbench.quant.method_table import METHOD_INFO
    from qbench.quant.recipe import AVAILABLE_BITS, Recipe, available_methods

    rows = []
    for name in available_methods():
        info = METHOD_INFO[name]
        example = Recipe.parse(f"{name}-w4" if info.form == "integer" else name).canonical
        bits = ", ".join(map(str, AVAILABLE_BITS)) if info.form == "integer" else ""
        options = ", ".join(f"{o.name}={o.spell(o.default)}" for o in info.options)
        rows.append(
            {
                "method": name,
                "example": example,
                "bits": bits,
                "options": options,
                "what": info.summary,
            }
        )
    return rows


def list_kernels() -> list[Row]:
    """List the weight formats of the core and the tiers whose kernels serve them here.

    Returns
    -------
    list of dict
    """
    from qbench import core

    tiers = [name for name, here in core.isa_tiers() if here]
    return [
        {
            "format": form.name,
            "bits": form.bits,
            "kind": form.kind,
            "tier in use": core.isa_tier(),
            "available": tiers,
        }
        for form in core.formats()
    ]


def list_runs(path: Path) -> list[Row]:
    """List the runs of a store, oldest first.

    Parameters
    ----------
    path
        The store.

    Returns
    -------
    list of dict
    """
    from qbench.study.store import Store

    with Store.read(path) as store:
        runs = store.runs()
    return [
        {
            "run": run.id,
            "started": _time(run.started),
            "seconds": None if run.ended is None else round(run.ended - run.started, 1),
            "state": run.state,
            "models": len(run.spec.get("models", ())),
            "recipes": len(run.spec.get("recipes", ())),
            "tasks": len(run.spec.get("tasks", ())),
            "limit": run.spec.get("limit"),
            "failed": len(run.failures),
            "version": run.version,
            "host": run.host,
        }
        for run in runs
    ]


def list_failures(path: Path) -> list[Row]:
    """List what failed in the runs of a store.

    Parameters
    ----------
    path
        The store.

    Returns
    -------
    list of dict
    """
    from qbench.study.store import Store

    with Store.read(path) as store:
        runs = store.runs()
    return [
        {
            "run": run.id,
            "model": failure.model,
            "recipe": failure.recipe,
            "task": failure.task,
            "reason": failure.reason,
        }
        for run in runs
        for failure in run.failures
    ]


def _tasks() -> list[Row]:
    """One row per preset; the first of a task is what its bare name means."""
    from qbench.tasks import get_task, list_tasks, parse_task

    rows = []
    for name in list_tasks():
        task = get_task(name)
        for preset in task.presets.values():
            rows.append(
                {
                    "task": parse_task(f"{name}:{preset.name}").canonical,
                    "default": preset.name == next(iter(task.presets)),
                    "kind": preset.kind,
                    "boundary": preset.boundary if preset.kind == "choice" else "",
                    "overflow": preset.overflow,
                    "metrics": ", ".join(metric.name for metric in task.metric_defs),
                    "what": preset.description,
                }
            )
    return rows


def _model_folders(top: Path) -> list[Path]:
    """Folders with a config.json, not deeper than MODEL_DEPTH, sorted."""
    found: list[Path] = []
    level, seen = [top], 0
    for _ in range(MODEL_DEPTH + 1):
        deeper: list[Path] = []
        for folder in level:
            seen += 1
            if seen > MAX_FOLDERS:
                raise RequestError(f"{top}: more than {MAX_FOLDERS} folders; name one further down")
            if (folder / "config.json").is_file():
                found.append(folder)
                continue
            try:
                deeper += [p for p in folder.iterdir() if p.is_dir() and not p.is_symlink()]
            except PermissionError:
                continue  # What the user may not read holds no model the user could load.
        level = deeper
    return sorted(found)


def _model(folder: Path, top: Path) -> Row:
    """Describe a model folder by its configuration and the size of its weights."""
    from qbench.models.config import decoder_spec, read_config
    from qbench.models.slots import tensor_slots

    row: Row = {"model": str(top / folder.relative_to(top))}
    try:
        config = read_config(folder)
        spec = decoder_spec(config, str(folder / "config.json"))
    except CheckpointError as error:
        return {**row, "problem": str(error)}
    n_parameters = sum(slot.size for slot in tensor_slots(spec))
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    quantization = config.get("quantization_config")
    recipe = quantization.get("recipe") if isinstance(quantization, dict) else None
    return {
        **row,
        "architecture": spec.architecture,
        "parameters": n_parameters,
        "stored": recipe or spec.stored_dtype,
        "context": spec.context_length,
        "bytes": weights,
        "problem": "" if weights else "no *.safetensors beside its config.json",
    }


def _time(seconds: float) -> str:
    """Local time, to the second."""
    from datetime import datetime

    return datetime.fromtimestamp(seconds).isoformat(sep=" ", timespec="seconds")


def _print_rows(rows: Sequence[Row], kind: Kind) -> None:
    """Print rows as aligned columns; without rich, whose import alone would take a tenth second."""
    if not rows:
        print(f"no {kind.value} here")
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    shown = [n for n in names if any(row.get(n) not in (None, "") for row in rows)]
    numeric = {n: all(type(row.get(n, 0)) in (int, float) for row in rows) for n in shown}
    cells = [
        shown,
        *([for_terminal(_text(row.get(name)), multiline=False) for name in shown] for row in rows),
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(shown))]
    for line in cells:
        aligned = (
            text.rjust(width) if numeric[name] else text.ljust(width)
            for name, text, width in zip(shown, line, widths, strict=True)
        )
        print("  ".join(aligned).rstrip())


def _text(value: object) -> str:
    """Write one field of a row."""
    if value is None or value is False:
        return ""
    if value is True:
        return "yes"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
