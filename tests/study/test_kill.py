"""Studies that are interrupted or killed: nothing is lost, nothing is computed twice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from study.toys import item_rows, make_world, toy_study

from qbench.study.store import Store

RUN = """
import sys
from pathlib import Path
from types import SimpleNamespace
from study.toys import toy_study
from qbench.study.workers import LocalWorkers
folder, workers = Path(sys.argv[1]), int(sys.argv[2])
world = SimpleNamespace(small=folder / "small", big=folder / "big" / "hf", data=folder / "data",
                        store=folder / "s.db")
say = lambda event: print(event.phase, event.done, flush=True)
try:
    if workers:
        with LocalWorkers(workers) as executor:
            toy_study(world).run(executor, say)
    else:
        toy_study(world).run(on_progress=say)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("QBENCH_TOY_LOG", str(tmp_path / "calls"))
    return make_world(tmp_path, n_items=120)


def start(folder, workers: int = 0, delay: float = 0.0) -> subprocess.Popen:
    """The toy study in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), str(workers)],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "QBENCH_TOY_DELAY": str(delay)},
    )


def wait_for_items(process: subprocess.Popen) -> None:
    """Return when the first shard is stored."""
    for line in process.stdout:
        if line.startswith((b"run", b"done")) and not line.endswith(b" 0\n"):
            return
    raise AssertionError("the study ended without storing anything")


def truth(world) -> dict:
    """Rows of an uninterrupted run, in another store."""
    other = world.store.with_name("whole.db")
    toy_study(world, store=other).run()
    return item_rows(other)


def n_calls(world) -> int:
    return len((world.store.with_name("calls")).read_bytes().splitlines())


@pytest.mark.parametrize("attempts", [5, pytest.param(40, marks=pytest.mark.slow)])
def test_sigkill_at_random_moments(world, tmp_path, attempts):
    whole = truth(world)
    calls_of_whole = n_calls(world)
    rng = random.Random(11)
    kills = 0
    for _ in range(attempts):
        process = start(tmp_path, delay=0.05 if attempts < 10 else 0.002)
        try:
            wait_for_items(process)
        except AssertionError:
            process.wait()
            process.stdout.close()
            break
        time.sleep(rng.uniform(0.0, 0.25))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        partial = item_rows(world.store)
        assert partial.items() <= whole.items(), "what is stored is right, bit for bit"
    assert kills >= 3, "the study must not be over before it is killed"
    results = toy_study(world).run()
    assert item_rows(world.store) == whole
    assert {row.state for row in results.rows()} == {"done"}
    connection = sqlite3.connect(world.store)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT total(n_items) FROM shard").fetchone()[0] == len(whole)
    connection.close()
    lost = n_calls(world) - 2 * calls_of_whole
    assert 0 <= lost <= kills * 64 * 3, "each kill costs at most the shard at work"


def test_after_a_kill_only_what_is_missing_is_computed(world, tmp_path):
    whole = truth(world)
    process = start(tmp_path, delay=0.01)
    wait_for_items(process)
    process.kill()
    process.wait()
    process.stdout.close()
    stored = item_rows(world.store)
    missing = len(whole) - len(stored)
    assert 0 < missing < len(whole)
    toy_study(world).run()
    with Store.read(world.store) as store:
        assert [run.state for run in store.runs()] == ["killed", "done"]
    connection = sqlite3.connect(world.store)
    (second,) = connection.execute("SELECT total(n_items) FROM shard WHERE run=2").fetchone()
    connection.close()
    assert second == missing and item_rows(world.store) == whole


@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_is_answered_within_half_a_second(world, tmp_path, workers):
    process = start(tmp_path, workers, delay=0.02)
    wait_for_items(process)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert time.monotonic() - sent < 0.5
    process.stdout.close()
    with Store.read(world.store) as store:
        assert store.runs()[-1].state == "interrupted"
    assert not world.store.with_name("s.db.lock").exists()
    partial = item_rows(world.store)
    toy_study(world).run()
    assert partial.items() <= item_rows(world.store).items()


def test_workers_of_a_killed_study_end_by_themselves(world, tmp_path):
    process = start(tmp_path, 2, delay=0.02)
    wait_for_items(process)
    workers = _children(process.pid)
    assert len(workers) == 2
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 5.0
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlives its study"
        time.sleep(0.02)


def _children(pid: int) -> list[int]:
    """Processes whose parent is ``pid``."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, check=False
    )
    return [int(line) for line in listed.stdout.split()]


def _alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
