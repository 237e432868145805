"""From what a user typed to a model folder on this machine.

A local path always wins over the name of an embedded model, and that over a hub id. Only a
well-formed ``organisation/name``, with ``@revision`` behind it or not, that is no local path may
reach the network, and not even that when ``HF_HUB_OFFLINE`` or ``QBENCH_OFFLINE`` is set. What is
downloaded, and how, stands in `qbench.models.hub_download`. It must not read weights.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from qbench.errors import RequestError
from qbench.mini.family import embedded_models
from qbench.models.files import existing_path

_HUB_ID = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95})"
    r"(?:@([A-Za-z0-9][A-Za-z0-9._/-]{0,254}))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def resolve(name_or_path: str | os.PathLike[str], revision: str | None = None) -> Path:
    """Find the folder of a model.

    Parameters
    ----------
    name_or_path
        A path on this machine, the name of an embedded model such as ``mini-large``, or a hub id
        such as ``organisation/name`` or ``organisation/name@revision``.
    revision
        A branch, tag or commit of the hub's repository; the same as ``@revision``.

    Returns
    -------
    pathlib.Path
        An existing path. For a hub id, the folder in the local cache, downloaded if necessary.

    Raises
    ------
    RequestError
        If it is neither an existing path, nor an embedded model, nor the form of a hub id; if a
        revision is given for what is no hub id, or two different ones.
    CheckpointError
        If the hub does not have it, or it is not cached and the network is not allowed.
    """
    text = os.fspath(name_or_path)
    path = existing_path(text, RequestError)
    embedded = embedded_models()
    if path is not None or text in embedded:
        if revision is not None:
            raise RequestError(
                f"revision={revision!r:.80} belongs to a hub id; {text[:200]!r} is on this machine"
            )
        return embedded[text] if path is None else path
    looked = f"looked for {Path(text).absolute()}"
    match = _HUB_ID.fullmatch(text)
    if match is None or ".." in text:
        raise RequestError(
            f"no model at {text[:200]!r}: {looked}, it is no embedded model "
            f"({', '.join(embedded) or 'none'}), and it has not the form of a hub id "
            "(organisation/name or organisation/name@revision)"
        )
    from qbench.models.hub_download import snapshot

    return snapshot(match[1], _one_revision(match[2], revision), looked)


def _one_revision(typed: str | None, given: str | None) -> str | None:
    """Return the revision that was asked for in either way."""
    if typed is not None and given is not None and typed != given:
        raise RequestError(f"two revisions: @{typed} and revision={given!r:.80}; leave one out")
    wanted = given if typed is None else typed
    if wanted is not None and (".." in wanted or not _HUB_ID.fullmatch(f"a/b@{wanted}")):
        raise RequestError(f"{wanted[:80]!r} is no branch, tag or commit")
    return wanted


def commit_of(folder: Path | None) -> str | None:
    """Return the commit of a folder in the hub's local cache; None for any other folder."""
    if folder is None:
        return None
    absolute = folder.absolute()
    cached = absolute.parent.name == "snapshots" and _COMMIT.fullmatch(absolute.name)
    return absolute.name if cached else None
