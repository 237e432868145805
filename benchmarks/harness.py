"""Timing that can be compared: repeats, interleaving, a record of the machine, one JSON shape.

A benchmark checks its results before it times them, hands over functions without arguments, and
prints what this module measured. Knows nothing of qbench's parts.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Timing:
    """Seconds of one subject; the least is the figure to quote, the median shows the noise."""

    least: float
    median: float
    repeats: int


def measure(
    subjects: Mapping[str, Callable[[], Any]], *, seconds: float = 1.0, least_repeats: int = 5
) -> dict[str, Timing]:
    """Time several subjects in turns, so that a change of the clock or the load meets all of them.

    Parameters
    ----------
    subjects
        Functions by name; each is called once before anything counts.
    seconds
        Time to spend on each subject, at least.
    least_repeats
        Calls of each subject, at least.
    """
    for call in subjects.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in subjects}
    end = time.perf_counter() + seconds * len(subjects)
    while time.perf_counter() < end or len(next(iter(times.values()))) < least_repeats:
        for name, call in subjects.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {
        name: Timing(min(taken), statistics.median(taken), len(taken))
        for name, taken in times.items()
    }


def machine() -> dict[str, Any]:
    """Describe where the figures were taken."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(":")[2] for line in lines if line.startswith("model name")), "")
    return {
        "cpu": model.strip() or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def write_json(path: Path, timings: Mapping[str, Timing], **facts: Any) -> None:
    """Write timings with the machine and any other facts."""
    record = {
        "machine": machine(),
        **facts,
        "timings": {name: asdict(timing) for name, timing in timings.items()},
    }
    path.write_text(json.dumps(record, indent=1) + "\n")
