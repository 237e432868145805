"""The loop of a study: describe a group, run its shards, store what comes back, one writer.

It serves the calling process and any executor alike. Only as many shards are given out as keep the
executor busy, and each is cut when it is given out: at most 64 items, fewer when items are slow, so
that about half a minute of work is at stake. The next group is described when the shards of the one
before it are all given out, so that workers do not swap models.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any

from qbench.errors import QbenchError
from qbench.study.jobs import Job, describe, describe_error, run_shard
from qbench.study.plan import Group, Plan
from qbench.study.progress import OnProgress, Progress, RunningScore
from qbench.study.records import Failure, ItemRecord, facts_from_json, finite
from qbench.study.rows import StoredCell
from qbench.study.store import Store
from qbench.study.workers import WorkerDied

SHARD_ITEMS = 64
FIRST_ITEMS = 16
SHARD_SECONDS = 30.0
POLL_SECONDS = 0.2


class InlineExecutor(Executor):
    """Runs a job at once in the calling thread; an interrupt goes straight to the caller."""

    _max_workers = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run and return a finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass
class _OpenCell:
    """A cell whose items are being computed."""

    group: Group
    task: str
    number: int
    stored: StoredCell
    pending: deque[str]
    score: RunningScore
    done: int
    total: int
    in_flight: int = 0
    tokens: int = 0
    seconds: float = 0.0
    computed: int = 0
    reason: str = ""

    def next_items(self) -> list[str]:
        """Take the items of the next shard, by the speed seen so far."""
        size = FIRST_ITEMS
        if self.computed:
            per_item = self.seconds / self.computed
            size = SHARD_ITEMS if per_item <= 0 else int(SHARD_SECONDS / per_item)
        size = max(1, min(SHARD_ITEMS, size, len(self.pending)))
        return [self.pending.popleft() for _ in range(size)]


@dataclass
class Scheduler:
    """One run of a plan into a store.

    ``describe_job`` and ``shard_job`` are what is submitted; ``base`` holds the fields that all
    jobs share.
    """

    plan: Plan
    store: Store
    run_id: int
    executor: Executor
    base: Job
    on_progress: OnProgress | None = None
    describe_job: Callable[[Job], Job] = describe
    shard_job: Callable[[Job], Job] = run_shard
    failures: list[Failure] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Run everything; only StoreError, KeyboardInterrupt and the like leave this loop."""
        self._open: deque[_OpenCell] = deque()
        self._groups = deque(self.plan.groups)
        self._started = 0
        self._describing = False
        flying: dict[Future[Job], Group | _OpenCell] = {}
        try:
            while True:
                for _ in range(self._slots() - len(flying)):
                    given = self._give_out()
                    if given is None:
                        break
                    flying[given[0]] = given[1]
                if not flying:
                    return
                finished, _ = wait(flying, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in finished:
                    self._take(future, flying.pop(future))
        finally:
            for future in flying:
                future.cancel()

    def _slots(self) -> int:
        """Jobs to keep given out: the workers' number and one to follow, one when inline."""
        if isinstance(self.executor, InlineExecutor):
            return 1
        workers = getattr(self.executor, "_max_workers", None)
        return (workers if isinstance(workers, int) else os.cpu_count() or 1) + 1

    def _give_out(self) -> tuple[Future[Job], Group | _OpenCell] | None:
        """Submit the next shard, or the next group's description; None when there is neither."""
        while self._open and not self._open[0].pending:
            self._open.popleft()
        if self._open:
            cell = self._open[0]
            job = self._job(cell.group) | {
                "task": cell.task,
                "item_ids": cell.next_items(),
                "repeat": 0,
            }
            cell.in_flight += 1
            return self._submit(self.shard_job, job), cell
        if self._groups and not self._describing:
            group = self._groups.popleft()
            self._describing = True
            self._tell("load", group, "", self._started + 1)
            job = self._job(group) | {"tasks": [spec.canonical for spec in group.tasks]}
            return self._submit(self.describe_job, job), group
        return None

    def _submit(self, function: Callable[[Job], Job], job: Job) -> Future[Job]:
        """Give a job to the executor."""
        try:
            return self.executor.submit(function, job)
        except BrokenExecutor as error:
            raise QbenchError(
                f"the executor broke ({error}); what was computed is stored: run again"
            ) from error

    def _job(self, group: Group) -> Job:
        """Fields that name a group."""
        return self.base | {
            "name": group.model.name,
            "path": str(group.model.path),
            "recipe": group.recipe,
        }

    def _take(self, future: Future[Job], origin: Group | _OpenCell) -> None:
        """Store what a finished job brought."""
        if isinstance(origin, Group):
            self._describing = False
            self._take_group(future, origin)
        else:
            origin.in_flight -= 1
            self._take_shard(future, origin)

    def _take_group(self, future: Future[Job], group: Group) -> None:
        """Register the cells of a group, or note why it cannot be opened."""
        error = future.exception()
        if error is not None:
            for spec in group.tasks:
                self._started += 1
                self._fail(group, spec.canonical, self._started, **describe_error(error))
            return
        for found in future.result()["cells"]:
            self._started += 1
            if "facts" in found:
                self._open_cell(group, found)
            else:
                self._fail(group, found["task"], self._started, found["reason"], found["trace"])

    def _open_cell(self, group: Group, found: Job) -> None:
        """Register a cell and queue the items that are not in the store yet."""
        facts = facts_from_json(found["facts"])
        ids = list(found["item_ids"])
        stored = self.store.put_cell(facts, found["n_total"], len(ids))
        if stored.key in self.keys:
            self._tell("done", group, found["task"], self._started, message="same as another cell")
            return
        self.keys.append(stored.key)
        known = {record.item_id: record for record in self.store.items(stored.key)}
        score = RunningScore(facts)
        score.add(known[i] for i in ids if i in known)
        pending = deque(i for i in ids if i not in known)
        cell = _OpenCell(
            group, found["task"], self._started, stored, pending, score,
            done=len(ids) - len(pending), total=len(ids),
        )  # fmt: skip
        if pending:
            self._open.append(cell)
        self._tell_cell(cell)

    def _take_shard(self, future: Future[Job], cell: _OpenCell) -> None:
        """Store the items of a shard, or note why there are none."""
        error = future.exception()
        if error is not None:
            if not isinstance(error, WorkerDied):
                cell.pending.clear()
            if not cell.reason:
                why = describe_error(error)
                cell.reason = why["reason"]
                self._fail(cell.group, cell.task, cell.number, **why)
                self._register(cell)
            return
        brought = future.result()
        records = [finite(ItemRecord(**content)) for content in brought["records"]]
        self.store.put_shard(
            self.run_id,
            cell.stored.key,
            records,
            seconds=brought["seconds"],
            tokens=brought["tokens"],
            threads=self.base["threads"],
            host=brought["host"],
        )
        cell.score.add(records)
        cell.done += len(records)
        cell.computed += len(records)
        cell.tokens += brought["tokens"]
        cell.seconds += brought["seconds"]
        self._tell_cell(cell)

    def _register(self, cell: _OpenCell) -> None:
        """Write the reason of a failed cell into the store."""
        stored = cell.stored
        self.store.put_cell(stored.facts, stored.n_total, stored.n_wanted, cell.reason)

    def _fail(self, group: Group, task: str, number: int, reason: str, trace: str = "") -> None:
        """Note a failure and tell it."""
        recipe = group.recipe or ""
        self.failures.append(Failure(group.model.name, recipe, task, reason, trace))
        self._tell("failed", group, task, number, message=reason)

    def _tell_cell(self, cell: _OpenCell) -> None:
        """Tell how far a cell is."""
        self._tell(
            "done" if cell.done == cell.total else "run",
            cell.group,
            cell.task,
            cell.number,
            done=cell.done,
            total=cell.total,
            tokens=cell.tokens,
            seconds=cell.seconds,
            metric=cell.score.name,
            score=cell.score.value,
        )

    def _tell(self, phase: str, group: Group, task: str, number: int, **more: Any) -> None:
        """Send an event, if anybody listens."""
        if self.on_progress is not None:
            recipe = group.recipe or "as stored"
            self.on_progress(
                Progress(phase, group.model.name, recipe, task, number, self.plan.n_cells, **more)
            )
