"""Downloads against a hub on 127.0.0.1, in this process and as a user has them."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from hub_server import MAIN, OLD, Hub, Repository, serve
from huggingface_hub import constants, file_download

from qbench.errors import CheckpointError, QbenchWarning, RequestError
from qbench.models.hub import commit_of, resolve

ID = "org/tiny-1.5"
TAKEN = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
LEFT = {
    "README.md": b"x", ".gitattributes": b"x", "pytorch_model.bin": b"pickle",
    "modeling_x.py": b"x",
    "consolidated.safetensors": b"x", "model.fp16.safetensors": b"x", "model.gguf": b"x",
    "onnx/model.safetensors": b"x", "onnx/config.json": b"{}", "original/params.json": b"{}",
    "original/tokenizer.model": b"x", "tokenizer_x.py": b"x", "training_args.bin": b"x",
    "flax_model.msgpack": b"x", "preprocessor_config.json": b"{}", "model-00001-of-00002.bin": b"x",
    "trainer_state.json": b"{}",
}  # fmt: skip


@pytest.fixture
def files(tiny_model: Path) -> dict[str, bytes]:
    """The test model as a repository, amid what a repository holds besides."""
    kept = [path for path in tiny_model.iterdir() if path.name in {*TAKEN, "model.safetensors"}]
    return {path.name: path.read_bytes() for path in kept} | LEFT


@pytest.fixture
def hub(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one model, an empty cache, and huggingface_hub pointed at both."""
    for name in ("HF_HUB_OFFLINE", "QBENCH_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(file_download.time, "sleep", lambda _: None)  # between its retries
    monkeypatch.chdir(tmp_path)
    with serve() as found:
        found.repositories[ID] = Repository(files)
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        yield found


def cached(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_only_what_is_read_is_downloaded(hub: Hub, files: dict[str, bytes]) -> None:
    folder = resolve(ID)
    expected = {name for name in files if name not in LEFT}
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= expected
    assert cached(folder) == expected == set(hub.downloads())
    assert all((folder / name).read_bytes() == files[name] for name in expected)
    assert folder.name == MAIN == commit_of(folder)
    before = len(hub.requests)
    assert resolve(ID) == folder
    assert hub.downloads() == sorted(expected) and len(hub.requests) - before <= 3


def test_shards_are_those_of_the_index(hub: Hub, files: dict[str, bytes]) -> None:
    names = ["model-1-of-2.safetensors", "model-2-of-2.safetensors"]
    index = {"weight_map": {"a": names[0], "b": names[1]}}
    del files["model.safetensors"]
    files |= {name: name.encode() for name in (*names, "model-1-of-3.safetensors")}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    assert {n for n in cached(resolve(ID)) if "model" in n} == {
        *names, "model.safetensors.index.json",
    }  # fmt: skip
    del files[names[1]]
    hub.repositories["org/other"] = Repository(files)
    with pytest.raises(CheckpointError, match=r"lacks model-2-of-2\.safetensors, which its index"):
        resolve("org/other")


def test_revisions(hub: Hub) -> None:
    assert resolve(f"{ID}@v1").name == OLD == resolve(ID, "v1").name
    assert resolve(ID, OLD).name == OLD and resolve(f"{ID}@main").name == MAIN
    assert resolve(f"{ID}@v1", "v1").name == OLD
    with pytest.raises(RequestError, match="two revisions: @v1 and revision='main'"):
        resolve(f"{ID}@v1", "main")
    for wrong in ("", "../main", "a b", "-x", "x" * 300, "a\nb"):
        with pytest.raises(RequestError, match="is no branch, tag or commit"):
            resolve(ID, wrong)
    for text in (f"{ID}@", f"{ID}@../x", f"{ID}@a@b"):
        with pytest.raises(RequestError, match="not the form of a hub id"):
            resolve(text)


def test_a_commit_in_the_cache_needs_no_network(hub: Hub) -> None:
    folder = resolve(ID, MAIN)
    hub.requests.clear()
    assert resolve(ID, MAIN) == folder and hub.requests == []


FAULTS = {
    "gated": rf"the model is gated; accept its terms at http\S+/{ID}, then log in with `hf auth",
    "private": "the hub has no such model, or it is private; check the spelling, or log in with",
    "down": "it is not in the local hub cache, and the hub at http.* answered 503; try again later",
    "html": r"is no hub \(.*\): a proxy or a login page\? Check HF_ENDPOINT",
    "truncated": r"incomplete \(model\.safetensors is missing\), and .* run again: what has",
    "wrong size": r"a download has the wrong size \(.* but has size.*\); run again",
    "damaged": r"model\.safetensors was damaged on the way \(SHA-256 .* and was removed; run again",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_one_line_with_a_remedy(fault: str, hub: Hub) -> None:
    hub.repositories[ID].fault = fault
    start = time.perf_counter()
    with pytest.raises(CheckpointError, match=FAULTS[fault]) as caught:
        resolve(ID)
    assert time.perf_counter() - start < 20
    assert ("\n" not in str(caught.value) and ID in str(caught.value)) or fault == "damaged"
    hub.repositories[ID].fault = ""
    folder = resolve(ID)  # nothing that went wrong stays behind
    data = hub.repositories[ID].files["model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == data


def test_what_is_not_there(hub: Hub, files: dict[str, bytes]) -> None:
    with pytest.raises(CheckpointError, match="no model 'org/absent': the hub has no such model"):
        resolve("org/absent")
    with pytest.raises(CheckpointError, match=rf"no revision 'v9'; they are listed at .*{ID}/tree"):
        resolve(f"{ID}@v9")
    del files["model.safetensors"]
    hub.repositories["org/pickles"] = Repository(
        {n: d for n, d in files.items() if not n.endswith(".gguf")}
    )
    with pytest.raises(CheckpointError, match=r"no model\.safetensors; it has only pickles, which"):
        resolve("org/pickles")
    hub.repositories["org/gguf"] = Repository(files)
    with pytest.raises(CheckpointError, match="it has only GGUF files; download one"):
        resolve("org/gguf")
    hub.repositories["org/empty"] = Repository({"README.md": b""})
    with pytest.raises(CheckpointError, match=r"no config\.json: it holds no model"):
        resolve("org/empty")
    assert not any(name.endswith((".bin", ".gguf")) for name in hub.downloads())


def test_a_pointer_of_large_file_storage_is_explained(hub: Hub, files: dict[str, bytes]) -> None:
    from qbench.models import Checkpoint

    files["model.safetensors"] = (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"
    )
    with pytest.raises(CheckpointError, match="a git-lfs pointer, the weights were never"):
        Checkpoint.open(resolve(ID))


def test_without_the_hub_a_cached_model_is_taken(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = resolve(ID)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve(ID) == folder
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    with pytest.warns(QbenchWarning, match=rf"cache \(commit {MAIN[:12]}\), because the hub at"):
        assert resolve(ID) == folder
    with pytest.raises(CheckpointError, match=r"not in the local hub cache, and the hub at "):
        resolve("org/other")
    for name in ("HF_HUB_OFFLINE", "QBENCH_OFFLINE"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "1")
            assert resolve(ID) == folder
            with pytest.raises(CheckpointError, match=rf"and {name} is set; unset it"):
                resolve("org/other")
            with pytest.raises(CheckpointError, match=f"and {name} is set"):
                resolve(f"{ID}@v1")


def test_half_a_model_in_the_cache_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = resolve(ID)
    (folder / "model.safetensors").unlink()
    with monkeypatch.context() as patch:
        patch.setenv("QBENCH_OFFLINE", "1")
        with pytest.raises(CheckpointError, match=r"incomplete \(model\.safetensors is missing\)"):
            resolve(ID)
    assert (resolve(ID) / "model.safetensors").exists()


def test_a_local_path_never_touches_the_network(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qbench.quant.load import load

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a local path reached for the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    model = load(tiny_model, threads=1)
    assert model.generate("Once", 4) and model.revision is None
    with pytest.raises(RequestError, match=r"belongs to a hub id; .* is on this machine"):
        load(tiny_model, revision="main")
    with pytest.raises(AssertionError, match="reached for the network"):
        socket.getaddrinfo("localhost", 80)


def test_a_study_records_the_commit(hub: Hub, tiny_data: Path, tmp_path: Path) -> None:
    from qbench.study.study import Study

    study = Study([f"{ID}@v1"], ["bf16"], ["snli"], tmp_path / "s.db", data=tiny_data, limit=1)
    assert study._request(study.plan())["revisions"] == {f"{ID}@v1": OLD}
    results = study.run()
    assert not results.failures and {row.model for row in results.rows()} == {f"{ID}@v1"}


def as_user(code: str, hub: Hub, cache: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the environment that a user would set."""
    dropped = {"HF_HUB_OFFLINE", "QBENCH_OFFLINE"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    environment = {**kept, "HF_ENDPOINT": hub.url, "HF_HOME": str(cache), **more}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )


def test_as_a_user_has_it(hub: Hub, tmp_path: Path) -> None:
    code = (
        "import sys, qbench as qb\n"
        f"model = qb.load({ID!r}, revision='v1', threads=1)\n"
        "print(model.revision, model.name, len(model.generate('Once', 4)) > 0)\n"
    )
    done = as_user(code, hub, tmp_path / "home")
    assert (done.returncode, done.stdout) == (0, f"{OLD} {ID} True\n"), done.stderr
    hub.requests.clear()
    done = as_user(code, hub, tmp_path / "home", HF_HUB_OFFLINE="1")
    assert (done.returncode, hub.requests) == (0, []), done.stderr
    command = "import sys; from qbench.cli.main import main; sys.exit(main(sys.argv[1:] or {}))"
    line = ["generate", f"{ID}@v1", "Once", "--max-new-tokens", "4", "--threads", "1"]
    done = as_user(command.format(line), hub, tmp_path / "home", QBENCH_OFFLINE="1")
    assert (done.returncode, done.stderr, hub.requests) == (0, "", [])
    line[1] = f"{ID}@v9"
    done = as_user(command.format(line), hub, tmp_path / "home")
    assert done.returncode == 1 and "has no revision 'v9'" in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("qbench: error: ")


def test_a_full_disk_is_told_and_leaves_no_model(hub: Hub, tmp_path: Path) -> None:
    limit = 100_000
    assert len(hub.repositories[ID].files["model.safetensors"]) > limit
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "from qbench.models import resolve\n"
        f"try:\n    resolve({ID!r})\nexcept Exception as exc:\n    print(type(exc).__name__, exc)\n"
    )
    done = as_user(code, hub, tmp_path / "home")
    assert done.stdout.startswith("CheckpointError no model"), done.stderr
    assert "no room for the download in" in done.stdout and "set HF_HOME to a larger" in done.stdout
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != limit
    offline = as_user(code, hub, tmp_path / "home", QBENCH_OFFLINE="1")
    assert "incomplete (model.safetensors is missing)" in offline.stdout
