"""The test model: its configuration, a PyTorch module to train it, and a float64 NumPy oracle.

Both follow the Llama conventions of Hugging Face checkpoints (names, rotate-half RoPE, RMSNorm,
SwiGLU, grouped-query attention, tied head). The oracle shares no code with the module, nor with
qbench: it recomputes the whole sequence at every step and keeps no cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 416,
    "max_position_embeddings": 256,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "torch_dtype": "bfloat16",
}
HIDDEN, MLP, LAYERS = (
    CONFIG[name] for name in ("hidden_size", "intermediate_size", "num_hidden_layers")
)
HEADS, KV_HEADS, HEAD_DIM = (
    CONFIG[name] for name in ("num_attention_heads", "num_key_value_heads", "head_dim")
)
EPS, THETA = CONFIG["rms_norm_eps"], CONFIG["rope_theta"]


class Norm(nn.Module):
    """Root-mean-square norm with a gain."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(HIDDEN))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the last axis."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * self.weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (i, i + head_dim / 2) of (batch, heads, positions, head_dim)."""
    low, high = x.chunk(2, -1)
    return x * cos + torch.cat([-high, low], -1) * sin


class Block(nn.Module):
    """One decoder layer."""

    def __init__(self) -> None:
        super().__init__()

        def linear(n_in: int, n_out: int) -> nn.Linear:
            return nn.Linear(n_in, n_out, bias=False)

        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()
        self.self_attn = nn.ModuleDict(
            {
                "q_proj": linear(HIDDEN, HEADS * HEAD_DIM),
                "k_proj": linear(HIDDEN, KV_HEADS * HEAD_DIM),
                "v_proj": linear(HIDDEN, KV_HEADS * HEAD_DIM),
                "o_proj": linear(HEADS * HEAD_DIM, HIDDEN),
            }
        )
        self.mlp = nn.ModuleDict(
            {
                "gate_proj": linear(HIDDEN, MLP),
                "up_proj": linear(HIDDEN, MLP),
                "down_proj": linear(MLP, HIDDEN),
            }
        )

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map (batch, positions, hidden) to the same shape."""
        n_batch, n, _ = x.shape
        y = self.input_layernorm(x)
        q, k, v = (
            self.self_attn[name](y).view(n_batch, n, -1, HEAD_DIM).transpose(1, 2)
            for name in ("q_proj", "k_proj", "v_proj")
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k, v = (t.repeat_interleave(HEADS // KV_HEADS, 1) for t in (k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.self_attn["o_proj"](mixed.transpose(1, 2).reshape(n_batch, n, -1))
        y = self.post_attention_layernorm(x)
        gated = functional.silu(self.mlp["gate_proj"](y)) * self.mlp["up_proj"](y)
        return x + self.mlp["down_proj"](gated)


class TinyLlama(nn.Module):
    """The decoder; its state_dict has the names of a Hugging Face checkpoint under `model.`."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(CONFIG["vocab_size"], HIDDEN)
        self.layers = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = Norm()
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                small = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=0.05 / (2 * LAYERS) ** 0.5 if small else 0.05)
        angles = torch.arange(CONFIG["max_position_embeddings"])[:, None] * THETA ** -(
            torch.arange(0, HEAD_DIM, 2) / HEAD_DIM
        )
        self.register_buffer("cos", torch.cat([angles, angles], -1).cos(), persistent=False)
        self.register_buffer("sin", torch.cat([angles, angles], -1).sin(), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (batch, positions) to logits (batch, positions, vocabulary)."""
        n = ids.shape[1]
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, self.cos[:n], self.sin[:n])
        return functional.linear(self.norm(x), self.embed_tokens.weight)


class Oracle:
    """A float64 forward over checkpoint tensors by name, written out in NumPy."""

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        self.weights = {name: array.astype(np.float64) for name, array in tensors.items()}

    def logits(self, ids: list[int]) -> np.ndarray:
        """Return the logits after each of the ids, (positions, vocabulary)."""
        w, n = self.weights, len(ids)
        frequency = 1.0 / THETA ** (np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
        turn = np.exp(1j * np.arange(n)[:, None] * frequency)
        x = w["model.embed_tokens.weight"][ids]
        for i in range(LAYERS):
            layer = f"model.layers.{i}."
            y = self._norm(x, f"{layer}input_layernorm.weight")
            x = x + self._attention(y, f"{layer}self_attn.", turn)
            y = self._norm(x, f"{layer}post_attention_layernorm.weight")
            gate = y @ w[f"{layer}mlp.gate_proj.weight"].T
            up = y @ w[f"{layer}mlp.up_proj.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ w[f"{layer}mlp.down_proj.weight"].T
        return self._norm(x, "model.norm.weight") @ w["model.embed_tokens.weight"].T

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        """Apply the root-mean-square norm."""
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + EPS) * self.weights[name]

    def _attention(self, y: np.ndarray, prefix: str, turn: np.ndarray) -> np.ndarray:
        """Attend head by head; a rotated pair is one complex number."""
        q, k, v = (y @ self.weights[f"{prefix}{x}_proj.weight"].T for x in "qkv")
        n, half = len(y), HEAD_DIM // 2
        heads = []
        for h in range(HEADS):
            kv = h // (HEADS // KV_HEADS)
            one, other = (
                (a[:, s : s + half] + 1j * a[:, s + half : s + HEAD_DIM]) * turn
                for a, s in ((q, h * HEAD_DIM), (k, kv * HEAD_DIM))
            )
            scores = (one @ other.conj().T).real / np.sqrt(HEAD_DIM)
            scores[np.triu_indices(n, 1)] = -np.inf
            p = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(p / p.sum(-1, keepdims=True) @ v[:, kv * HEAD_DIM : (kv + 1) * HEAD_DIM])
        return np.concatenate(heads, -1) @ self.weights[f"{prefix}o_proj.weight"].T

    def nll(self, ids: list[int]) -> np.ndarray:
        """Return -log p of every id but the first, (positions - 1,)."""
        logits = self.logits(ids[:-1])
        top = logits.max(-1, keepdims=True)
        total = np.log(np.exp(logits - top).sum(-1)) + top[:, 0]
        return total - logits[np.arange(len(ids) - 1), ids[1:]]
