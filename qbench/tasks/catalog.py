"""The tasks that exist, by name, each in a module that is imported on first use."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, cast

from qbench.errors import RequestError
from qbench.registry import unknown_name

if TYPE_CHECKING:
    from qbench.tasks.base import Task

TASKS = {
    "mmlu": "qbench.tasks.mmlu:Mmlu",
    "perplexity": "qbench.tasks.perplexity:Perplexity",
    "snli": "qbench.tasks.snli:Snli",
}


@cache
def get_task(name: str) -> Task:
    """Return the task of a name.

    Raises
    ------
    RequestError
        There is none; names the nearest ones.
    """
    if name not in TASKS:
        raise RequestError(unknown_name("task", name, TASKS))
    module, _, attribute = TASKS[name].partition(":")
    return cast("Task", getattr(importlib.import_module(module), attribute)())


def list_tasks() -> tuple[str, ...]:
    """Return the names of all tasks, sorted."""
    return tuple(sorted(TASKS))
