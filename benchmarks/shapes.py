"""Models of real shapes with random weights, as folders that qbench and its peers read alike.

    python -m benchmarks.shapes 1b [--folder build/shapes]

The sizes are those of published configurations; all are built as a plain Llama (no biases), so that
every contestant runs the same products. A folder is made once and kept: config.json, bfloat16
weights, and the tokenizer of its vocabulary where the shared material is at hand.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qbench.models import decoder_spec, tensor_slots
from qbench.models.checkpoint import INDEX, SINGLE
from qbench.quant.floats import f32_to_bf16
from qbench.quant.safetensors_writer import Entry, write_safetensors

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "shapes"
SHARED = Path(os.environ.get("QBENCH_SHARED", ROOT.parent / "shared"))

# hidden, intermediate, layers, heads, key-value heads, head size, vocabulary, tied head
SIZES = {
    "0.5b": (896, 4864, 24, 14, 2, 64, 151936, True),  # Qwen2.5-0.5B
    "1b": (2048, 8192, 16, 32, 8, 64, 128256, True),  # Llama-3.2-1B
    "7b": (4096, 14336, 32, 32, 8, 128, 32768, False),  # Mistral-7B-v0.3
    "8b-2l": (4096, 14336, 2, 32, 8, 128, 128256, False),  # two layers of Llama-3.1-8B
}
# Vocabulary: name for the tool that builds a tokenizer (None: it is there), folder of its files.
TOKENIZERS = {
    151936: ("qwen2", "qwen2.5-0.5b-instruct"),
    128256: ("llama3", "llama-3"),
    32768: (None, "mistral-7b-v0.3"),
}
SHARD_BYTES = 5_000_000_000
"""Larger models are written in shards of that size, as they are published."""
STANDARD_DEVIATION = 0.02
PIECE = 1 << 22


def config(name: str) -> dict[str, Any]:
    """Return the config.json of a shape."""
    hidden, inner, layers, heads, kv_heads, head_dim, vocab, tied = SIZES[name]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "vocab_size": vocab,
        "max_position_embeddings": 8192,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": tied,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    }


def _values(shape: tuple[int, ...], seed: int) -> Iterator[np.ndarray]:
    """Yield the bits of a tensor: ones for a norm, normal weights for a matrix."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    for first in range(0, size, PIECE):
        n = min(PIECE, size - first)
        if len(shape) == 1:
            yield np.full(n, 0x3F80, np.uint16)
        else:
            values = rng.standard_normal(n, np.float32)
            values *= np.float32(STANDARD_DEVIATION)
            yield f32_to_bf16(values)


def folder(name: str, parent: Path = FOLDER) -> Path:
    """Return the folder of a shape, made if it is not there."""
    path = parent / name
    if (path / "config.json").exists():
        return path
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    content = config(name)
    entries = [
        Entry(slot.name, "BF16", slot.shape, lambda s=slot, n=number: _values(s.shape, n))
        for number, slot in enumerate(tensor_slots(decoder_spec(content, name)))
    ]
    _write_weights(path, entries)
    _add_tokenizer(path, content["vocab_size"])
    # The last file: a folder without it is begun again.
    (path / "config.json").write_text(json.dumps(content, indent=1) + "\n")
    return path


def _write_weights(path: Path, entries: list[Entry]) -> None:
    """One file, or shards with an index."""
    shards: list[list[Entry]] = [[]]
    room = SHARD_BYTES
    for entry in entries:
        size = 2 * int(np.prod(entry.shape))
        if shards[-1] and size > room:
            shards.append([])
            room = SHARD_BYTES
        shards[-1].append(entry)
        room -= size
    if len(shards) == 1:
        write_safetensors(path / SINGLE, entries, {"format": "pt"})
        return
    names = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    for name, own in zip(names, shards, strict=True):
        write_safetensors(path / name, own, {"format": "pt"})
    pairs = zip(names, shards, strict=True)
    index = {
        "metadata": {"total_size": sum(2 * int(np.prod(e.shape)) for e in entries)},
        "weight_map": {entry.name: name for name, own in pairs for entry in own},
    }
    (path / INDEX).write_text(json.dumps(index, indent=1) + "\n")


def _add_tokenizer(path: Path, vocab_size: int) -> None:
    """Put the tokenizer of a vocabulary beside the weights, if the shared material has it."""
    tokenizers = SHARED / "tokenizers"
    maker = tokenizers / "rebuild_tokenizer_json.py"
    if not maker.exists():
        print(f"{path.name}: no tokenizer, because {maker} is not there", file=sys.stderr)
        return
    name, source = TOKENIZERS[vocab_size]
    copied = ["tokenizer_config.json"]
    if name is None:
        copied.append("tokenizer.json")
    else:
        subprocess.run([sys.executable, maker, name, path / "tokenizer.json"], check=True)
    for file in copied:
        shutil.copyfile(tokenizers / source / file, path / file)


def main() -> None:
    """Make folders."""
    parser = argparse.ArgumentParser(description="Models of real shapes with random weights.")
    parser.add_argument("names", nargs="+", choices=SIZES)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    for name in options.names:
        print(folder(name, options.folder))


if __name__ == "__main__":
    main()
