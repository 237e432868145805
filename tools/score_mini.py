r"""Score checkpoints of the mini family on the ten packs, as they are and rounded to fewer bits.

    python tools/score_mini.py FOLDER... --limit 300 --bits 16,8,4,3,2 --out scores.json
    python tools/score_mini.py --out scores.json --markdown

A folder holds ``config.json``, ``model.safetensors`` and ``tokenizer.json``. 16 bits mean the
stored weights, computed in float32; fewer mean the linears of the layers rounded to nearest,
asymmetric, in groups of 32 inputs. Each cell (size, task, bits) is written to ``--out`` as soon as
it is there, and kept on the next call while weights, items and settings are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mini_items
import torch
from mini_engine import Scorer, quantized
from mini_model import SIZES, MiniLlama, Size, from_checkpoint
from mini_scores import TASKS, TEXTS, chosen_items, pack_files, run_task, run_texts
from mini_table import cell_key, markdown, print_cell
from safetensors.torch import load_file

# Windows of a perplexity text that are scored when the number of items is limited.
LIMITED_WINDOWS = 32
FORMAT = 1
# Large activations cost mostly page faults otherwise, and waiting threads spin where cores are
# shared. Both are read before Python can set them.
ENVIRONMENT = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "OMP_WAIT_POLICY": "PASSIVE",
}


def folder_files(root: Path) -> dict[str, str]:
    """Files of a data folder by relative path."""
    kinds = {".csv", ".json", ".jsonl", ".txt", ".raw", ".devtest", ".dev"}
    paths = sorted(path for path in root.rglob("*") if path.suffix in kinds)
    # Bytes are decoded as they are: universal newlines would change what a text holds.
    return {path.relative_to(root).as_posix(): path.read_bytes().decode() for path in paths}


def load(folder: Path) -> tuple[str, MiniLlama, Any]:
    """Name (of the shape, else of the folder), model and tokenizer of a checkpoint folder."""
    from tokenizers import Tokenizer

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    size = Size(
        config["hidden_size"],
        config["num_hidden_layers"],
        config["num_attention_heads"],
        config["num_key_value_heads"],
        config["head_dim"],
        config["intermediate_size"],
    )
    name = next((name for name, known in SIZES.items() if known == size), folder.resolve().name)
    model = from_checkpoint(size, load_file(folder / "model.safetensors")).eval()
    return name, model, Tokenizer.from_file(str(folder / "tokenizer.json"))


def _stamp(folder: Path, *settings: Any) -> str:
    """Fingerprint of what a cell depends on."""
    digest = hashlib.sha256()
    for file in ("model.safetensors", "tokenizer.json"):
        digest.update((folder / file).read_bytes())
    digest.update(repr((FORMAT, *settings)).encode())
    return digest.hexdigest()[:16]


def score_folder(
    folder: Path, files: Mapping[str, str], given: argparse.Namespace, cells: dict[str, Any]
) -> None:
    """Fill the cells of one checkpoint and write them after each."""
    name, model, tokenizer = load(folder)
    taken = {cell["size"] for cell in cells.values() if cell["folder"] != str(folder)}
    size = f"{name}@{folder.name}" if name in taken else name
    work = {
        task: chosen_items(task, files, given.limit, given.shots)
        for task in given.tasks
        if task != TEXTS
    }
    texts = mini_items.texts(files) if TEXTS in given.tasks else {}
    windows = None if given.limit is None else LIMITED_WINDOWS
    stamps = {task: _stamp(folder, task, items) for task, items in work.items()}
    stamps |= {TEXTS: _stamp(folder, texts, windows)} if texts else {}
    model = model.to(given.device)
    reference = Scorer(model, tokenizer)
    for bits in given.bits:
        todo = [
            task
            for task in stamps
            if cells.get(cell_key(size, task, bits), {}).get("stamp") != stamps[task]
        ]
        if not todo:
            continue
        twin = model if bits >= 16 else quantized(model, bits)
        scorer = Scorer(twin, tokenizer)
        for task in todo:
            start = time.perf_counter()
            if task == TEXTS:
                base = reference if bits < 16 else None
                summary = run_texts(scorer, base, texts, windows)
            else:
                summary = run_task(scorer, task, work[task])
            cell = {"size": size, "folder": str(folder), "task": task, "bits": bits}
            cell |= {"stamp": stamps[task], "seconds": round(time.perf_counter() - start, 2)}
            # JSON has no NaN: what is not a number (an absent interval too) is null.
            values = {kind: _finite(value) for kind, value in summary.values.items()}
            cell |= {"values": values, "counts": summary.counts, "right": summary.right}
            cells[cell_key(size, task, bits)] = cell
            print_cell(cells, size, task, bits)
            _save(given.out, cells)


def _finite(value: Sequence[float]) -> list[float | None]:
    """Numbers as JSON can hold them."""
    return [number if math.isfinite(number) else None for number in value]


def _save(out: Path | None, cells: dict[str, Any]) -> None:
    """Write the cells, whole or not at all."""
    if out is not None:
        draft = out.with_suffix(out.suffix + ".part")
        draft.write_text(
            json.dumps({"format": FORMAT, "cells": cells}, indent=1, allow_nan=False) + "\n"
        )
        draft.replace(out)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="checkpoint folders")
    parser.add_argument("--limit", type=int, help="items of each task; default all")
    parser.add_argument("--tasks", default=",".join([*TASKS, TEXTS]), help="default all")
    parser.add_argument("--bits", default="16,8,4,3,2")
    parser.add_argument("--shots", type=int, default=0, help="of mmlu_letter and ceval")
    parser.add_argument("--data", type=Path, help="folder of official files; default mini packs")
    parser.add_argument("--out", type=Path, help="cells as JSON; those there are kept")
    parser.add_argument("--markdown", action="store_true", help="print the tables at the end")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="of torch")
    given = parser.parse_args(argv)
    given.tasks = given.tasks.split(",")
    given.bits = sorted((int(bits) for bits in given.bits.split(",")), reverse=True)
    unknown = set(given.tasks) - {*TASKS, TEXTS}
    if unknown:
        parser.error(f"unknown tasks: {', '.join(sorted(unknown))}")
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Score, print one line per cell, and print the tables if asked."""
    given = _arguments(argv)
    if given.threads:
        torch.set_num_threads(given.threads)
    cells: dict[str, Any] = {}
    if given.out is not None and given.out.exists():
        cells = json.loads(given.out.read_text())["cells"]
    if given.folders:
        files = folder_files(given.data) if given.data else pack_files()
        for folder in given.folders:
            score_folder(folder, files, given, cells)
    if given.markdown:
        print(markdown(cells))
    return 0


def _with_environment() -> None:
    """Start anew with the settings of allocator and threads, which are read at the start."""
    if sys.platform == "linux" and "MALLOC_MMAP_MAX_" not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.argv], ENVIRONMENT | os.environ)


if __name__ == "__main__":
    _with_environment()
    sys.exit(main())
