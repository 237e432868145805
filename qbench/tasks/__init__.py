"""Benchmarks: items to requests to scores, with presets as data."""

from qbench.tasks.base import Prepared, PreparedItem, Preset, Score, Task
from qbench.tasks.catalog import get_task, list_tasks
from qbench.tasks.requests import ChatRequest, ChoiceRequest, Prompt, WindowRequest
from qbench.tasks.spec import TaskSpec, parse_task

__all__ = [
    "ChatRequest",
    "ChoiceRequest",
    "Prepared",
    "PreparedItem",
    "Preset",
    "Prompt",
    "Score",
    "Task",
    "TaskSpec",
    "WindowRequest",
    "get_task",
    "list_tasks",
    "parse_task",
]
