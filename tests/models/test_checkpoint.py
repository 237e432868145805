from __future__ import annotations

import hashlib
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qbench.errors import CheckpointError, NonFiniteError, RequestError
from qbench.models import checkpoint
from qbench.models.checkpoint import (
    INDEX,
    Checkpoint,
    MemoryCheckpoint,
    Weight,
    check_finite,
)

Write = Callable[..., bytes]
A = np.arange(6, dtype="<f4").reshape(2, 3)
B = np.arange(4, dtype="<u2")
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def sharded(tmp_path: Path, write_safetensors: Write) -> Path:
    (tmp_path / FIRST).write_bytes(write_safetensors({"a": A}))
    (tmp_path / SECOND).write_bytes(write_safetensors({"b": B, "c": A}))
    return tmp_path


def write_index(folder: Path, weight_map: Any = None, **more: Any) -> None:
    weight_map = weight_map or {"a": FIRST, "b": SECOND, "c": SECOND}
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map, **more}))


def test_single_file(tmp_path: Path, write_safetensors: Write) -> None:
    data = write_safetensors({"b": B, "a": A, "half": A.astype("<f2")}, {"format": "pt"})
    (tmp_path / "model.safetensors").write_bytes(data)
    with Checkpoint.open(tmp_path) as found:
        assert found.names == ("a", "b", "half") and found.metadata == {"format": "pt"}
        assert (
            found.folder == tmp_path and found.shape("a") == (2, 3) and found.dtype("b") == "BF16"
        )
        assert found.has("a") and not found.has("z")
        assert found.read("a").dtype == "f32" and found.read("half").dtype == "f16"
        assert found.read("b").dtype == "bf16" and found.read("b").array.dtype == np.uint16
        np.testing.assert_array_equal(found.read("a").array, A)
        assert found.sha256() == hashlib.sha256(data).hexdigest()
    with pytest.raises(CheckpointError, match="no tensor 'z'"):
        found.shape("z")


def test_integer_tensors_are_raw_only(tmp_path: Path, write_safetensors: Write) -> None:
    codes = np.arange(5, dtype="u1")
    (tmp_path / "model.safetensors").write_bytes(write_safetensors({"codes": codes}))
    found = Checkpoint.open(tmp_path)
    np.testing.assert_array_equal(found.read_raw("codes"), codes)
    with pytest.raises(CheckpointError, match="codes is stored as U8; a weight is F32"):
        found.read("codes")


def test_shards(sharded: Path) -> None:
    write_index(sharded, metadata={"total_size": 24 + 8 + 24})
    found = Checkpoint.open(sharded)
    assert found.names == ("a", "b", "c")
    np.testing.assert_array_equal(found.read("c").array, A)
    lines = "".join(
        f"{hashlib.sha256((sharded / n).read_bytes()).hexdigest()}  {n}\n" for n in (FIRST, SECOND)
    )
    assert found.sha256() == hashlib.sha256(lines.encode()).hexdigest()


def test_hash_is_cached_until_the_file_changes(
    tmp_path: Path, write_safetensors: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(write_safetensors({"a": A}))
    first = Checkpoint.open(tmp_path).sha256()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.hashlib, "file_digest", None)
        assert Checkpoint.open(tmp_path).sha256() == first
    path.write_bytes(write_safetensors({"a": A + 1, "b": B}))
    assert Checkpoint.open(tmp_path).sha256() != first


def test_single_file_wins_over_an_index(sharded: Path, write_safetensors: Write) -> None:
    write_index(sharded)
    (sharded / "model.safetensors").write_bytes(write_safetensors({"x": A}))
    assert Checkpoint.open(sharded).names == ("x",)


INDEX_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "missing shard": (
        {"weight_map": {"a": FIRST, "b": SECOND, "c": SECOND, "d": "model-x.safetensors"}},
        "the shard model-x.safetensors is missing",
    ),
    "extra shard": ({"weight_map": {"a": FIRST}}, f"{SECOND} is not listed in"),
    "tensor not in shard": (
        {"weight_map": {"a": FIRST, "b": SECOND, "c": SECOND, "d": FIRST}},
        f"{FIRST} does not hold the tensor 'd'",
    ),
    "tensor not in index": ({"weight_map": {"a": FIRST, "b": SECOND}}, "does not list 'c' of"),
    "tensor in another shard": (
        {"weight_map": {"a": FIRST, "b": FIRST, "c": SECOND}},
        f"{FIRST} does not hold the tensor 'b'",
    ),
    "other revision": (
        {"weight_map": {"a": FIRST, "b": SECOND, "c": SECOND}, "metadata": {"total_size": 57}},
        "total_size is 57, the shards hold 56 bytes",
    ),
    "total size bool": (
        {"weight_map": {"a": FIRST, "b": SECOND, "c": SECOND}, "metadata": {"total_size": True}},
        "total_size is True",
    ),
    "no map": ({"metadata": {}}, "weight_map: expected an object"),
    "empty map": ({"weight_map": {}}, "weight_map: expected an object"),
    "map list": ({"weight_map": [FIRST]}, "weight_map: expected an object, found an array"),
    "shard number": ({"weight_map": {"a": 1}}, "expected a file name, found the integer 1"),
    "shard null": ({"weight_map": {"a": None}}, "expected a file name, found null"),
}


@pytest.mark.parametrize("name", INDEX_FAULTS)
def test_index_faults(name: str, sharded: Path) -> None:
    index, fragment = INDEX_FAULTS[name]
    (sharded / INDEX).write_text(json.dumps(index))
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.open(sharded)
    assert fragment in str(caught.value)


TRAVERSALS = (
    "../x.safetensors", "..", ".", "/etc/passwd", "a/../../x.safetensors", "sub/x.safetensors",
    "..\\x.safetensors", "C:\\x.safetensors", "x.safetensors/", "./x.safetensors", "",
    "x.safetensors\0", "x.safetensors\n", "%2e%2e%2fx.safetensors", "~/x.safetensors",
    "file:///x.safetensors", "x" * 300 + ".safetensors", "..x/..y.safetensors", "pytorch_model.bin",
    ".safetensors", "é.safetensors", "x .safetensors", "$HOME.safetensors",
)  # fmt: skip


@pytest.mark.parametrize("shard", TRAVERSALS)
def test_path_traversal_opens_nothing(shard: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "x.safetensors").write_bytes(b"outside")
    write_index(folder, {"a": shard})
    opened: list[str] = []
    hook_active = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if hook_active and event == "open":
            opened.append(str(args[0]))

    sys.addaudithook(hook)
    try:
        with pytest.raises(CheckpointError, match="no plain name of a safetensors file"):
            Checkpoint.open(folder)
    finally:
        hook_active = False
    assert all(path == str(folder / INDEX) for path in opened if path.startswith(str(tmp_path)))


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".joblib", ".npy"])
def test_a_folder_of_pickles_is_refused(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"pytorch_model{suffix}").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(CheckpointError, match=r"a pickle.*convert it to model.safetensors"):
        Checkpoint.open(tmp_path)


def test_no_model_at_all(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor"):
        Checkpoint.open(tmp_path)
    with pytest.raises(CheckpointError, match="it is missing"):
        Checkpoint.open(tmp_path / "absent")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CheckpointError, match="it is a file, expected the folder"):
        Checkpoint.open(tmp_path / "file")
    (tmp_path / "model.safetensors").symlink_to("nowhere")
    with pytest.raises(CheckpointError, match="No such file"):
        Checkpoint.open(tmp_path)


def test_memory_checkpoint_has_the_same_interface() -> None:
    found = MemoryCheckpoint({"b": B, "a": A, "h": A.astype(np.float16)})
    assert found.names == ("a", "b", "h") and found.folder is None and found.metadata == {}
    assert [found.dtype(n) for n in found.names] == ["F32", "BF16", "F16"]
    assert found.read("b").dtype == "bf16" and found.shape("a") == (2, 3) and found.has("h")
    assert found.read("a").array is A
    public = {name for name in dir(Checkpoint) if not name.startswith("_")} - {"open"}
    assert public | {"folder", "metadata"} <= set(dir(found))
    with pytest.raises(CheckpointError, match="no tensor 'z'"):
        found.read("z")


def test_memory_hash_depends_on_everything() -> None:
    variants = [
        {"a": A},
        {"b": A},
        {"a": A.reshape(3, 2)},
        {"a": A + 1},
        {"a": A.view("<u2").reshape(2, 6)},
        {"a": A, "b": B},
    ]
    hashes = [MemoryCheckpoint(v).sha256() for v in variants]
    assert len(set(hashes)) == len(variants)
    assert MemoryCheckpoint({"b": B, "a": A}).sha256() == hashes[-1]
    assert MemoryCheckpoint({"a": np.asfortranarray(A)}).sha256() == hashes[0]


@pytest.mark.parametrize("value", [A.astype(np.float64), A.astype(np.int32), [1.0], A > 1])
def test_memory_refuses_other_types(value: Any) -> None:
    with pytest.raises(RequestError, match="tensor 't': expected"):
        MemoryCheckpoint({"t": value})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("where", [(0, 0), (7, 4), (3, 2), (16, 6)])
def test_non_finite_values_are_located(bad: float, dtype: str, where: tuple[int, int]) -> None:
    values = np.full((17, 7), 3.0e38, np.float32)
    values[where] = bad
    if dtype == "bf16":
        array = (values.view(np.uint32) >> 16).astype(np.uint16)
    else:
        array = (values / 1e34).astype(np.float16) if dtype == "f16" else values
    with pytest.raises(NonFiniteError) as caught:
        check_finite(Weight(array, dtype), "w")
    assert f"tensor w: NaN or infinity at row {where[0]}, column {where[1]};" in str(caught.value)


def test_finite_scan_in_pieces_and_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = np.ones((3, (1 << 20) + 1), np.float32)
    check_finite(Weight(wide, "f32"), "w")
    wide[2, 1 << 20] = np.nan
    with pytest.raises(NonFiniteError, match="row 2, column 1048576"):
        check_finite(Weight(wide, "f32"), "w")
    with pytest.raises(NonFiniteError, match="row 0, column 4"):
        check_finite(Weight(np.array([0, 1, 2, 3, np.inf], np.float32), "f32"), "w")
    check_finite(Weight(np.zeros((0, 4), np.float32), "f32"), "w")
    check_finite(Weight(np.array([0x7F7F, 0xFF7F, 0x8000], np.uint16), "bf16"), "largest")


def test_shared_checkpoints(shared: Path) -> None:
    from safetensors.numpy import load_file

    for name in ("stories260K", "babyllama-tok105"):
        folder = shared / "models" / name / "hf"
        with Checkpoint.open(folder) as found:
            theirs = load_file(folder / "model.safetensors")
            assert set(found.names) == set(theirs)
            for tensor, array in theirs.items():
                np.testing.assert_array_equal(found.read(tensor).array, array)
                check_finite(found.read(tensor), tensor)
