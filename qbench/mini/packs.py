"""The benchmark packs as one data folder.

It holds the test items of all families as official files, the perplexity corpora and the
calibration texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from qbench.errors import RequestError
from qbench.folders import new_folder
from qbench.mini.world import corpus, families
from qbench.mini.world.calibration import calibration

# Lists the files of a written folder with their SHA-256, as sha256sum does; marks it as ours.
MANIFEST = "SHA256SUMS"
CALIBRATION = "calibration/mini.jsonl"


class Pack(NamedTuple):
    """A benchmark, the family whose items it holds, and how many test items there are."""

    name: str
    family: str
    n_items: int


PACKS = (
    Pack("mmlu", "knowledge", 1800),
    Pack("ceval", "knowledge", 1800),
    Pack("gsm8k", "arithmetic", 1800),
    Pack("snli", "inference", 1800),
    Pack("flores200", "translation", 1799),
    Pack("cnn_dailymail", "news", 1750),
    Pack("xsum", "news", 1750),
    Pack("followbench", "instructions", 2100),
    Pack("truthfulqa", "myths", 1800),
    Pack("bbq", "roles", 1800),
)


@cache
def _files() -> Mapping[str, str]:
    """Write out all files once."""
    found: dict[str, str] = {}
    for name in families.NAMES:
        for path, text in families.family(name).official_files().items():
            if path in found:
                raise ValueError(f"{path}: written by {name} and by another family before it")
            found[path] = text
    for register in corpus.PERPLEXITY:
        found[f"perplexity/{register}.txt"] = corpus.perplexity_text(register)
    found[CALIBRATION] = "".join(
        json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in calibration()
    )
    return found


def files() -> dict[str, str]:
    """Return the text of every file by its path below the data folder."""
    return dict(_files())


def sha256() -> str:
    """Return one SHA-256 for all names and contents."""
    return _digest(_files())


def _digest(texts: Mapping[str, str]) -> str:
    """Hash names and contents in the order of the names, each with its length before it."""
    digest = hashlib.sha256()
    for path in sorted(texts):
        for part in (path.encode(), texts[path].encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def write(folder: str | Path) -> Path:
    """Write all files as a data folder: at once and whole, or not at all.

    Parameters
    ----------
    folder
        A folder that does not exist, is empty, or was written by this function before.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    RequestError
        It holds something else.
    QbenchError
        If the operating system refuses to write. What was there before is still there.
    """
    target = Path(folder)
    with new_folder(target, _refuse_foreign) as work:
        _write_into(work, _files())
    return target.resolve()


def _write_into(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files and their manifest into a new folder."""
    manifest = []
    for path in sorted(texts):
        content = texts[path].encode()
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        manifest.append(f"{hashlib.sha256(content).hexdigest()}  {path}\n")
    (folder / MANIFEST).write_bytes("".join(manifest).encode())


def _refuse_foreign(folder: Path) -> None:
    """Raise if a folder holds anything that ``write`` did not put there."""
    present = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()
    }
    ours: set[str] = set()
    if MANIFEST in present:
        lines = (folder / MANIFEST).read_text(encoding="utf-8", errors="replace").splitlines()
        ours = {MANIFEST, *(line.partition("  ")[2] for line in lines)}
    foreign = sorted(present - ours)
    if foreign:
        raise RequestError(
            f"{folder}: holds {foreign[0]}, which is not of the packs, and would be lost; "
            "name a new or empty folder"
        )
