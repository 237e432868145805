"""Prefill of real shapes beside other engines, in one interleaved run.

    python -m benchmarks.bench_models [--shape 1b] [--tokens 512] [--rounds 7] [--json FILE]

Weights are random, shapes are those of `benchmarks.shapes`. Every engine computes the head at the
last position alone. Ratios are medians over rounds, in which all take their turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from benchmarks import contest, shapes
from benchmarks.bench_kernels import Ceilings
from benchmarks.contest import Entry
from benchmarks.harness import machine
from qbench import core
from qbench.engine.cost import linear_products
from qbench.models import decoder_spec

RECIPE = "rtn-w4g128-sym+head8"
FAST, FAITHFUL = "qbench fast", "qbench faithful"
TRANSFORMERS, OPENVINO = "transformers bf16", "OpenVINO int4 sym g128"
ENTRIES = (
    Entry(FAST, "run_qbench", {"recipe": RECIPE, "mode": "fast"}),
    Entry(FAITHFUL, "run_qbench", {"recipe": RECIPE, "mode": "faithful"}),
    Entry("qbench bf16 fast", "run_qbench", {"recipe": "bf16", "mode": "fast"}),
    Entry(TRANSFORMERS, "run_transformers", {}),
    Entry(OPENVINO, "run_openvino", {}),
    Entry("llama.cpp Q4_0", "run_llama_cpp", {"kind": "Q4_0"}),
    Entry("llama.cpp Q8_0", "run_llama_cpp", {"kind": "Q8_0"}),
)


def products_per_token(shape: str) -> float:
    """Multiply-accumulates of a token in the linear layers, the head left out."""
    return float(linear_products(decoder_spec(shapes.config(shape), shape)))


def measure(
    shape: str, n_tokens: int, rounds: int, threads: int, only: str = ""
) -> dict[str, list[float]]:
    """Seconds of each round by contestant."""
    entries = [entry for entry in ENTRIES if only in entry.name]
    contestants = contest.start(entries, shapes.folder(shape), threads)
    try:
        return contest.in_turn(contestants, rounds, "prefill", n_tokens=n_tokens)
    finally:
        for contestant in contestants:
            contestant.close()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Prefill beside other engines.")
    parser.add_argument("--shape", choices=shapes.SIZES, default="1b")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=core.default_threads())
    parser.add_argument("--only", default="", help="a part of the contestants' names")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(machine(), f"{options.threads} threads")
    before = Ceilings.measure(options.threads)
    seconds = measure(options.shape, options.tokens, options.rounds, options.threads, options.only)
    products = products_per_token(options.shape)
    print(f"{options.shape}, {options.tokens} tokens; peaks before: {before.text()}")
    for name, taken in seconds.items():
        best, usual = options.tokens / min(taken), options.tokens / statistics.median(taken)
        against = {
            peer: contest.ratio(taken, seconds[peer])
            for peer in (TRANSFORMERS, OPENVINO)
            if peer in seconds and peer != name
        }
        ratios = "  ".join(f"{value:.2f} x {peer}" for peer, value in against.items())
        print(
            f"  {name:24}{best:7.0f} tokens/s (median {usual:.0f}), "
            f"{best * products * 1e-9:4.0f} GMAC/s in the layers  {ratios}"
        )
    if options.json:
        record = {"machine": machine(), "shape": options.shape, "seconds": seconds}
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
