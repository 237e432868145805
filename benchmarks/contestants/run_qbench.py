"""qbench as a contestant: prefill with the head at the last position, and scoring of pairs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from serve import Functions, serve

import qbench


def load(folder: str, threads: int, recipe: str, mode: str) -> Functions:
    """Load a folder under a recipe."""
    model = qbench.load(folder, recipe, mode=mode, threads=threads)

    def prefill(n_tokens: int, seed: int) -> float:
        """Seconds of a forward over random ids; log-probabilities at the last one."""
        ids = np.random.default_rng(seed).integers(3, 100_000, n_tokens).tolist()
        start = time.perf_counter()
        result = model.loglikelihood_tokens([(ids, [5])])
        seconds = time.perf_counter() - start
        assert np.isfinite(result["logprob"]).all()
        return seconds

    def score(pairs: str) -> tuple[float, list[float]]:
        """Seconds and log-probabilities of the (context, continuation) texts of a file."""
        asked = [tuple(pair) for pair in json.loads(Path(pairs).read_text())]
        start = time.perf_counter()
        result = model.loglikelihood(asked)
        return time.perf_counter() - start, result["logprob"].tolist()

    return {"prefill": prefill, "score": score}


if __name__ == "__main__":
    serve(load)
