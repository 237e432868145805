"""What a study will do: models x recipes x tasks, checked before anything is loaded.

Cells are ordered so that a model under a recipe is loaded once and then does all its tasks. A
misspelt recipe, an unknown task or a missing folder is refused here, in the first second, not after
an hour of quantizing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qbench.errors import RequestError
from qbench.models.hub import resolve
from qbench.quant.recipe import Recipe, require_available
from qbench.tasks import TaskSpec, get_task, parse_task

DATA_VARIABLE = "QBENCH_DATA"
GENERIC_NAMES = frozenset({"hf", "main", "model", "models", "checkpoint", "weights", "snapshot"})
REVISION = re.compile(r"[0-9a-f]{40}")

ModelLike = str | Path | tuple[str, str | Path]


@dataclass(frozen=True)
class ModelRef:
    """A model folder and the name it goes by in tables."""

    name: str
    path: Path


@dataclass(frozen=True)
class Group:
    """A model under a recipe with its tasks: what one load serves. Recipe None: as stored."""

    model: ModelRef
    recipe: str | None
    tasks: tuple[TaskSpec, ...]


@dataclass(frozen=True)
class Plan:
    """Groups in the order in which they run, and the data folder."""

    groups: tuple[Group, ...]
    data: Path

    @property
    def n_cells(self) -> int:
        """Cells of all groups."""
        return sum(len(group.tasks) for group in self.groups)


def make_plan(
    models: Sequence[ModelLike],
    recipes: Sequence[str],
    tasks: Sequence[str],
    *,
    data: str | Path | None,
    mode: str,
    window: int | None = None,
    stride: int | None = None,
) -> Plan:
    """Check a request and order its cells.

    Parameters
    ----------
    models
        Folders or hub ids, or pairs (name, folder).
    recipes
        In the grammar of ``Recipe``; none means each model as it is stored.
    tasks
        In the grammar of ``parse_task``.
    data
        Folder of the benchmark files; None: ``$QBENCH_DATA``.
    mode
        Precision mode, against which recipes are checked.
    window, stride
        Of perplexity, in tokens.

    Returns
    -------
    Plan

    Raises
    ------
    RequestError
        Something named does not exist. RecipeError for recipes, DataError for a broken file.
    """
    for what, given in (("model", models), ("task", tasks)):
        if not given:
            raise RequestError(f"a study needs at least one {what}")
        if isinstance(given, str | Path):
            raise RequestError(f"{what}s are given as a list: [{str(given)!r}]")
    require_available(Recipe.parse("f32"), mode)
    chosen: list[str | None] = list(dict.fromkeys(_recipe(text, mode) for text in recipes))
    specs = tuple(dict.fromkeys(parse_task(text) for text in tasks))
    folder = data_folder(data)
    refs = name_models(models)
    for spec in specs:
        _read_data(spec, folder, window, stride)
    groups = [Group(ref, recipe, specs) for ref in refs for recipe in chosen or [None]]
    return Plan(tuple(groups), folder)


def data_folder(data: str | Path | None) -> Path:
    """Return the folder of the benchmark files: as given, else ``$QBENCH_DATA``.

    Raises
    ------
    RequestError
        Neither is given, or there is no such folder.
    """
    given = data if data is not None else os.environ.get(DATA_VARIABLE)
    if not given:
        raise RequestError(
            f"no data folder: give data= (--data on the command line) or set ${DATA_VARIABLE}"
        )
    folder = Path(given)
    if not folder.is_dir():
        raise RequestError(
            f"{folder}: no such data folder; data= or ${DATA_VARIABLE} must name one"
        )
    return folder


class _AnyTokenizer:
    """Stands for the tokenizer of a model that is not loaded yet, where only files are checked."""

    bos_id = None
    chat_template = "any"

    def encode(self, text: str, *, bos: bool | None = None) -> list[int]:
        """Ids of a made-up text that is long enough for any window."""
        return [0] * max(8192, len(text) // 4)


def _read_data(spec: TaskSpec, folder: Path, window: int | None, stride: int | None) -> None:
    """Read a task's files once: a missing or broken one is told before a model is loaded."""
    get_task(spec.task).prepare(
        spec,
        folder,
        tokenizer=_AnyTokenizer(),
        context_length=1 << 30,
        limit=1,
        seed=0,
        window=window,
        stride=stride,
    )


def name_models(models: Sequence[ModelLike]) -> list[ModelRef]:
    """Resolve models and give each a name that no other has.

    A folder goes by its own name, with its parent's in front when it says nothing (``hf``, a
    revision) or when two would be called the same. A hub id is its own name.
    """
    wanted = [
        (entry[0], entry[1]) if isinstance(entry, tuple) else (None, entry) for entry in models
    ]
    refs = []
    for name, place in wanted:
        path = resolve(str(place))
        is_id = name is None and not Path(place).exists()
        refs.append((name or (str(place) if is_id else None), path.absolute()))
    depth = 1
    names = [name or _folder_name(path, depth) for name, path in refs]
    while len(set(names)) < len(names) and depth < 8:
        depth += 1
        twice = {name for name in names if names.count(name) > 1}
        names = [
            _folder_name(path, depth) if name in twice and given is None else name
            for name, (given, path) in zip(names, refs, strict=True)
        ]
    if len(set(names)) < len(names):
        twice = {name for name in names if names.count(name) > 1}
        raise RequestError(f"the model {sorted(twice)[0]!r} is given twice")
    return [ModelRef(name, path) for name, (_, path) in zip(names, refs, strict=True)]


def _recipe(text: str, mode: str) -> str:
    """Canonical form of a recipe that can be run."""
    recipe = Recipe.parse(text)
    require_available(recipe, mode)
    return recipe.canonical


def _folder_name(path: Path, depth: int) -> str:
    """Last ``depth`` parts of a path, and one more for each that says nothing."""
    parts = [part for part in path.resolve().parts if part != path.anchor]
    take = depth
    while take < len(parts) and _says_nothing(parts[-take]):
        take += 1
    return "/".join(parts[-take:]) or str(path)


def _says_nothing(part: str) -> bool:
    """Whether a folder name is the same for most models."""
    return part.lower() in GENERIC_NAMES or REVISION.fullmatch(part) is not None
