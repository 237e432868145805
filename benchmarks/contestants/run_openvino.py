"""OpenVINO as a contestant: symmetric int4 weights in groups of 128, int8 embedding and head.

The PyTorch model is traced without a cache and with the head at the last position, compressed by
NNCF (ratio 1.0) and run with the plugin's defaults for this kind of model: activations quantized
dynamically, the rest in bfloat16 where the machine has it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino
import torch
from serve import Functions, serve
from transformers import AutoModelForCausalLM
from transformers.models.llama import modeling_llama


class LastLogits(torch.nn.Module):
    """A causal model as a function of ids alone; the mask is left to the attention itself."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Logits after the last token."""
        positions = torch.arange(input_ids.shape[1]).unsqueeze(0)
        out = self.model(
            input_ids=input_ids, position_ids=positions, use_cache=False, logits_to_keep=1
        )
        return out.logits


def compressed(folder: str) -> Path:
    """Return the compressed model of a folder, made once beside its weights."""
    path = Path(folder) / "openvino-int4-sym-g128.xml"
    if not path.exists():
        modeling_llama.create_causal_mask = lambda *_, **__: None
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        with torch.no_grad():
            converted = openvino.convert_model(
                LastLogits(model),
                example_input=torch.zeros((1, 16), dtype=torch.int64),
                input=[("input_ids", [1, -1])],
            )
        mode = nncf.CompressWeightsMode.INT4_SYM
        small = nncf.compress_weights(converted, mode=mode, group_size=128, ratio=1.0)
        openvino.save_model(small, path)
    return path


def load(folder: str, threads: int) -> Functions:
    """Compress a folder and compile it for latency."""
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    model = core.compile_model(core.read_model(compressed(folder)), "CPU", settings)

    def prefill(n_tokens: int, seed: int) -> float:
        """Seconds of a forward over random ids; logits at the last one."""
        ids = np.random.default_rng(seed).integers(3, 100_000, (1, n_tokens))
        start = time.perf_counter()
        logits = model([ids])[0]
        seconds = time.perf_counter() - start
        assert np.isfinite(logits).all() and logits.shape[1] == 1
        return seconds

    return {"prefill": prefill}


if __name__ == "__main__":
    serve(load)
