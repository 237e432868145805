"""The result store: one SQLite file, one writer, rows that are written once and never change.

A shard's items, its mark and its timing are one transaction, so a killed run loses at most the
shards it was computing and never half of one. The writer uses a write-ahead log where the file
system allows and a rollback journal with full syncs elsewhere; on close the log is folded back, so
that a closed store is one file that can be copied. Readers open it read-only, also while a writer
works. The store knows records; it knows no task, no metric and no model.
"""

from __future__ import annotations

import contextlib
import platform
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qbench._version import __version__
from qbench.errors import StoreError
from qbench.study import schema
from qbench.study.lock import WriterLock
from qbench.study.records import CellFacts, Failure, ItemRecord, canonical_json, cell_key
from qbench.study.rows import (
    CELL_COLUMNS,
    ITEM_COLUMNS,
    StoredCell,
    StoredRun,
    cell_from_row,
    cell_hash,
    item_from_row,
    item_row,
    run_from_row,
)

BUSY_SECONDS = 30.0


class Store:
    """An open store; use ``Store.write`` or ``Store.read``, each as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: WriterLock | None) -> None:
        self.path = path
        self._connection = connection
        self._lock = lock

    @classmethod
    def write(cls, path: str | Path) -> Store:
        """Open for writing, creating the file if there is none.

        Raises
        ------
        StoreError
            Another process writes to it, or the file is no sound store.
        """
        path = Path(path)
        if not path.absolute().parent.is_dir():
            raise StoreError(f"{path}: no folder {path.absolute().parent}; create it first")
        lock = WriterLock(path)
        try:
            with _disk(path):
                connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            store = cls(path, connection, lock)
        except BaseException:
            lock.release()
            raise
        try:
            with _disk(path):
                store._prepare_writer()
        except BaseException:
            connection.close()
            lock.release()
            raise
        return store

    @classmethod
    def read(cls, path: str | Path, *, check: bool = True) -> Store:
        """Open read-only; ``check=False`` when the caller has just had its pages checked.

        Raises
        ------
        StoreError
            There is no such file, or it is no sound store.
        """
        path = Path(path)
        if not path.is_file():
            raise StoreError(f"{path}: no such store; `qbench run --store {path}` makes one")
        connection = _connect_read_only(path)
        try:
            with _disk(path):
                connection.execute("PRAGMA trusted_schema=OFF")
                schema.check(connection, path, pages=check)
        except BaseException:
            connection.close()
            raise
        return cls(path, connection, None)

    def _prepare_writer(self) -> None:
        """Choose the journal, create or check the tables, and mark runs that were killed."""
        execute = self._connection.execute
        execute("PRAGMA trusted_schema=OFF")
        new = schema.is_empty(self._connection)
        if not new:
            schema.check(self._connection, self.path)
        (journal,) = execute("PRAGMA journal_mode=WAL").fetchone()
        if journal == "wal":
            execute("PRAGMA synchronous=NORMAL")
        else:
            execute("PRAGMA journal_mode=DELETE")
            execute("PRAGMA synchronous=FULL")
        if new:
            schema.create(self._connection)
        execute("UPDATE run SET state='killed' WHERE state='running'")

    # ---------------------------------------------------------------------------- writing

    def begin_run(self, spec: dict[str, Any]) -> int:
        """Note that a run starts; ``spec`` says what was asked for. Returns its id."""
        with self._transaction():
            cursor = self._connection.execute(
                "INSERT INTO run (started, state, version, host, spec, failures) "
                "VALUES (?, 'running', ?, ?, ?, '[]')",
                (time.time(), __version__, platform.node(), canonical_json(spec)),
            )
        return int(cursor.lastrowid or 0)

    def end_run(self, run: int, state: str, failures: Sequence[Failure] = ()) -> None:
        """Note how a run ended: ``done``, ``failed`` or ``interrupted``."""
        with self._transaction():
            self._connection.execute(
                "UPDATE run SET ended=?, state=?, failures=? WHERE id=?",
                (time.time(), state, canonical_json([asdict(f) for f in failures]), run),
            )

    def put_cell(
        self, facts: CellFacts, n_total: int, n_wanted: int, reason: str = ""
    ) -> StoredCell:
        """Register a cell, or update name, counts and reason of the same cell.

        ``n_wanted`` never shrinks: a smaller limit later does not make stored items unwanted.
        """
        key = cell_key(facts)
        with self._transaction():
            known = self._find(key)
            if known is not None:
                n_wanted = max(n_wanted, known.n_wanted)
            text = canonical_json(asdict(facts))
            self._connection.execute(
                "INSERT INTO cell (key, model, recipe, task, mode, facts, n_total, n_wanted, "
                "reason, updated, sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET model=excluded.model, facts=excluded.facts, "
                "n_total=excluded.n_total, n_wanted=excluded.n_wanted, reason=excluded.reason, "
                "updated=excluded.updated, sha256=excluded.sha256",
                (
                    key,
                    facts.model,
                    facts.recipe,
                    facts.task_label,
                    facts.mode,
                    text,
                    n_total,
                    n_wanted,
                    reason,
                    time.time(),
                    cell_hash(text, n_total, n_wanted, reason),
                ),
            )
        return StoredCell(key, replace(facts), n_total, n_wanted, reason, time.time())

    def put_shard(
        self,
        run: int,
        key: str,
        records: Sequence[ItemRecord],
        *,
        repeat: int = 0,
        seconds: float = 0.0,
        tokens: int = 0,
        threads: int | None = None,
        host: str = "",
    ) -> None:
        """Write the items of one shard, its mark and its timing, all or nothing.

        Raises
        ------
        StoreError
            The disk is full or broken, an item is there already, or the cell is unknown.
        """
        rows = [item_row(key, record, repeat) for record in records]
        with self._transaction():
            cell = self._cell_id(key)
            shard = self._connection.execute(
                "INSERT INTO shard (cell, repeat, n_items, run) VALUES (?, ?, ?, ?)",
                (cell, repeat, len(rows), run),
            ).lastrowid
            self._connection.executemany(
                f"INSERT INTO item (cell, shard, {ITEM_COLUMNS}) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(cell, shard, *row) for row in rows],
            )
            self._connection.execute(
                "INSERT INTO perf (shard, finished, seconds, tokens, threads, host) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (shard, time.time(), seconds, tokens, threads, host),
            )

    # ---------------------------------------------------------------------------- reading

    def cells(self) -> list[StoredCell]:
        """All cells, in the order in which they were first seen."""
        with _disk(self.path):
            rows = self._connection.execute(f"SELECT {CELL_COLUMNS} FROM cell ORDER BY id")
            return [cell_from_row(row, str(self.path)) for row in rows]

    def items(self, key: str, repeat: int = 0) -> list[ItemRecord]:
        """Return the items of a cell, ordered by id, each checked against its hash.

        Raises
        ------
        StoreError
            A row is damaged or missing, or the cell is unknown.
        """
        with _disk(self.path), self._snapshot():
            cell = self._cell_id(key)
            (expected,) = self._connection.execute(
                "SELECT total(n_items) FROM shard WHERE cell=? AND repeat=?", (cell, repeat)
            ).fetchone()
            rows = self._connection.execute(
                f"SELECT {ITEM_COLUMNS} FROM item WHERE cell=? AND repeat=? ORDER BY item_id",
                (cell, repeat),
            ).fetchall()
        if len(rows) != int(expected):
            raise StoreError(
                f"{self.path}: cell {key[:12]} holds {len(rows)} items but marks {int(expected)}; "
                "restore it from a copy"
            )
        return [item_from_row(key, row, str(self.path)) for row in rows]

    def runs(self) -> list[StoredRun]:
        """All runs, oldest first."""
        with _disk(self.path):
            rows = self._connection.execute(
                "SELECT id, started, ended, state, version, host, spec, failures FROM run "
                "ORDER BY id"
            )
            return [run_from_row(row, str(self.path)) for row in rows]

    def timings(self, key: str) -> dict[str, float]:
        """Sum of seconds, tokens and shards spent on a cell."""
        with _disk(self.path):
            seconds, tokens, shards = self._connection.execute(
                "SELECT total(seconds), total(tokens), count(*) FROM perf "
                "JOIN shard ON shard.id = perf.shard WHERE shard.cell=?",
                (self._cell_id(key),),
            ).fetchone()
        return {"seconds": seconds, "tokens": tokens, "shards": shards}

    def _find(self, key: str) -> StoredCell | None:
        """Return the cell under a key, if there is one."""
        row = self._connection.execute(
            f"SELECT {CELL_COLUMNS} FROM cell WHERE key=?", (key,)
        ).fetchone()
        return None if row is None else cell_from_row(row, str(self.path))

    def _cell_id(self, key: str) -> int:
        """Row number of a cell."""
        row = self._connection.execute("SELECT id FROM cell WHERE key=?", (key,)).fetchone()
        if row is None:
            raise StoreError(f"{self.path}: no cell {key[:12]} in this store")
        return int(row[0])

    # ---------------------------------------------------------------------------- life

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, also when interrupted."""
        if self._lock is None:
            raise StoreError(f"{self.path}: opened for reading only")
        with _disk(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Several reads that see one state, while a writer may be at work."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Fold the log back into the file and release the lock; a second call does nothing."""
        try:
            if self._lock is not None:
                with contextlib.suppress(sqlite3.Error):  # a reader holds the log: it stays valid
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    self._connection.execute("PRAGMA busy_timeout=0")
                    self._connection.execute("PRAGMA journal_mode=DELETE")
        finally:
            self._connection.close()
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """Connect read-only; a closed store also on a medium where SQLite could create no log."""
    address = path.absolute().as_uri()
    connection = None
    try:
        connection = sqlite3.connect(f"{address}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        connection.isolation_level = None
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return connection
    except sqlite3.OperationalError as error:
        if connection is not None:
            connection.close()
        if path.with_name(path.name + "-wal").exists():
            raise StoreError(
                f"{path}: cannot be read ({schema.one_line(error)}); close its writer first"
            ) from error
        return sqlite3.connect(
            f"{address}?mode=ro&immutable=1", uri=True, isolation_level=None, timeout=BUSY_SECONDS
        )
    except (sqlite3.DatabaseError, UnicodeError) as error:  # damaged text in SQLite's own message
        if connection is not None:
            connection.close()
        raise StoreError(
            f"{path}: no qbench store ({schema.one_line(error)}); name another file"
        ) from error


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into one line."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise StoreError(f"{path}: refused to write twice ({schema.one_line(error)})") from error
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"{path}: {schema.one_line(error)}; what was written before is safe: "
            "free the disk and run again"
        ) from error
    except (sqlite3.Error, UnicodeError, OverflowError) as error:
        raise StoreError(
            f"{path}: {schema.one_line(error)}; restore it from a copy or name another file"
        ) from error
