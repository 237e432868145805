"""Several engines on the same work, each in its own process, asked in turn.

Knows how to start contestants, to leave out by name those that are not there, and to compare what
they answer round by round; what is asked is its caller's affair. Peers run under the Python of an
environment of their own (`make peers`), because each brings its own versions of everything.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
SETTLE_SECONDS = 0.3
"""Pause before a request: threads of the last one may spin on for a while."""


class Contestant:
    """A process that runs one script of ``benchmarks/contestants``."""

    def __init__(self, name: str, script: str, settings: Mapping[str, Any]) -> None:
        self.name = name
        python = sys.executable if script == "run_qbench" else str(PEERS_PYTHON)
        path = ROOT / "benchmarks" / "contestants" / f"{script}.py"
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._process = subprocess.Popen(
            [python, str(path), json.dumps(dict(settings))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self._read()

    def ask(self, what: str, **details: Any) -> Any:
        """Ask for something by name and return the answer."""
        assert self._process.stdin is not None
        time.sleep(SETTLE_SECONDS)
        self._process.stdin.write(json.dumps({"do": what} | details) + "\n")
        self._process.stdin.flush()
        return self._read().get("value")

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the process has ended"}
        if "error" in answer:
            self.close()
            raise RuntimeError(f"{self.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True)
class Entry:
    """Who takes part: a name, a script, and its settings beside folder and threads."""

    name: str
    script: str
    settings: Mapping[str, Any]


def start(
    entries: Sequence[Entry], folder: Path, threads: int, note: Callable[[str], None] = print
) -> list[Contestant]:
    """Start those that can be started; the others are noted with the reason."""
    started = []
    for entry in entries:
        if entry.script != "run_qbench" and not PEERS_PYTHON.exists():
            note(f"skipped: {entry.name} (no environment of peers; `make peers` makes it)")
            continue
        settings = {"folder": str(folder), "threads": threads} | dict(entry.settings)
        try:
            started.append(Contestant(entry.name, entry.script, settings))
        except (RuntimeError, OSError) as error:
            note(f"skipped: {error}")
    return started


def in_turn(
    contestants: Sequence[Contestant], rounds: int, what: str, **details: Any
) -> dict[str, list[Any]]:
    """Ask everybody the same, round by round; the first round warms up and is left out."""
    answers: dict[str, list[Any]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds + 1):
        for contestant in contestants:
            answer = contestant.ask(what, seed=number, **details)
            if number > 0:
                answers[contestant.name].append(answer)
    return answers


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """Median over the rounds of how many times faster the first one was, from seconds."""
    return statistics.median(b / a for a, b in zip(of, to, strict=True))
