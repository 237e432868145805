"""Worker processes: answers, errors, crashes, and a study computed by them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import CancelledError, ProcessPoolExecutor

import pytest
from study.toys import item_rows, make_world, toy_study

from qbench.errors import DataError, RequestError
from qbench.study.schedule import FIRST_ITEMS
from qbench.study.workers import LocalWorkers, RemoteError, WorkerDied


def echo(value):
    return value


def shout(text):
    print(text, flush=True)
    return text.upper()


def fail(kind):
    if kind == "data":
        raise DataError("row 3 of x.csv is broken; repair it")
    raise LookupError("nothing here")


def die(word):
    import os
    import sys

    print(word, file=sys.stderr, flush=True)
    os.abort()


def name_of_main():
    import sys

    return getattr(sys.modules["__main__"].__spec__, "name", "")


@pytest.fixture(scope="module")
def workers():
    with LocalWorkers(2, threads=1) as executor:
        yield executor


def call(workers, function, *arguments):
    function.__module__ = "study.test_workers"
    return workers.submit(function, *arguments).result(timeout=60)


def test_values_come_back_as_they_were(workers):
    value = {"text": "line\nbreak \u2028 ö \ud800", "numbers": [1, 0.1, -1e-300, None, True]}
    assert call(workers, echo, value) == value
    assert call(workers, shout, "printed") == "PRINTED"


def test_main_is_the_worker_not_the_caller(workers):
    assert call(workers, name_of_main) == "qbench._worker"


def session_and_parent():
    import os

    return os.getsid(0), os.getppid()


def test_workers_do_not_hear_the_terminal(workers):
    session, parent = call(workers, session_and_parent)
    assert parent == os.getpid() and session != os.getsid(0)


def test_a_worker_ends_with_its_input_in_the_middle_of_a_job():
    process = subprocess.Popen(
        [sys.executable, "-m", "qbench._worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    jobs = [("math:sqrt", 9), ("time:sleep", 60)]
    for function, argument in jobs:
        call = {"function": function, "args": [argument], "kwargs": {}}
        process.stdin.write(json.dumps(call).encode() + b"\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"result": 3.0}
    process.stdin.close()
    assert process.wait(timeout=5) == 0
    process.stdout.close()


def test_errors_keep_their_class_and_message(workers):
    with pytest.raises(DataError, match=r"row 3 of x\.csv"):
        call(workers, fail, "data")
    with pytest.raises(RemoteError, match="LookupError: nothing here") as caught:
        call(workers, fail, "other")
    assert "in fail" in caught.value.__notes__[0]


def test_a_crash_fails_its_job_only(workers):
    with pytest.raises(WorkerDied, match=r"SIGABRT\).*: last words; run again"):
        call(workers, die, "last words")
    assert [call(workers, echo, i) for i in range(4)] == [0, 1, 2, 3]


def test_what_cannot_be_sent_is_refused(workers):
    for function, argument in ((lambda x: x, 1), (echo, {1, 2}), (echo, object())):
        with pytest.raises(RequestError, match=r"importable|plain JSON"):
            workers.submit(function, argument)
    with pytest.raises(RequestError, match="at least one worker"):
        LocalWorkers(0)


def test_shutdown_cancels_or_finishes():
    echo.__module__ = "study.test_workers"
    executor = LocalWorkers(1)
    futures = [executor.submit(echo, i) for i in range(5)]
    executor.shutdown()
    assert [future.result() for future in futures] == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(echo, 1)
    executor = LocalWorkers(1)
    futures = [executor.submit(echo, i) for i in range(5)]
    executor.shutdown(cancel_futures=True)
    for future in futures:
        try:
            assert future.result(timeout=10) in range(5)
        except (CancelledError, WorkerDied):
            continue
    assert not any(t.name == "qbench-worker" and t.is_alive() for t in executor_threads(executor))


def executor_threads(executor) -> list[threading.Thread]:
    return [worker.thread for worker in executor._workers]


def test_a_study_by_workers_equals_one_without(tmp_path, monkeypatch):
    world = make_world(tmp_path, n_items=90)
    toy_study(world).run()
    for name, make in (("a", LocalWorkers), ("b", ProcessPoolExecutor)):
        other = tmp_path / f"{name}.db"
        with make(2) as executor:
            results = toy_study(world, store=other).run(executor)
        assert results.failures == () and item_rows(other) == item_rows(world.store)


def test_a_worker_that_dies_fails_its_cell_and_the_rest_goes_on(tmp_path, monkeypatch):
    world = make_world(tmp_path, n_items=600)
    (world.data / "snli" / "snli_test.csv").write_text(
        (world.data / "snli" / "snli_test.csv").read_text().replace("hat 7.", "kill me hat 7.")
    )
    monkeypatch.setenv("QBENCH_TOY_POISON", "kill me")
    monkeypatch.setenv("QBENCH_TOY_DELAY", "0.05")
    with LocalWorkers(2) as executor:
        results = toy_study(world, models=[world.small]).run(executor)
    assert {f.task for f in results.failures} == {"snli:words@0"}
    assert all("out of memory?" in f.reason for f in results.failures)
    states = {(row.task, row.state) for row in results.rows()}
    assert ("perplexity", "done") in states and ("snli", "failed") in states
    snli = next(row for row in results.rows() if row.task == "snli")
    assert snli.n_items == 600 - FIRST_ITEMS, "only the shard with the poison is missing"
    monkeypatch.delenv("QBENCH_TOY_POISON")
    with LocalWorkers(2) as executor:
        assert toy_study(world, models=[world.small]).run(executor).failures == ()
