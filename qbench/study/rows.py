"""Records to rows of the store and back, each row under a SHA-256 over its canonical JSON.

SQLite guards the structure of its pages but not their content; the hash of a row does, and it
includes the key of the cell, so that a row cannot slip into another cell either.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from qbench.errors import StoreError
from qbench.study.records import (
    STATUSES,
    CellFacts,
    Failure,
    ItemRecord,
    canonical_json,
    cell_key,
    facts_from_json,
    finite,
    sha256_of,
)

ITEM_COLUMNS = (
    "item_id, cluster, stratum, status, cut, n_tokens, n_unk, parts, response, repeat, sha256"
)
CELL_COLUMNS = (
    "id, key, model, recipe, task, mode, facts, n_total, n_wanted, reason, updated, sha256"
)


class StoredCell(NamedTuple):
    """A cell as the store holds it; ``updated`` is seconds since 1970."""

    key: str
    facts: CellFacts
    n_total: int
    n_wanted: int
    reason: str
    updated: float


class StoredRun(NamedTuple):
    """One call of ``run``; ``state`` is running, done, failed, interrupted or killed."""

    id: int
    started: float
    ended: float | None
    state: str
    version: str
    host: str
    spec: dict[str, Any]
    failures: tuple[Failure, ...]


def item_row(key: str, record: ItemRecord, repeat: int) -> tuple[Any, ...]:
    """Columns of an item in the order of ITEM_COLUMNS."""
    record = finite(record)
    if record.status not in STATUSES:
        raise ValueError(f"item {record.item_id!r}: unknown status {record.status!r}")
    return (
        record.item_id,
        record.cluster,
        record.stratum,
        record.status,
        int(record.cut),
        record.n_tokens,
        record.n_unk,
        canonical_json(record.parts),
        canonical_json(record.response),
        repeat,
        _item_hash(key, record, repeat),
    )


def item_from_row(key: str, row: Sequence[Any], where: str) -> ItemRecord:
    """Rebuild an item and check its hash.

    Raises
    ------
    StoreError
        Naming the item, when the row is not what was written.
    """
    try:
        *plain, cut, n_tokens, n_unk, parts, response, repeat, sha = row
        item_id, cluster, stratum, status = plain
        record = ItemRecord(
            item_id,
            cluster,
            stratum,
            status,
            bool(cut),
            n_tokens,
            n_unk,
            json.loads(parts),
            json.loads(response),
        )
        sound = sha == _item_hash(key, record, repeat)
    except (ValueError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise StoreError(
            f"{where}: item {str(row[0])[:80]!r} of cell {key[:12]} is not what was written; "
            "restore the store from a copy, or delete it and run again"
        )
    return record


def cell_hash(facts_json: str, n_total: int, n_wanted: int, reason: str) -> str:
    """Seal of a cell row."""
    return sha256_of([facts_json, n_total, n_wanted, reason])


def cell_from_row(row: Sequence[Any], where: str) -> StoredCell:
    """Rebuild a cell; its seal, its key and its searchable columns must all agree.

    Raises
    ------
    StoreError
        When they do not.
    """
    _, key, model, recipe, task, mode, text, n_total, n_wanted, reason, updated, sha = row
    try:
        facts = facts_from_json(json.loads(text))
        sound = (
            sha == cell_hash(text, n_total, n_wanted, reason)
            and key == cell_key(facts)
            and (model, recipe, task, mode)
            == (facts.model, facts.recipe, facts.task_label, facts.mode)
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        sound = False
    if not sound:
        raise StoreError(
            f"{where}: cell {str(key)[:12]} is not what was written; "
            "restore the store from a copy, or delete it and run again"
        )
    return StoredCell(key, facts, n_total, n_wanted, reason, updated)


def run_from_row(row: Sequence[Any], where: str) -> StoredRun:
    """Rebuild a run.

    Raises
    ------
    StoreError
        When its JSON is broken.
    """
    run_id, started, ended, state, version, host, spec, failures = row
    try:
        failed = tuple(Failure(**failure) for failure in json.loads(failures))
        return StoredRun(run_id, started, ended, state, version, host, json.loads(spec), failed)
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"{where}: run {run_id} is damaged; restore it from a copy") from error


def _item_hash(key: str, record: ItemRecord, repeat: int) -> str:
    """Seal of an item row."""
    return sha256_of([key, repeat, asdict(record)])
