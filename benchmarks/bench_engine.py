"""Tokens per second of prefill and decode, per recipe, on the test model or any other.

    python -m benchmarks.bench_engine [--model DIR] [--recipes bf16,rtn-w4g32] [--json FILE]

The test model is small enough to sit in the cache: its figures show call overhead and regressions,
not what a large model reaches.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import qbench
from benchmarks.harness import measure, write_json

TINY = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "tiny"
RECIPES = "bf16,rtn-w8g32,rtn-w4g32,rtn-w3g32,rtn-w2g32"


def subjects(
    model: Any, n_prompt: int, n_new: int, batch: int
) -> dict[str, tuple[Callable[[], Any], int]]:
    """Return what is timed: functions by name, and the tokens that a call processes."""
    rng = np.random.default_rng(0)
    prompt = rng.integers(2, model.spec.vocab_size, n_prompt).tolist()
    start = [prompt[:4]] * batch
    longest = model.generate(start, max_new_tokens=n_new)
    return {
        f"prefill {n_prompt}": (lambda: model.logits(prompt), n_prompt),
        f"decode {n_new} x {batch}": (
            lambda: model.generate(start, max_new_tokens=n_new),
            sum(map(len, longest)),
        ),
    }


def main() -> None:
    """Time every recipe and print a table."""
    parser = argparse.ArgumentParser(description="Tokens per second of the engine.")
    parser.add_argument("--model", type=Path, default=TINY)
    parser.add_argument("--recipes", default=RECIPES)
    parser.add_argument("--prompt", type=int, default=192)
    parser.add_argument("--new", type=int, default=48)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    calls, tokens = {}, {}
    for recipe in options.recipes.split(","):
        model = qbench.load(options.model, recipe, threads=options.threads)
        logits = model.logits([2, 3, 4])
        assert np.isfinite(logits).all(), f"{recipe}: the logits are not finite"
        for name, (call, n) in subjects(model, options.prompt, options.new, options.batch).items():
            calls[f"{recipe:10} {name}"], tokens[f"{recipe:10} {name}"] = call, n
    timings = measure(calls)
    for name, timing in timings.items():
        best, usual = tokens[name] / timing.least, tokens[name] / timing.median
        print(f"{name:32} {best:10.0f} tokens/s  (median {usual:.0f}, {timing.repeats} calls)")
    if options.json:
        write_json(options.json, timings, tokens=tokens, model=str(options.model))


if __name__ == "__main__":
    main()
