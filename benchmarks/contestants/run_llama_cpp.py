"""llama.cpp as a contestant, through llama-cpp-python: ggml's block types, quantized `pure`.

The weights are written to GGUF with a made-up vocabulary and without the permutation of rotary
pairs: both matter to what a model says, neither to how fast it says it.
"""

from __future__ import annotations

import ctypes
import json
import time
from collections.abc import Iterator
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import torch
from safetensors import safe_open
from serve import Functions, serve

NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
IN_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def tensors(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield all tensors under ggml's names, in float16 (norms in float32)."""
    with safe_open(folder / "model.safetensors", "pt") as file:
        for name in file.keys():  # noqa: SIM118 - no mapping
            tensor = file.get_tensor(name)
            array = tensor.to(torch.float32 if tensor.ndim == 1 else torch.float16).numpy()
            if name in NAMES:
                yield NAMES[name], array
            else:
                layer, _, inner = name.removeprefix("model.layers.").partition(".")
                yield f"blk.{layer}.{IN_LAYER[inner.removesuffix('.weight')]}.weight", array


def write_gguf(folder: Path, path: Path) -> None:
    """Write a folder's weights to one file."""
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    vocabulary = [f"<{i}>" for i in range(config["vocab_size"])]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(vocabulary)
    writer.add_token_scores([0.0] * len(vocabulary))
    writer.add_token_types([gguf.TokenType.NORMAL] * len(vocabulary))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, array in tensors(folder):
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantized(folder: Path, kind: str, threads: int) -> Path:
    """Return the folder's file of a block type, made once."""
    path = folder / f"{kind}.gguf"
    if not path.exists():
        source = folder / "F16.gguf"
        if not source.exists():
            write_gguf(folder, source)
        settings = llama_cpp.llama_model_quantize_default_params()
        settings.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
        settings.pure = True
        settings.nthread = threads
        code = llama_cpp.llama_model_quantize(
            str(source).encode(), str(path).encode(), ctypes.byref(settings)
        )
        if code != 0:
            raise RuntimeError(f"llama_model_quantize: {code}")
    return path


def load(folder: str, threads: int, kind: str) -> Functions:
    """Load a folder as a block type such as Q4_0."""
    model = llama_cpp.Llama(
        str(quantized(Path(folder), kind, threads)),
        n_ctx=4096,
        n_batch=2048,
        n_ubatch=512,
        n_threads=threads,
        n_threads_batch=threads,
        use_mmap=False,
        verbose=False,
    )

    def prefill(n_tokens: int, seed: int) -> float:
        """Seconds of a forward over random ids; logits at the last one."""
        ids = np.random.default_rng(seed).integers(3, 100_000, n_tokens).tolist()
        model.reset()
        start = time.perf_counter()
        model.eval(ids)
        return time.perf_counter() - start

    return {"prefill": prefill}


if __name__ == "__main__":
    serve(load)
