"""transformers as a contestant: bfloat16 on PyTorch's CPU kernels (oneDNN)."""

from __future__ import annotations

import time

import numpy as np
import torch
from serve import Functions, serve
from transformers import AutoModelForCausalLM


def load(folder: str, threads: int) -> Functions:
    """Load a folder in bfloat16."""
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()

    @torch.no_grad()
    def prefill(n_tokens: int, seed: int) -> float:
        """Seconds of a forward over random ids that fills a cache; logits at the last one."""
        ids = np.random.default_rng(seed).integers(3, 100_000, (1, n_tokens))
        start = time.perf_counter()
        logits = model(input_ids=torch.from_numpy(ids), logits_to_keep=1, use_cache=True).logits
        seconds = time.perf_counter() - start
        assert bool(torch.isfinite(logits).all()) and logits.shape[1] == 1
        return seconds

    return {"prefill": prefill}


if __name__ == "__main__":
    serve(load)
