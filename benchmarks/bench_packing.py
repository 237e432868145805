"""Rounding and packing of a bfloat16 checkpoint, in gigabytes of input a second.

    python -m benchmarks.bench_packing [--shape 1b] [--recipes rtn-w4g32,rtn-w8g128-sym]

What `qbench.load` does between opening the files and the first forward: reading, the check for NaN,
rounding, and the panels; then the same with the hash of the weights, which names them in results.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks import shapes
from benchmarks.harness import machine
from qbench.models import decoder_spec, read_config
from qbench.models.checkpoint import SINGLE, Checkpoint
from qbench.quant.load import pack
from qbench.quant.quantize import quantize_checkpoint

RECIPES = "rtn-w4g32,rtn-w4g128-sym+head8,rtn-w8g128-sym,rtn-w3g32,rtn-w2g32,bf16"


def hash_seconds(folder: Path) -> float:
    """Time the hash of the weights, in a process that has not taken it yet."""
    with Checkpoint.open(folder) as checkpoint:
        start = time.perf_counter()
        checkpoint.sha256()
        return time.perf_counter() - start


def pack_seconds(folder: Path, recipe: str) -> float:
    """Time one recipe."""
    spec = decoder_spec(read_config(folder), str(folder))
    with Checkpoint.open(folder) as checkpoint:
        start = time.perf_counter()
        pack(quantize_checkpoint(checkpoint, spec, recipe, packed=True))
        return time.perf_counter() - start


def main() -> None:
    """Print a line per recipe."""
    parser = argparse.ArgumentParser(description="Rounding and packing a checkpoint.")
    parser.add_argument("--shape", choices=shapes.SIZES, default="1b")
    parser.add_argument("--recipes", default=RECIPES)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    folder = shapes.folder(options.shape)
    size = (folder / SINGLE).stat().st_size * 1e-9
    hashing = hash_seconds(folder)
    print(machine())
    print(f"{options.shape}: {size:.2f} GB of bfloat16, hash in {hashing:.2f} s")
    for recipe in options.recipes.split(","):
        best = min(pack_seconds(folder, recipe) for _ in range(options.rounds))
        print(
            f"  {recipe:24}{best:6.2f} s {size / best:6.2f} GB/s; "
            f"with the hash {size / (best + hashing):.2f} GB/s"
        )


if __name__ == "__main__":
    main()
