"""One writer per store, whatever happened to the last one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from qbench.errors import StoreError
from qbench.study.store import Store

HOLD = """
import sys, time
from qbench.study.store import Store
store = Store.write(sys.argv[1])
print("open", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the store open for writing."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "s.db")],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.readline() == b"open\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_second_writer_is_refused_at_once_with_the_pid(tmp_path, holder):
    start = time.monotonic()
    with pytest.raises(StoreError, match=rf"process {holder.pid} .*is writing"):
        Store.write(tmp_path / "s.db")
    assert time.monotonic() - start < 1.0
    with Store.read(tmp_path / "s.db") as reader:
        assert reader.cells() == []


def test_lock_of_a_killed_writer_is_recovered(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    left = json.loads((tmp_path / "s.db.lock").read_text())
    assert left["pid"] == holder.pid and left["boot_id"]
    with Store.write(tmp_path / "s.db") as store:
        assert store.cells() == []
    assert not (tmp_path / "s.db.lock").exists()


def test_two_writers_in_one_process_are_kept_apart(tmp_path):
    with Store.write(tmp_path / "s.db") as store:
        with pytest.raises(StoreError, match=f"process {os.getpid()}, this one"):
            Store.write(tmp_path / "s.db")
        with Store.write(tmp_path / "other.db"):
            pass
        store.begin_run({})
    with Store.write(tmp_path / "s.db"):
        pass


def test_a_lock_file_full_of_nonsense_is_no_obstacle(tmp_path):
    (tmp_path / "s.db.lock").write_bytes(b"\xff{")
    with Store.write(tmp_path / "s.db") as store:
        store.close()
        store.close()
    with Store.write(tmp_path / "s.db"):
        pass
