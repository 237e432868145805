"""The store: what goes in comes out, once, sealed, and nothing else passes for a store."""

from __future__ import annotations

import math
import os
import random
import shutil
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qbench.errors import StoreError
from qbench.study.records import CellFacts, Failure, ItemRecord, cell_key, finite
from qbench.study.store import Store

FACTS = CellFacts(
    model="toy", weights_sha256="w" * 64, spec_sha256="s" * 64, tokenizer_sha256="t" * 64,
    recipe="rtn-w4", bits_per_weight=4.5, model_bits=5.25, mode="faithful", kv_format="bf16",
    context_length=64, engine_version="1", isa_tier="scalar", task="snli", preset="words",
    shots=0, version=1, prompt_sha256="p", data_sha256="d", template_sha256="", seed=0,
    window=None, stride=None,
)  # fmt: skip


def record(i: int, **changes) -> ItemRecord:
    base = ItemRecord(
        item_id=f"item-{i:04d}", cluster=f"c{i // 3}", stratum="s", status="scored", cut=False,
        n_tokens=20 + i, n_unk=0, parts={"correct": i % 2, "pred": i % 3},
        response={"logprobs": [-0.1 * i, -1 / 3, -1e-300]},
    )  # fmt: skip
    return replace(base, **changes)


def filled(path: Path, n: int = 100) -> str:
    """A closed store with one cell of n items in shards of 64."""
    with Store.write(path) as store:
        run = store.begin_run({"limit": n})
        key = store.put_cell(FACTS, 500, n).key
        for start in range(0, n, 64):
            store.put_shard(run, key, [record(i) for i in range(start, min(n, start + 64))])
        store.end_run(run, "done")
    return key


def test_round_trip_is_exact_and_ordered(tmp_path):
    key = filled(tmp_path / "s.db")
    with Store.read(tmp_path / "s.db") as store:
        (cell,) = store.cells()
        assert cell[:5] == (key, FACTS, 500, 100, "")
        assert store.items(key) == [record(i) for i in range(100)]
        (run,) = store.runs()
        assert (run.state, run.spec, run.failures) == ("done", {"limit": 100}, ())
        assert store.timings(key)["shards"] == 2


def test_key_holds_what_can_change_a_score_and_nothing_else():
    key = cell_key(FACTS)
    assert cell_key(replace(FACTS, model="other", bits_per_weight=None, model_bits=0.0)) == key
    changes = {
        "weights_sha256": "x", "spec_sha256": "x", "tokenizer_sha256": "x", "recipe": "x",
        "mode": "x", "kv_format": "x", "context_length": 1, "engine_version": "x",
        "isa_tier": "x", "task": "x", "preset": "x", "shots": 5, "version": 2,
        "prompt_sha256": "x", "data_sha256": "x", "template_sha256": "x", "seed": 1, "window": 3,
        "stride": 3,
    }  # fmt: skip
    keys = {cell_key(replace(FACTS, **{name: value})) for name, value in changes.items()}
    assert len(keys | {key}) == len(changes) + 1


def test_non_finite_numbers_become_null_and_a_status(tmp_path):
    bad = record(
        0, parts={"nll": math.nan, "k": np.int64(3)}, response={"l": np.array([1.5, -math.inf])}
    )
    assert finite(bad).status == "nonfinite"
    assert finite(record(1, status="skipped", parts={"x": math.inf})).status == "skipped"
    with Store.write(tmp_path / "s.db") as store:
        run = store.begin_run({})
        key = store.put_cell(FACTS, 1, 1).key
        store.put_shard(run, key, [bad])
        (got,) = store.items(key)
    assert got.parts == {"nll": None, "k": 3} and got.response == {"l": [1.5, None]}
    text = (tmp_path / "s.db").read_bytes()
    assert b"NaN" not in text and b"Infinity" not in text


def test_an_item_is_written_once_and_a_shard_whole(tmp_path):
    path = tmp_path / "s.db"
    key = filled(path, 10)
    with Store.write(path) as store:
        run = store.begin_run({})
        with pytest.raises(StoreError, match="write twice"):
            store.put_shard(run, key, [record(50), record(3)])
        with pytest.raises(StoreError, match="no cell"):
            store.put_shard(run, "0" * 64, [record(51)])
        with pytest.raises(ValueError, match="unknown status"):
            store.put_shard(run, key, [record(52), record(53, status="fine")])
        assert len(store.items(key)) == 10
        store.put_shard(run, key, [record(3)], repeat=1)
        assert len(store.items(key)) == 10 and len(store.items(key, repeat=1)) == 1


def test_wanted_never_shrinks_and_names_follow_the_last_run(tmp_path):
    with Store.write(tmp_path / "s.db") as store:
        store.put_cell(FACTS, 500, 200, "context too short")
        again = store.put_cell(replace(FACTS, model="new name"), 500, 50)
        assert again.n_wanted == 200
        (cell,) = store.cells()
    assert (cell.facts.model, cell.n_wanted, cell.reason) == ("new name", 200, "")


def test_failures_and_killed_runs_are_remembered(tmp_path):
    path = tmp_path / "s.db"
    with Store.write(path) as store:
        store.end_run(store.begin_run({}), "failed", [Failure("m", "r", "t", "too short")])
        store.begin_run({})
    with Store.write(path) as store:
        first, second = store.runs()
    assert first.failures == (Failure("m", "r", "t", "too short"),)
    assert second.state == "killed" and second.ended is None


def test_closed_store_is_one_file_that_can_be_copied(tmp_path):
    key = filled(tmp_path / "s.db")
    assert [p.name for p in tmp_path.iterdir()] == ["s.db"]
    assert (tmp_path / "s.db").read_bytes()[18:20] == b"\1\1", "no log is needed to read it"
    far = tmp_path / "far"
    far.mkdir()
    copy = shutil.copy(tmp_path / "s.db", far / "copy.db")
    copy.chmod(stat.S_IRUSR)
    far.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with Store.read(copy) as store:
            assert len(store.items(key)) == 100
    finally:
        far.chmod(stat.S_IRWXU)


def test_readers_work_beside_the_writer_and_cannot_write(tmp_path):
    path = tmp_path / "s.db"
    key = filled(path, 10)
    with Store.write(path) as writer, Store.read(path) as reader:
        run = writer.begin_run({})
        writer.put_shard(run, key, [record(10)])
        assert len(reader.items(key)) == 11
        with pytest.raises(StoreError, match="reading only"):
            reader.begin_run({})
    with Store.read(path) as store:
        assert len(store.items(key)) == 11


def test_disk_full_loses_nothing(tmp_path):
    path = tmp_path / "s.db"
    key = filled(path, 64)
    with Store.write(path) as store:
        run = store.begin_run({})
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count={pages + 1}")
        with pytest.raises(StoreError, match="full"):
            store.put_shard(run, key, [record(i) for i in range(64, 1000)])
        assert len(store.items(key)) == 64
        store._connection.execute("PRAGMA max_page_count=100000")
        store.put_shard(run, key, [record(i) for i in range(64, 1000)])
    with Store.read(path) as store:
        assert store.items(key) == [record(i) for i in range(1000)]


def test_without_wal_it_syncs_in_full(tmp_path, monkeypatch):
    connect = sqlite3.connect

    class NoWal(sqlite3.Connection):
        def execute(self, sql, *arguments):
            return super().execute(sql.replace("=WAL", "=DELETE"), *arguments)

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=NoWal))
    with Store.write(tmp_path / "s.db") as store:
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def _foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE cell (x)")
    connection.close()


def _newer(path: Path) -> None:
    filled(path, 3)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()


def _with_trigger(path: Path) -> None:
    filled(path, 3)
    connection = sqlite3.connect(path)
    connection.execute("CREATE VIEW v AS SELECT * FROM item")
    connection.close()


NO_STORES = [
    (lambda p: p.write_bytes(b"once upon a time " * 300), "not a database"),
    (lambda p: p.write_bytes(b""), "no qbench store"),
    (_foreign, "no qbench store"),
    (_newer, "schema 99"),
    (_with_trigger, "tables are not"),
    (lambda p: (filled(p, 200), os.truncate(p, p.stat().st_size // 2)), "damaged|malformed"),
]


@pytest.mark.parametrize(("make", "message"), NO_STORES)
def test_what_is_no_store_is_refused_and_left_alone(tmp_path, make, message):
    path = tmp_path / "x.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=message) as caught:
        Store.read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    if before:
        with pytest.raises(StoreError, match=message):
            Store.write(path)
        assert path.read_bytes() == before
    assert not path.with_name("x.db.lock").exists()


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(StoreError, match=r"no such store.*qbench run"):
        Store.read(tmp_path / "none.db")
    with pytest.raises(StoreError, match="no folder"):
        Store.write(tmp_path / "none" / "s.db")


@pytest.mark.parametrize("flips", [200, pytest.param(4000, marks=pytest.mark.slow)])
def test_flipped_bits_are_refused_or_harmless(tmp_path, flips):
    """Single flips anywhere: every read gives the truth or a StoreError, and nothing else."""
    path, broken = tmp_path / "s.db", tmp_path / "b.db"
    key = filled(path, 150)
    truth = [record(i) for i in range(150)]
    content = path.read_bytes()
    rng = random.Random(3)
    refused = 0
    for _ in range(flips):
        damaged = bytearray(content)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        broken.write_bytes(damaged)
        try:
            with Store.read(broken) as store:
                assert [c[:5] for c in store.cells()] == [(key, FACTS, 500, 150, "")]
                assert store.items(key) == truth
        except StoreError as error:
            refused += 1
            assert str(error).isprintable()
    assert refused > flips / 3, "most of the file is content"
