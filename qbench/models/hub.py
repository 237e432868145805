"""From what a user typed to a model folder on this machine.

A local path always wins over the name of an embedded model, and that over a hub id. Only a
well-formed ``organisation/name`` that is no local path may reach the network, and not even that
when ``HF_HUB_OFFLINE`` is set. It must not read weights.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from qbench.errors import CheckpointError, RequestError
from qbench.mini.family import embedded_models
from qbench.models.files import existing_path

PATTERNS = ("*.json", "*.safetensors", "tokenizer*", "*.jinja")
"""What is downloaded of a repository: no pickles, no code."""

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def offline() -> bool:
    """Whether the environment forbids the network (``HF_HUB_OFFLINE``)."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in {"1", "ON", "YES", "TRUE"}


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """Find the folder of a model.

    Parameters
    ----------
    name_or_path
        A path on this machine, the name of an embedded model such as ``mini-large``, or a hub id
        such as ``organisation/name``.

    Returns
    -------
    pathlib.Path
        An existing path. For a hub id, the folder in the local cache, downloaded if necessary.

    Raises
    ------
    RequestError
        If it is neither an existing path, nor an embedded model, nor the form of a hub id.
    CheckpointError
        If the hub does not have it, or it is not cached and the network is not allowed.
    """
    text = os.fspath(name_or_path)
    path = existing_path(text, RequestError)
    if path is not None:
        return path
    embedded = embedded_models()
    if text in embedded:
        return embedded[text]
    looked = f"looked for {Path(text).absolute()}"
    if not _HUB_ID.fullmatch(text) or ".." in text:
        raise RequestError(
            f"no model at {text[:200]!r}: {looked}, it is no embedded model "
            f"({', '.join(embedded) or 'none'}), and it has not the form of a hub id "
            "(organisation/name)"
        )
    return _snapshot(text, looked)


def _snapshot(hub_id: str, looked: str) -> Path:
    """Get a repository from the local cache or, where allowed, from the hub."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    local_only = offline()
    try:
        folder = huggingface_hub.snapshot_download(
            hub_id, allow_patterns=list(PATTERNS), local_files_only=local_only
        )
    except LocalEntryNotFoundError:
        why = "HF_HUB_OFFLINE is set" if local_only else "the hub cannot be reached"
        raise CheckpointError(
            f"no model {hub_id!r}: {looked}, it is not in the local hub cache, and {why}"
        ) from None
    except (HfHubHTTPError, OSError, ValueError) as exc:
        reason = str(exc).strip().splitlines()[:1]
        raise CheckpointError(
            f"no model {hub_id!r}: {looked}, then asked the hub: {''.join(reason)[:200]}"
        ) from None
    return Path(folder)
