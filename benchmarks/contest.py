"""Several engines on the same work, each in its own process, asked in turn.

Knows how to start contestants, to leave out by name those that are not there, and to compare what
they answer round by round; what is asked is its caller's affair. Peers run under the Python of an
environment of their own (`make peers`), because each brings its own versions of everything.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
SETTLE_SECONDS = 0.3
"""Pause before a request: threads of the last one may spin on for a while."""
LONGEST_REASON = 200


SCRIPTS = ROOT / "benchmarks" / "contestants"
OWN = "run_qbench"
"""The one script that runs under this Python."""


class Dropout(RuntimeError):
    """A contestant that cannot go on, and why."""


class Contestant:
    """A process that runs one script of ``benchmarks/contestants``."""

    def __init__(
        self, name: str, script: str, settings: Mapping[str, Any], scripts: Path = SCRIPTS
    ) -> None:
        self.name = name
        python = str(PEERS_PYTHON) if scripts == SCRIPTS and script != OWN else sys.executable
        path = scripts / f"{script}.py"
        self._complaints = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._process = subprocess.Popen(
            [python, str(path), json.dumps(dict(settings))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            env=environment,
        )
        self._read()

    def ask(self, what: str, **details: Any) -> Any:
        """Ask for something by name and return the answer."""
        assert self._process.stdin is not None
        time.sleep(SETTLE_SECONDS)
        try:
            self._process.stdin.write(json.dumps({"do": what} | details) + "\n")
            self._process.stdin.flush()
        except OSError:  # it has ended meanwhile: what it left behind says more
            pass
        return self._read().get("value")

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": self._end()}
        if "error" in answer:
            self.close()
            raise Dropout(f"{self.name}: {answer['error']}")
        return answer

    def _end(self) -> str:
        """How the process ended, and the last line that it wrote."""
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self._complaints.seek(0)
        lines = self._complaints.read().split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"the process has ended ({how}){': ' if last else ''}{last[:LONGEST_REASON]}"

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._complaints):
            try:
                if stream is not None:
                    stream.close()
            except OSError:  # what it did not read any more
                pass


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
        if entry.script != OWN and not PEERS_PYTHON.exists():
            note(f"skipped: {entry.name} (no environment of peers; `make peers` makes it)")
            continue
        settings = {"folder": str(folder), "threads": threads} | dict(entry.settings)
        try:
            started.append(Contestant(entry.name, entry.script, settings))
        except (Dropout, OSError) as error:
            note(f"skipped: {error}")
    return started


def in_turn(
    contestants: Sequence[Contestant],
    rounds: int,
    what: str,
    note: Callable[[str], None] = print,
    **details: Any,
) -> dict[str, list[Any]]:
    """Ask everybody the same, round by round; the first round warms up and is left out.

    Who drops out is noted with the reason, and has no part in the answers: rounds are compared one
    by one, and all that are there have as many.
    """
    answers: dict[str, list[Any]] = {contestant.name: [] for contestant in contestants}
    present = list(contestants)
    for number in range(rounds + 1):
        for contestant in list(present):
            try:
                answer = contestant.ask(what, seed=number, **details)
            except Dropout as error:
                note(f"left out: {error}")
                present.remove(contestant)
                del answers[contestant.name]
                continue
            if number > 0:
                answers[contestant.name].append(answer)
    return answers


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """Median over the rounds of how many times faster the first one was, from seconds."""
    return statistics.median(b / a for a, b in zip(of, to, strict=True))
