"""The tables of a store and the checks that a file really is one.

Facts of a cell stand once in ``cell``; an ``item`` row belongs to one cell; a ``shard`` row marks
the transaction that wrote its items; ``perf`` holds what may differ between two equal runs; ``run``
says who asked for what and what failed. A change of this text needs a new SCHEMA_VERSION.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from qbench.errors import StoreError

APPLICATION_ID = 0x71_62_6E_63  # "qbnc"
SCHEMA_VERSION = 1

TABLES = {
    "cell": """CREATE TABLE cell (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  model TEXT NOT NULL,
  recipe TEXT NOT NULL,
  task TEXT NOT NULL,
  mode TEXT NOT NULL,
  facts TEXT NOT NULL,
  n_total INTEGER NOT NULL,
  n_wanted INTEGER NOT NULL,
  reason TEXT NOT NULL,
  updated REAL NOT NULL,
  sha256 TEXT NOT NULL
)""",
    "item": """CREATE TABLE item (
  cell INTEGER NOT NULL REFERENCES cell (id),
  item_id TEXT NOT NULL,
  repeat INTEGER NOT NULL,
  shard INTEGER NOT NULL REFERENCES shard (id),
  cluster TEXT NOT NULL,
  stratum TEXT NOT NULL,
  status TEXT NOT NULL,
  cut INTEGER NOT NULL,
  n_tokens INTEGER NOT NULL,
  n_unk INTEGER NOT NULL,
  parts TEXT NOT NULL,
  response TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  PRIMARY KEY (cell, item_id, repeat)
) WITHOUT ROWID""",
    "shard": """CREATE TABLE shard (
  id INTEGER PRIMARY KEY,
  cell INTEGER NOT NULL REFERENCES cell (id),
  repeat INTEGER NOT NULL,
  n_items INTEGER NOT NULL,
  run INTEGER NOT NULL REFERENCES run (id)
)""",
    "perf": """CREATE TABLE perf (
  shard INTEGER PRIMARY KEY REFERENCES shard (id),
  finished REAL NOT NULL,
  seconds REAL NOT NULL,
  tokens INTEGER NOT NULL,
  threads INTEGER,
  host TEXT NOT NULL
)""",
    "run": """CREATE TABLE run (
  id INTEGER PRIMARY KEY,
  started REAL NOT NULL,
  ended REAL,
  state TEXT NOT NULL,
  version TEXT NOT NULL,
  host TEXT NOT NULL,
  spec TEXT NOT NULL,
  failures TEXT NOT NULL
)""",
}


def create(connection: sqlite3.Connection) -> None:
    """Write the empty tables and both ids in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in TABLES.values():
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether nothing was ever written to the file."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(application == 0 and objects == 0)


def check(connection: sqlite3.Connection, path: Path, *, pages: bool = True) -> None:
    """Raise StoreError unless the file is a store of this version with sound pages.

    The schema is compared as text: a store from a stranger can then hold no view or trigger.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise StoreError(f"{path}: a SQLite file, but no qbench store; name another file")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"{path}: store of schema {version}, this qbench reads schema {SCHEMA_VERSION}; "
            "use the version of qbench that wrote it, or another file"
        )
    verdict = "ok"
    if pages:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreError(f"{path}: damaged ({one_line(verdict)}); restore it from a copy")
    found = dict(
        connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    )
    if found != TABLES:
        raise StoreError(f"{path}: its tables are not those of a qbench store; name another file")


def one_line(message: object) -> str:
    """Return a message of SQLite, which may quote a damaged file, as one short printable line."""
    words = "".join(c if c.isprintable() else " " for c in str(message)).split()
    return " ".join(words)[:120]
