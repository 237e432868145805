"""Makers of small model folders, by hand, so that no writer of qbench vouches for a reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qbench.models import DecoderSpec, decoder_spec

NAMES = {np.dtype("<f4"): "F32", np.dtype("<f2"): "F16", np.dtype("<u2"): "BF16"}
NAMES |= {np.dtype("u1"): "U8", np.dtype("<i4"): "I32", np.dtype("<f8"): "F64"}

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
}


def pack(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """Put a length field in front of a header and the data behind it."""
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def safetensors_bytes(
    arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Write a valid file from NumPy arrays; uint16 stands for bfloat16."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    data = b""
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        offsets = [len(data), len(data) + len(raw)]
        dtype = NAMES[array.dtype]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    return pack(text + b" " * (-len(text) % 8), data)


def byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte, by its code."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in kept]
    return {chr(b): b for b in kept} | {chr(256 + i): b for i, b in enumerate(rest)}


def tokenizer_document(**changes: Any) -> dict[str, Any]:
    """A byte-level BPE of 256 bytes, three merges and five added tokens."""
    vocab = dict(byte_alphabet())
    for index, token in enumerate(("he", "ll", "hell")):
        vocab[token] = 256 + index
    specials = ("<|begin|>", "<|im_start|>", "<|im_end|>", "<s>", "<tool_call>")
    added = [
        {
            "id": 259 + index,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": text != "<tool_call>",
        }
        for index, text in enumerate(specials)
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    document: dict[str, Any] = {
        "version": "1.0",
        "truncation": {
            "direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0
        },
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {**level, "use_regex": True},
        "post_processor": None,
        "decoder": {**level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": vocab,
            "merges": [["h", "e"], ["l", "l"], ["he", "ll"]],
        },
    }  # fmt: skip
    return {**document, **changes}


@pytest.fixture
def config() -> dict[str, Any]:
    """A valid configuration of the Llama family."""
    return json.loads(json.dumps(CONFIG))


@pytest.fixture
def spec(config: dict[str, Any]) -> DecoderSpec:
    return decoder_spec(config, "config.json")


@pytest.fixture
def tokenizer_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write tokenizer.json and tokenizer_config.json; keywords change the document."""

    def make(settings: Mapping[str, Any] | None = None, **changes: Any) -> Path:
        folder = tmp_path / "tokenizer"
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer_document(**changes)))
        named = {"bos_token": "<|begin|>", "eos_token": {"content": "<|im_end|>"}}
        text = json.dumps({**named, **(settings or {})})
        (folder / "tokenizer_config.json").write_text(text)
        return folder

    return make


@pytest.fixture
def write_safetensors() -> Callable[..., bytes]:
    return safetensors_bytes


@pytest.fixture
def pack_safetensors() -> Callable[..., bytes]:
    return pack
