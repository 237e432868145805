"""Runs the scripts of tests/core/isolated, each in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import qbench

FOLDER = Path(__file__).resolve().parent
TESTS = FOLDER.parent


def environment(**changes: str) -> dict[str, str]:
    """The environment in which a child finds the package under test and the tests' helpers."""
    found = os.environ | changes
    package = str(Path(qbench.__file__).resolve().parent.parent)
    paths = [str(TESTS), package, *filter(None, [found.get("PYTHONPATH")])]
    return {**found, "PYTHONPATH": os.pathsep.join(paths)}


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(FOLDER / "isolated" / script), *arguments],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(script: str, *arguments: str, timeout: float = 120) -> str:
    """Standard output of a script that must end well."""
    process = start(script, *arguments)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, f"{script} ended with {process.returncode}:\n{err}"
    return out
