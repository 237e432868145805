"""Local worker processes as a ``concurrent.futures.Executor``.

Each worker is ``python -m qbench._worker``: spawned, never forked (a fork after OpenMP has run
hangs in its first parallel region), and without importing the caller's ``__main__``. Jobs and
answers are JSON lines over pipes. A worker that dies fails the job it had, with its last words, and
is replaced. Workers sit in a session of their own, so that Ctrl-C reaches the parent only, which
stops them; if the parent is killed their input ends, and so do they.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import IO, Any, NamedTuple

from qbench import errors
from qbench.errors import QbenchError, RequestError
from qbench.study.jobs import name_of

GRACE_SECONDS = 2.0


class WorkerDied(QbenchError, RuntimeError):
    """A worker process ended while it had a job: killed, out of memory, or crashed."""


class _Job(NamedTuple):
    """What waits in the queue."""

    future: Future[Any]
    line: bytes


class LocalWorkers(Executor):
    """Worker processes on this machine; ``threads`` is what each of them should compute with.

    Parameters
    ----------
    workers
        Number of processes, at least 1.
    threads
        Threads for each; None: the cores of this process shared out evenly.
    """

    def __init__(self, workers: int, *, threads: int | None = None) -> None:
        if workers < 1:
            raise RequestError(f"at least one worker is needed, not {workers}")
        self._max_workers = workers
        self.threads = threads or max(1, len(os.sched_getaffinity(0)) // workers)
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._workers = [_Worker(self._queue) for _ in range(workers)]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call of a module-level function with JSON arguments.

        Raises
        ------
        RequestError
            The function or an argument cannot be sent.
        """
        if self._closed:
            raise RuntimeError("these workers were shut down")
        try:
            call = json.dumps({"function": name_of(fn), "args": args, "kwargs": kwargs})
        except (TypeError, ValueError) as error:
            raise RequestError(f"a job for a worker must be plain JSON: {error}") from error
        future: Future[Any] = Future()
        self._queue.put(_Job(future, call.encode() + b"\n"))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the workers finish what is queued, or, cancelling, kill them at once."""
        if not self._closed:
            self._closed = True
            for _ in self._workers:
                self._queue.put(None)
        if cancel_futures:
            for worker in self._workers:
                worker.kill()
        if wait:
            for worker in self._workers:
                worker.thread.join()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        """Kill the workers when the block was left by an exception, else wait for them."""
        self.shutdown(wait=True, cancel_futures=kind is not None)
        return None


class _Worker:
    """One process and the thread that feeds it."""

    def __init__(self, jobs: queue.SimpleQueue[_Job | None]) -> None:
        self._jobs = jobs
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        self._guard = threading.Lock()
        self._killed = False
        self.thread = threading.Thread(target=self._feed, name="qbench-worker", daemon=True)
        self.thread.start()

    def kill(self) -> None:
        """End the process now; queued jobs are cancelled."""
        with self._guard:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def _feed(self) -> None:
        """Take jobs until told to stop."""
        while (job := self._jobs.get()) is not None:
            if self._killed:
                job.future.cancel()
            elif job.future.set_running_or_notify_cancel():
                self._serve(job)
        self._end()

    def _serve(self, job: _Job) -> None:
        """Send one job and hand its answer to the future."""
        try:
            process = self._start()
            assert process.stdin is not None and process.stdout is not None
            with contextlib.suppress(BrokenPipeError):  # it died idle: the empty answer tells
                process.stdin.write(job.line)
                process.stdin.flush()
            answer = process.stdout.readline()
            if answer.endswith(b"\n"):
                _settle(job.future, json.loads(answer))
            else:
                job.future.set_exception(WorkerDied(self._last_words(process)))
                self._end()
        except Exception as error:
            job.future.set_exception(error)
            self._end()

    def _start(self) -> subprocess.Popen[bytes]:
        """Return the running process, started if there is none."""
        with self._guard:
            if self._process is None:
                if self._killed:
                    raise WorkerDied("the workers were stopped")
                self._words = tempfile.TemporaryFile()  # noqa: SIM115 - lives with the process
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "qbench._worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._words,
                    start_new_session=True,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                )
            return self._process

    def _last_words(self, process: subprocess.Popen[bytes]) -> str:
        """Say how a process ended."""
        code = process.wait()
        how = f"exit code {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                how = signal.Signals(-code).name
            how += ", out of memory?" if -code == signal.SIGKILL else ""
        said = ""
        if self._words is not None:
            self._words.seek(0)
            lines = self._words.read().decode(errors="replace").strip().splitlines()
            said = f": {lines[-1][:200]}" if lines else ""
        return f"worker process {process.pid} died ({how}){said}; run again to resume"

    def _end(self) -> None:
        """Close the pipes, wait, and forget the process."""
        with self._guard:
            process, self._process = self._process, None
            words, self._words = self._words, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if words is not None:
            words.close()


def _settle(future: Future[Any], answer: dict[str, Any]) -> None:
    """Set result or exception; errors of qbench come back as the class they were."""
    if "result" in answer:
        future.set_result(answer["result"])
        return
    kind = getattr(errors, answer["error"], None)
    if isinstance(kind, type) and issubclass(kind, QbenchError):
        future.set_exception(kind(answer["message"]))
    else:
        future.set_exception(RemoteError(answer["error"], answer["message"], answer["trace"]))


class RemoteError(RuntimeError):
    """An unexpected exception in a worker: its class, its message, and its trace as a note."""

    def __init__(self, kind: str, message: str, trace: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.add_note(trace)
