"""One model of the hub, in the local cache: which files, from where, and what went wrong.

Of a repository only what qbench reads is downloaded: configuration, tokenizer, template, and one
set of safetensors; no pickle, no code, nothing in a folder of the repository. ``huggingface_hub``
does the transfer and keeps the cache; every failure becomes one line with its remedy. Where the hub
cannot be asked, a complete copy in the cache is taken.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import warnings
from collections.abc import Iterable
from pathlib import Path

from qbench.errors import CheckpointError, QbenchWarning
from qbench.models.checkpoint import INDEX, INDEX_LIMIT, SINGLE
from qbench.models.strict_json import read_object

OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "QBENCH_OFFLINE")
PUBLIC_ENDPOINT = "https://huggingface.co"
TIMEOUT_SECONDS = 10.0

_SMALL_FILES = re.compile(
    r"(?:config|generation_config|quantize_config|quant_config)\.json"
    r"|tokenizer(?:_config)?\.json|(?:special_tokens_map|added_tokens|vocab)\.json|merges\.txt"
    r"|chat_template\.(?:jinja|json)|[A-Za-z0-9._-]+\.(?:model|tiktoken)"
)
_SHARD_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}\.safetensors")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _NotReached(Exception):
    """The hub gave no usable answer: a copy in the cache will do."""


def offline() -> str | None:
    """Name the environment variable that forbids the network; None if it is allowed."""
    yes = {"1", "ON", "YES", "TRUE"}
    return next(
        (name for name in OFFLINE_VARIABLES if os.environ.get(name, "").strip().upper() in yes),
        None,
    )


def endpoint() -> str:
    """Address of the hub: ``HF_ENDPOINT``, read now and not when ``huggingface_hub`` was loaded."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or PUBLIC_ENDPOINT


def snapshot(hub_id: str, revision: str | None, looked: str) -> Path:
    """Return the folder of a model in the local cache, after downloading what is missing.

    Parameters
    ----------
    hub_id
        ``organisation/name``.
    revision
        Branch, tag or commit; None is the main branch.
    looked
        Where it was looked for before, for errors.

    Raises
    ------
    CheckpointError
        One line that says what is in the way, and the remedy.

    Warns
    -----
    QbenchWarning
        If the hub could not be asked and the copy in the cache was taken.
    """
    named = hub_id if revision is None else f"{hub_id}@{revision}"
    forbidden = offline()
    pinned = revision is not None and _COMMIT.fullmatch(revision) is not None
    cached = _cached(hub_id, revision) if forbidden or pinned else None
    if cached is not None and (forbidden or not _missing(cached)):
        return _require_complete(cached, named, f"{forbidden} is set")
    if forbidden:
        raise CheckpointError(
            f"no model {named!r}: {looked}, it is not in the local hub cache, and {forbidden} is "
            "set; unset it to download the model"
        )
    try:
        return _download(hub_id, revision, named)
    except _NotReached as exc:
        cached = _cached(hub_id, revision)
        if cached is None:
            raise CheckpointError(
                f"no model {named!r}: {looked}, it is not in the local hub cache, and {exc}"
            ) from None
        folder = _require_complete(cached, named, str(exc))
        warnings.warn(
            f"{named}: taken from the local hub cache (commit {folder.name[:12]}), because {exc}",
            QbenchWarning,
            stacklevel=4,
        )
        return folder


def _cached(hub_id: str, revision: str | None) -> Path | None:
    """Find a model in the cache, complete or not."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        # The pattern keeps huggingface_hub from its own idea of what a complete model is.
        folder = huggingface_hub.snapshot_download(
            hub_id, revision=revision, local_files_only=True, allow_patterns=["config.json"]
        )
    except (LocalEntryNotFoundError, OSError, ValueError):
        return None
    return Path(folder)


def _missing(folder: Path) -> str | None:
    """Name the first file that a cached model lacks."""
    if not (folder / "config.json").exists():
        return "config.json"
    if (folder / SINGLE).exists():
        return None
    if not (folder / INDEX).exists():
        return SINGLE
    return next((name for name in _shards(folder / INDEX) if not (folder / name).exists()), None)


def _require_complete(folder: Path, named: str, why: str) -> Path:
    """Return a cached folder, unless a download broke off in it."""
    missing = _missing(folder)
    if missing is not None:
        raise CheckpointError(
            f"{named}: the copy in the local hub cache is incomplete ({missing} is missing), and "
            f"{why}; with the network, run again: what has arrived is kept"
        )
    return folder


def _shards(index: Path) -> list[str]:
    """Files that an index names, checked."""
    weight_map = read_object(index, INDEX_LIMIT).get("weight_map")
    names = set(weight_map.values()) if isinstance(weight_map, dict) else set()
    if not names or not all(isinstance(n, str) and _SHARD_NAME.fullmatch(n) for n in names):
        raise CheckpointError(f"{index}: weight_map: expected names of safetensors files")
    return sorted(names)


def _download(hub_id: str, revision: str | None, named: str) -> Path:
    """Download what is missing; errors of the hub become ours."""
    import huggingface_hub

    try:
        for _ in range(2):
            api = huggingface_hub.HfApi(endpoint=endpoint())
            info = api.model_info(hub_id, revision=revision, timeout=TIMEOUT_SECONDS)
            names = sorted(file.rfilename for file in info.siblings or ())
            wanted = _wanted(hub_id, str(info.sha), names, named)
            blobs = _blobs(hub_id)
            before = {path.name for path in blobs.glob("*")}
            folder = Path(
                huggingface_hub.snapshot_download(
                    hub_id,
                    revision=revision,
                    endpoint=endpoint(),
                    allow_patterns=[glob.escape(name) for name in wanted],
                )
            )
            _verify([folder / name for name in wanted], before, named)
            if folder.name == info.sha:  # else the branch moved on while files were listed
                break
        return folder
    except CheckpointError:
        raise
    except Exception as exc:
        raise _explained(exc, hub_id, revision, named) from None


def _wanted(hub_id: str, commit: str, names: list[str], named: str) -> list[str]:
    """Choose the files of a repository that qbench reads."""
    import huggingface_hub

    if "config.json" not in names:
        raise CheckpointError(f"{named}: the repository has no config.json: it holds no model")
    small = [name for name in names if _SMALL_FILES.fullmatch(name)]
    if SINGLE in names:
        return [*small, SINGLE]
    if INDEX not in names:
        raise CheckpointError(f"{named}: the repository has no {SINGLE}{_other_weights(names)}")
    index = huggingface_hub.hf_hub_download(hub_id, INDEX, revision=commit, endpoint=endpoint())
    shards = _shards(Path(index))
    for shard in shards:
        if shard not in names:
            raise CheckpointError(f"{named}: the repository lacks {shard}, which its index names")
    return [*small, INDEX, *shards]


def _other_weights(names: Iterable[str]) -> str:
    """Say which weights a repository has instead of safetensors."""
    kinds = {
        ".gguf": "only GGUF files; download one and give its path",
        ".bin": "only pickles, which could run code and are never opened; look for a revision with "
        "safetensors (refs/pr/…), or convert it on another machine with save_pretrained",
    }
    found = [
        f"; it has {text}" for end, text in kinds.items() if any(n.endswith(end) for n in names)
    ]
    return found[0] if found else " and no index of shards"


def _blobs(hub_id: str) -> Path:
    """Folder in which the cache keeps the contents of a repository's files."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}" / "blobs"


def _verify(files: Iterable[Path], before: set[str], named: str) -> None:
    """Compare new large files with the SHA-256 by which the hub names them.

    ``huggingface_hub`` itself compares sizes only. A damaged file is removed, so that the next call
    downloads it anew.
    """
    for path in files:
        blob = path.resolve()
        if blob.name in before or not _SHA256.fullmatch(blob.name):
            continue
        with blob.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != blob.name:
            path.unlink()
            blob.unlink()
            raise CheckpointError(
                f"{named}: {path.name} was damaged on the way (SHA-256 {found[:12]}…, the hub says "
                f"{blob.name[:12]}…) and was removed; run again to download it anew"
            )


def _explained(exc: Exception, hub_id: str, revision: str | None, named: str) -> Exception:
    """Turn what ``huggingface_hub`` raised into one line with a remedy, or into `_NotReached`."""
    from huggingface_hub import errors

    page = f"{endpoint()}/{hub_id}"
    login = "log in with `hf auth login` or set HF_TOKEN"
    status = getattr(getattr(exc, "response", None), "status_code", None)
    if isinstance(exc, errors.GatedRepoError):
        text = f"the model is gated; accept its terms at {page}, then {login}"
    elif isinstance(exc, errors.RevisionNotFoundError):
        text = f"the model has no revision {revision!r}; they are listed at {page}/tree/main"
    elif isinstance(exc, errors.RepositoryNotFoundError):
        text = f"the hub has no such model, or it is private; check the spelling, or {login}"
    elif status in (401, 403):
        text = f"the hub refuses access ({status}); {login}, or unset HF_TOKEN if it is outdated"
    elif isinstance(exc, errors.EntryNotFoundError) and status == 404:
        text = f"a file is gone from the hub ({_line(exc)}); run again"
    elif isinstance(exc, OSError) and exc.errno in _NO_ROOM:
        text = (
            f"no room for the download in {_blobs(hub_id).parent.parent} ({exc.strerror}); free "
            "some, or set HF_HOME to a larger disk; what has arrived is kept"
        )
    elif isinstance(exc, OSError) and "onsistency check" in str(exc):
        text = f"a download has the wrong size ({_line(exc)}); run again"
    elif isinstance(exc, PermissionError):
        text = f"cannot write the hub cache: {exc.strerror} ({exc.filename}); set HF_HOME"
    else:
        return _NotReached(_why_not_reached(exc, status))
    return CheckpointError(f"no model {named!r}: {text}")


def _why_not_reached(exc: Exception, status: int | None) -> str:
    """Say why the hub gave no usable answer."""
    if status is not None:
        return f"the hub at {endpoint()} answered {status}; try again later"
    if isinstance(exc, ValueError):
        return (
            f"what answers at {endpoint()} is no hub ({_line(exc)}): a proxy or a login page? "
            "Check HF_ENDPOINT and the network"
        )
    name = type(exc).__name__
    return f"the hub at {endpoint()} cannot be reached ({name}: {_line(exc)}); check the network"


def _line(exc: Exception) -> str:
    """First line of an exception's text."""
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0][:200]
