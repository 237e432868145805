"""lm-eval's own backend as a contestant: `hf` in bfloat16, scoring the pairs of a file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from serve import Functions, serve


def load(folder: str, threads: int, batch: int) -> Functions:
    """Load a folder in bfloat16."""
    torch.set_num_threads(threads)
    model = HFLM(pretrained=folder, dtype="bfloat16", device="cpu", batch_size=batch)

    def score(pairs: str) -> tuple[float, list[float]]:
        """Seconds and log-probabilities of the (context, continuation) texts of a file."""
        asked = [
            Instance("loglikelihood", {}, tuple(pair), number)
            for number, pair in enumerate(json.loads(Path(pairs).read_text()))
        ]
        start = time.perf_counter()
        result = model.loglikelihood(asked, disable_tqdm=True)
        return time.perf_counter() - start, [float(logprob) for logprob, _ in result]

    return {"score": score}


if __name__ == "__main__":
    serve(load)
