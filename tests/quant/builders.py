"""Small models and hard matrices for the tests of quantization."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from qbench.models import DecoderSpec, decoder_spec, tensor_slots
from qbench.models.checkpoint import MemoryCheckpoint

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 40,
    "intermediate_size": 51,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 10,
    "vocab_size": 37,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
    "something_else": {"kept": [1, 2.5, None]},
}
STORED = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
TOKENIZER = '{"this file": "is copied, not read"}\n'


def bf16_bits(values: np.ndarray) -> np.ndarray:
    """Upper halves of float32 values: bfloat16 by truncation."""
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def config(dtype: str = "f32", tied: bool = True) -> dict[str, Any]:
    """Return a configuration of a tiny Llama."""
    return CONFIG | {"torch_dtype": STORED[dtype], "tie_word_embeddings": tied}


def spec(dtype: str = "f32", tied: bool = True) -> DecoderSpec:
    """Return a specification of a tiny Llama."""
    return decoder_spec(config(dtype, tied), "config")


def arrays(dtype: str = "f32", tied: bool = True, seed: int = 0) -> dict[str, np.ndarray]:
    """Return weights of a tiny Llama by name."""
    rng = np.random.default_rng(seed)
    out = {}
    for slot in tensor_slots(spec(dtype, tied)):
        values = (0.1 * rng.standard_normal(slot.shape)).astype(np.float32)
        casts = {"f32": values, "f16": values.astype(np.float16), "bf16": bf16_bits(values)}
        out[slot.name] = casts[dtype]
    return out


def checkpoint(dtype: str = "f32", tied: bool = True, seed: int = 0) -> MemoryCheckpoint:
    """Return a tiny Llama in memory."""
    return MemoryCheckpoint(arrays(dtype, tied, seed))


def source_folder(folder: Path, dtype: str = "f32", tied: bool = True) -> Path:
    """Write what saving takes over from a model's source."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config(dtype, tied)))
    (folder / "tokenizer.json").write_text(TOKENIZER)
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 3]}')
    return folder


KINDS = ("normal", "zeros", "constant", "spike", "denormal", "huge", "positive", "ties")


def hard_matrix(n_rows: int, n_inputs: int, seed: int, kind: str) -> np.ndarray:
    """Return a float32 matrix of a kind that quantizers get wrong."""
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal((n_rows, n_inputs)).astype(np.float32)
    if kind == "zeros":
        return np.zeros_like(normal)
    if kind == "constant":
        return np.full_like(normal, normal[0, 0])
    if kind == "spike":
        spike = np.zeros_like(normal)
        spike[:, seed % n_inputs] = normal[:, 0] * 1e6
        return spike
    if kind == "denormal":
        return normal * np.float32(1e-20) * np.float32(3e-22)
    if kind == "huge":
        return np.clip(normal, -1, 1) * np.float32(2.0**126)
    if kind == "positive":
        return np.abs(normal)
    if kind == "ties":
        return (rng.integers(-15, 16, normal.shape) / 2).astype(np.float32)
    return normal * np.float32(2.0 ** (seed % 9 - 6))
