"""The two things a worker can be asked, as functions of plain JSON: describe cells, run a shard.

Both can be sent to any ``concurrent.futures.Executor``, in this process or another. A process keeps
the one model it used last, with its prepared tasks, so that the shards of a cell load it once.
"""

from __future__ import annotations

import importlib
import platform
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qbench.errors import DataError, QbenchError, RequestError
from qbench.study.cells import cell_facts
from qbench.study.execute import run_items
from qbench.study.records import CellFacts
from qbench.tasks import Prepared, PreparedItem, get_task, parse_task

Job = dict[str, Any]
Loader = Callable[..., Any]
LOAD_KEYS = ("path", "recipe", "mode", "threads", "chat_template", "memory")


class Session:
    """One model at a time, loaded by ``load``, and the tasks prepared for it."""

    def __init__(self, load: Loader) -> None:
        self._load = load
        self._guard = threading.RLock()
        self._model_key: tuple[Any, ...] | None = None
        self._model: Any = None
        self._prepared: dict[tuple[Any, ...], tuple[Prepared, dict[str, PreparedItem]]] = {}

    def describe(self, job: Job) -> Job:
        """Load a model and return, for each of its tasks, facts and item ids, or why not.

        Parameters
        ----------
        job
            ``name path recipe mode threads chat_template memory tasks data limit seed window
            stride``.

        Returns
        -------
        dict
            ``cells``: a list of ``{task, facts, n_total, item_ids}`` or ``{task, reason, trace}``.
        """
        cells = []
        with self._guard:
            self._open(job)
            for text in job["tasks"]:
                try:
                    facts, n_total, item_ids = self.facts(job | {"task": text})
                except Exception as error:
                    cells.append({"task": text, **describe_error(error)})
                    continue
                cells.append(
                    {
                        "task": text,
                        "facts": asdict(facts),
                        "n_total": n_total,
                        "item_ids": item_ids,
                    }
                )
        return {"cells": cells}

    def facts(self, job: Job) -> tuple[CellFacts, int, list[str]]:
        """Facts of one task's cell, its number of items without a limit, and the chosen ids."""
        with self._guard:
            model = self._open(job)
            prepared, by_id = self._prepare(model, job, job["task"])
        windows = _windows(job, prepared)
        facts = cell_facts(model, job["name"], prepared, seed=job["seed"], **windows)
        return facts, prepared.n_total, list(by_id)

    def run_shard(self, job: Job) -> Job:
        """Score the named items of one task.

        Parameters
        ----------
        job
            As for ``describe``, with ``task``, ``item_ids`` and ``repeat``.

        Returns
        -------
        dict
            ``records`` (in the order of the ids), ``seconds``, ``tokens``, ``host``.
        """
        with self._guard:
            model = self._open(job)
            prepared, by_id = self._prepare(model, job, job["task"])
        items = [by_id[item_id] for item_id in job["item_ids"]]
        start = time.perf_counter()
        records = run_items(model, prepared, items, seed=job["seed"], repeat=job["repeat"])
        return {
            "records": [asdict(record) for record in records],
            "seconds": time.perf_counter() - start,
            "tokens": sum(record.n_tokens for record in records),
            "host": platform.node(),
        }

    def _open(self, job: Job) -> Any:
        """Return the model of a job; the one before it is let go first, to make room."""
        key = tuple(job[name] for name in LOAD_KEYS)
        if key != self._model_key:
            self._model_key, self._model = None, None
            self._prepared.clear()
            path, recipe, mode, threads, template, memory = key
            # A loader need not know of budgets to serve a study without one.
            more = {} if memory is None else {"memory": memory}
            self._model = self._load(
                path, recipe=recipe, mode=mode, threads=threads, chat_template=template, **more
            )
            if hasattr(self._model, "keep_prefix"):
                self._model.keep_prefix = True  # shards of a task share their shots
            self._model_key = key
        return self._model

    def _prepare(self, model: Any, job: Job, text: str) -> tuple[Prepared, dict[str, PreparedItem]]:
        """Return a prepared task and its items by id."""
        key = (text, job["data"], job["limit"], job["seed"], job["window"], job["stride"])
        if key not in self._prepared:
            spec = parse_task(text)
            prepared = get_task(spec.task).prepare(
                spec,
                Path(job["data"]),
                tokenizer=model.tokenizer,
                context_length=model.context_length,
                limit=job["limit"],
                seed=job["seed"],
                window=job["window"],
                stride=job["stride"],
            )
            by_id = {item.id: item for item in prepared.items}
            if len(by_id) != len(prepared.items):
                raise DataError(f"{text}: two items have one id; the data files repeat an item")
            self._prepared[key] = (prepared, by_id)
        return self._prepared[key]


def _windows(job: Job, prepared: Prepared) -> dict[str, int | None]:
    """Window and stride, for the tasks whose score depends on them."""
    windowed = prepared.preset.kind == "perplexity"
    return {name: job[name] if windowed else None for name in ("window", "stride")}


def describe_error(error: BaseException) -> dict[str, str]:
    """Return a failure as one line, with the trace of what was not raised on purpose."""
    if isinstance(error, QbenchError):
        return {"reason": str(error), "trace": ""}
    trace = "".join(traceback.format_exception(error))
    line = str(error).strip().splitlines()
    return {
        "reason": f"internal error, {type(error).__name__}: {line[0] if line else ''}",
        "trace": trace,
    }


_sessions: dict[str, Session] = {}
_sessions_guard = threading.Lock()


def _session(job: Job) -> Session:
    """Return the session of this process for the loader that a job names."""
    with _sessions_guard:
        name = job["load"]
        if name not in _sessions:
            _sessions[name] = Session(resolve_name(name))
        return _sessions[name]


def describe(job: Job) -> Job:
    """Describe cells in whichever process this runs; see ``Session.describe``."""
    return _session(job).describe(job)


def run_shard(job: Job) -> Job:
    """Score items in whichever process this runs; see ``Session.run_shard``."""
    return _session(job).run_shard(job)


def resolve_name(name: str) -> Any:
    """Import what ``module:name`` names."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def name_of(function: Callable[..., Any]) -> str:
    """Write a module-level function as ``module:name``, by which another process can import it.

    Raises
    ------
    RequestError
        It is a lambda, a local function, a method, or stands in ``__main__``.
    """
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", "")
    if not module or module == "__main__" or not name.isidentifier():
        raise RequestError(
            f"{name or function!r} cannot be sent to another process; "
            "define it at the top of an importable module"
        )
    return f"{module}:{name}"
