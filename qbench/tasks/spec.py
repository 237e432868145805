"""The grammar of tasks: ``name[:preset][@shots]``, expanded and printed in full everywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qbench.errors import RequestError
from qbench.registry import unknown_name
from qbench.tasks.catalog import get_task

GRAMMAR = re.compile(r"([^:@]+)(?::([^:@]+))?(?:@([0-9]{1,3}))?")


@dataclass(frozen=True)
class TaskSpec:
    """A task, one of its presets, and the number of shots; None where shots mean nothing."""

    task: str
    preset: str
    shots: int | None

    @property
    def canonical(self) -> str:
        """The full form, e.g. ``mmlu:lm-eval@5``."""
        return f"{self.task}:{self.preset}" + ("" if self.shots is None else f"@{self.shots}")


def parse_task(text: str) -> TaskSpec:
    """Parse and expand a task.

    Parameters
    ----------
    text
        E.g. ``mmlu``, ``mmlu:official``, ``mmlu@0``, ``perplexity``. A missing preset is the task's
        first one, missing shots are the preset's default.

    Returns
    -------
    TaskSpec

    Raises
    ------
    RequestError
        Not of that form, an unknown task or preset (naming near ones), or shots that the preset
        does not take.
    """
    match = GRAMMAR.fullmatch(text.strip())
    if match is None:
        raise RequestError(
            f"{text!r} is no task; write name[:preset][@shots], as in mmlu:lm-eval@5"
        )
    name, preset_name, shots_text = match.groups()
    task = get_task(name)
    if preset_name is None:
        preset_name = next(iter(task.presets))
    if preset_name not in task.presets:
        raise RequestError(unknown_name(f"preset of {name}", preset_name, task.presets))
    preset = task.presets[preset_name]
    shots = preset.default_shots if shots_text is None else int(shots_text)
    if shots is not None and shots > preset.max_shots:
        takes = f"at most {preset.max_shots} shots" if preset.max_shots else "no shots"
        raise RequestError(f"{name}:{preset_name} takes {takes}, not {shots}")
    return TaskSpec(name, preset_name, shots if preset.default_shots is not None else None)
