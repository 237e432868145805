"""A study: models x recipes x tasks, computed into one store, resumed by itself.

What is missing in the store is computed, item by item, and nothing else. A cell that fails is noted
with its reason and the others go on.
"""

from __future__ import annotations

import importlib
import math
import os
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from qbench.errors import RequestError
from qbench.models.chat.process import FROZEN_DATE
from qbench.models.hub import commit_of
from qbench.study.compare import Comparison
from qbench.study.jobs import Session, name_of
from qbench.study.plan import ModelLike, Plan, make_plan
from qbench.study.progress import OnProgress
from qbench.study.records import Failure
from qbench.study.results import Results
from qbench.study.schedule import InlineExecutor, Scheduler
from qbench.study.store import Store
from qbench.study.workers import LocalWorkers

TOML_KEYS = (
    "models", "recipes", "tasks", "store", "data", "limit", "mode", "seed", "chat_template",
    "threads", "memory", "window", "stride",
)  # fmt: skip


class Study:
    """What to compute and where to keep it; nothing happens before ``run``.

    Parameters
    ----------
    models
        Folders or hub ids, or pairs (name, folder).
    recipes
        E.g. ``["f16", "rtn-w4g128"]``; empty: each model as it is stored.
    tasks
        E.g. ``["mmlu:lm-eval@5", "perplexity"]``.
    store
        The SQLite file; made if absent, resumed if present.
    data
        Folder of the benchmark files; None: ``$QBENCH_DATA``.
    limit
        Items per task, None for all. A larger limit later computes only the rest.
    mode
        ``exact``, ``faithful`` or ``fast``.
    seed
        Of the sample of items and of sampled generation.
    chat_template
        Name or source of a template, for presets that chat.
    threads
        For each process; None: all cores, shared out among local workers.
    memory
        GiB for each process; None: as ``qbench.load`` has it.
    window, stride
        Of perplexity, in tokens.
    load
        What loads a model; None: ``qbench.load``.
    """

    def __init__(
        self,
        models: Sequence[ModelLike],
        recipes: Sequence[str],
        tasks: Sequence[str],
        store: str | Path = "study.db",
        *,
        data: str | Path | None = None,
        limit: int | None = None,
        mode: str = "faithful",
        seed: int = 0,
        chat_template: str | None = None,
        threads: int | None = None,
        memory: float | None = None,
        window: int | None = None,
        stride: int | None = None,
        load: Callable[..., Any] | None = None,
    ) -> None:
        self.models = models
        self.recipes = recipes
        self.tasks = tasks
        self.store = Path(store)
        self.data = data
        self.limit = limit
        self.mode = mode
        self.seed = seed
        self.chat_template = chat_template
        self.threads = threads
        self.memory = memory
        self.window = window
        self.stride = stride
        self._load = load
        self._keys: list[str] | None = None

    @classmethod
    def from_toml(cls, path: str | Path) -> Study:
        """Read a study from a TOML file; paths in it are relative to its folder.

        Raises
        ------
        RequestError
            The file is missing or broken, or a key is unknown, absent or of the wrong type.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                content = tomllib.load(file)
        except (OSError, ValueError) as error:
            raise RequestError(f"{path}: no readable TOML file ({error})") from error
        for key in content:
            if key not in TOML_KEYS:
                near = get_close_matches(key, TOML_KEYS, 1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(TOML_KEYS)}"
                raise RequestError(f"{path}: unknown key {key!r}; {hint}")
        for key in ("models", "recipes", "tasks"):
            texts = content.get(key, [] if key == "recipes" else None)
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise RequestError(f"{path}: {key} must be a list of strings")
            content[key] = texts
        base = path.parent
        content["models"] = [
            str(base / text) if (base / text).exists() else text for text in content["models"]
        ]
        for key in ("store", "data"):
            if key in content:
                content[key] = base / str(content[key])
        return cls(**content)

    def plan(self) -> Plan:
        """Check the request and order its cells, without loading anything.

        Raises
        ------
        RequestError
            A recipe, task, model or folder that is not there, or an impossible number.
        """
        for name in ("limit", "threads", "window", "stride"):
            number = getattr(self, name)
            if number is not None and (not isinstance(number, int) or number < 1):
                raise RequestError(f"{name} must be a whole number of at least 1, not {number!r}")
        if self.memory is not None and not (
            isinstance(self.memory, int | float) and 0.0 < self.memory < math.inf
        ):
            raise RequestError(f"memory must be GiB, a number above 0, not {self.memory!r}")
        return make_plan(
            self.models,
            self.recipes,
            self.tasks,
            data=self.data,
            mode=self.mode,
            window=self.window,
            stride=self.stride,
        )

    def run(
        self, executor: Executor | None = None, on_progress: OnProgress | None = None
    ) -> Results:
        """Compute what is missing in the store.

        Parameters
        ----------
        executor
            None computes in this process. ``LocalWorkers(n)`` or any other
            ``concurrent.futures.Executor`` gets module-level functions with JSON arguments; the
            store is written here only.
        on_progress
            Called with ``Progress`` events, in this thread.

        Returns
        -------
        Results
            Of this study's cells; ``failures`` holds what could not be computed.

        Raises
        ------
        RequestError
            Before anything is loaded, when the request is wrong.
        StoreError
            The store is locked, damaged, or the disk is full.
        KeyboardInterrupt
            Passed on after the store is closed; whole shards are kept.
        """
        plan = self.plan()
        base = self._base_job(plan, executor)
        failures: list[Failure] = []
        with ExitStack() as stack:
            store = stack.enter_context(Store.write(self.store))
            run_id = store.begin_run(self._request(plan))
            scheduler = Scheduler(
                plan, store, run_id, executor or InlineExecutor(), base, on_progress,
                failures=failures,
            )  # fmt: skip
            if executor is None:
                session = Session(self._loader())
                scheduler.describe_job = session.describe
                scheduler.shard_job = session.run_shard
            state = "interrupted"
            try:
                scheduler.run()
                state = "failed" if failures else "done"
            finally:
                self._keys = list(scheduler.keys)
                store.end_run(run_id, state, failures)
        return self.results

    @property
    def results(self) -> Results:
        """Scores of this study's cells, or, before ``run``, of all cells of the store."""
        return Results.from_store(self.store, self._keys)

    def compare(self, a: str, b: str, *, across: bool = False) -> Comparison:
        """Compare two recipes item by item; see ``Results.compare``."""
        return self.results.compare(a, b, across=across)

    def report(self, path: str | Path) -> None:
        """Write the results as one self-contained HTML page.

        Parameters
        ----------
        path
            The file; one that stands there is replaced in one step.
        """
        # Pages lie above studies in the layers, so this one is looked up by name when asked for.
        page = importlib.import_module("qbench.report.html")
        with Store.read(self.store) as store:
            runs = store.runs()
        page.write(path, self.results, runs=runs)

    def _loader(self) -> Callable[..., Any]:
        """Return what loads a model."""
        if self._load is not None:
            return self._load
        from qbench.quant.load import load

        return load

    def _base_job(self, plan: Plan, executor: Executor | None) -> dict[str, Any]:
        """Fields that all jobs of this study share."""
        return {
            "load": "" if executor is None else name_of(self._loader()),
            "mode": self.mode,
            "threads": self.threads or _threads_per_worker(executor),
            "memory": self.memory,
            "chat_template": self.chat_template,
            "data": str(plan.data.absolute()),
            "limit": self.limit,
            "seed": self.seed,
            "window": self.window,
            "stride": self.stride,
        }

    def _request(self, plan: Plan) -> dict[str, Any]:
        """Write down what was asked for, for the ``run`` table."""
        return {
            "models": {group.model.name: str(group.model.path) for group in plan.groups},
            "revisions": {g.model.name: commit_of(g.model.path) for g in plan.groups},
            "recipes": list(dict.fromkeys(group.recipe for group in plan.groups)),
            "tasks": [spec.canonical for spec in plan.groups[0].tasks],
            "data": str(plan.data),
            "limit": self.limit,
            "mode": self.mode,
            "seed": self.seed,
            "threads": self.threads,
            "memory": self.memory,
            "chat_template": self.chat_template,
            "chat_date": FROZEN_DATE,
            "window": self.window,
            "stride": self.stride,
        }


def _threads_per_worker(executor: Executor | None) -> int | None:
    """Share the cores out among workers on this machine; None leaves the choice to the engine."""
    if isinstance(executor, LocalWorkers):
        return executor.threads
    workers = getattr(executor, "_max_workers", None)
    if not isinstance(workers, int):
        return None
    return max(1, len(os.sched_getaffinity(0)) // workers)
