"""The decoder of the embedded family in PyTorch: sizes, training forward, cached forward, export.

A Llama (RMSNorm, SwiGLU, rotate-half RoPE, grouped-query attention, tied head) whose query, key and
value matrices are one, and gate and up too, because few large products are faster than many small
ones. `checkpoint` and `from_checkpoint` translate to the names of Hugging Face.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

VOCAB, CONTEXT, EPS, THETA = 2048, 1024, 1e-5, 10_000.0


@dataclass(frozen=True)
class Size:
    """Shape of one member of the family; ``middle`` is the layer that training hears hints from."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    mlp: int
    middle: int = field(default=0, compare=False)


SIZES = {
    "mini-small": Size(64, 4, 4, 4, 16, 192, 2),
    "mini-medium": Size(128, 6, 4, 4, 32, 192, 3),
    "mini-large": Size(256, 6, 8, 8, 32, 512, 3),
}


def rms_norm(x: Tensor, gain: Tensor) -> Tensor:
    """Root-mean-square norm over the last axis."""
    return functional.rms_norm(x, (x.shape[-1],), gain, EPS)


def attend_within(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention of (batch, heads, positions, head) where ``mask`` is 1, for rows of many examples.

    ``mask`` is (batch, 1, positions, positions) of ones and zeros, in float32: booleans cost a
    seventh more.

    A training step takes 0.75 of what it takes with the fused kernel, which on a CPU is slow where
    there is a mask (its backward pass is 43 % of a step). Without a maximum to subtract, products
    beyond 80 would count as 80, far above what these models have.
    """
    weights = (q * q.shape[-1] ** -0.5 @ k.transpose(2, 3)).float().clamp(max=80.0).exp() * mask
    return (weights @ v) / weights.sum(-1, keepdim=True)


class Block(nn.Module):
    """One layer."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        n_qkv = (size.heads + 2 * size.kv_heads) * size.head
        self.input_gain = nn.Parameter(torch.ones(size.hidden))
        self.mlp_gain = nn.Parameter(torch.ones(size.hidden))
        self.qkv = nn.Linear(size.hidden, n_qkv, bias=False)
        self.out = nn.Linear(size.heads * size.head, size.hidden, bias=False)
        self.gate_up = nn.Linear(size.hidden, 2 * size.mlp, bias=False)
        self.down = nn.Linear(size.mlp, size.hidden, bias=False)

    def forward(
        self,
        x: Tensor,
        turns: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: list[Tensor] | None = None,
    ) -> Tensor:
        """Map (batch, positions, hidden) to the same shape; ``cache`` is [keys, values] or []."""
        n_batch, n, _ = x.shape
        heads, kv_heads = self.size.heads, self.size.kv_heads
        mixed = self.qkv(rms_norm(x, self.input_gain)).view(n_batch, n, -1, self.size.head)
        qk, v = mixed.transpose(1, 2).split([heads + kv_heads, kv_heads], 1)
        (cos, sin), (low, high) = turns, qk.chunk(2, -1)
        qk = torch.cat([low * cos - high * sin, high * cos + low * sin], -1)
        q, k = qk.split([heads, kv_heads], 1)
        if cache is not None:
            if cache:
                k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
            cache[:] = [k, v]
        k, v = (t.repeat_interleave(heads // kv_heads, 1) for t in (k, v))
        if mask is not None and cache is None:
            mixed = attend_within(q, k, v, mask)
        else:
            mixed = functional.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=mask is None
            )
        x = x + self.out(mixed.transpose(1, 2).reshape(n_batch, n, -1))
        gate, up = self.gate_up(rms_norm(x, self.mlp_gain)).chunk(2, -1)
        return x + self.down(functional.silu(gate) * up)


class MiniLlama(nn.Module):
    """The whole decoder."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Parameter(torch.empty(VOCAB, size.hidden))
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.final_gain = nn.Parameter(torch.ones(size.hidden))
        nn.init.normal_(self.embedding, std=size.hidden**-0.5)
        for name, weight in self.named_parameters():
            if weight.ndim == 2 and name != "embedding":
                deep = (
                    (2 * size.layers) ** -0.5 if name.endswith(("out.weight", "down.weight")) else 1
                )
                nn.init.normal_(weight, std=0.6 * deep * weight.shape[1] ** -0.5)
        # As transformers computes them: float32 position times float32 inverse frequency.
        rates = 1.0 / THETA ** (torch.arange(0, size.head, 2).float() / size.head)
        angles = torch.arange(CONTEXT).float()[:, None] * rates
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def hidden(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the normed states (batch, positions, hidden) of ids (batch, positions).

        ``mask`` (batch, 1, positions, positions) is 1 where a position may look, else 0; None means
        all earlier ones.
        """
        return self.middle_and_last(ids, mask)[1]

    def middle_and_last(self, ids: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the states of the middle layer, normed like the last ones, and the last ones."""
        n = ids.shape[1]
        x = middle = functional.embedding(ids, self.embedding)
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, (self.cos[:n], self.sin[:n]), mask)
            if number == self.size.middle:
                middle = x
        return rms_norm(middle, self.final_gain), rms_norm(x, self.final_gain)

    def step(
        self, ids: Tensor, positions: Tensor, mask: Tensor, caches: list[list[Tensor]]
    ) -> Tensor:
        """Return the states of further positions after those in the caches (one list per layer).

        ``positions`` is (batch, n), ``mask`` (batch, 1, n, cached + n), True where one may look.
        """
        turns = self.cos[positions][:, None], self.sin[positions][:, None]
        x = functional.embedding(ids, self.embedding)
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block(x, turns, mask, cache)
        return rms_norm(x, self.final_gain)

    def logits(self, states: Tensor) -> Tensor:
        """Map states to logits by the tied head."""
        return functional.linear(states, self.embedding)


def config(size: Size) -> dict[str, Any]:
    """Return config.json of a size."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": size.hidden,
        "intermediate_size": size.mlp,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.kv_heads,
        "head_dim": size.head,
        "vocab_size": VOCAB,
        "max_position_embeddings": CONTEXT,
        "hidden_act": "silu",
        "rms_norm_eps": EPS,
        "rope_theta": THETA,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": None,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    }


def _parts(size: Size) -> list[tuple[str, list[tuple[str, int]]]]:
    """Names of ours with the names and heights of theirs, within a layer."""
    q, kv = size.heads * size.head, size.kv_heads * size.head
    return [
        (
            "qkv.weight",
            [("self_attn.q_proj", q), ("self_attn.k_proj", kv), ("self_attn.v_proj", kv)],
        ),
        ("out.weight", [("self_attn.o_proj", size.hidden)]),
        ("gate_up.weight", [("mlp.gate_proj", size.mlp), ("mlp.up_proj", size.mlp)]),
        ("down.weight", [("mlp.down_proj", size.hidden)]),
        ("input_gain", [("input_layernorm", size.hidden)]),
        ("mlp_gain", [("post_attention_layernorm", size.hidden)]),
    ]


def checkpoint(model: MiniLlama) -> dict[str, Tensor]:
    """Return the weights under the names of Hugging Face, in bfloat16."""
    state = model.state_dict()
    tensors = {
        "model.embed_tokens.weight": state["embedding"],
        "model.norm.weight": state["final_gain"],
    }
    for layer in range(model.size.layers):
        for ours, theirs in _parts(model.size):
            pieces = state[f"blocks.{layer}.{ours}"].split([height for _, height in theirs])
            for (name, _), piece in zip(theirs, pieces, strict=True):
                tensors[f"model.layers.{layer}.{name}.weight"] = piece
    return {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in tensors.items()}


def from_checkpoint(size: Size, tensors: dict[str, Tensor]) -> MiniLlama:
    """Build a float32 model from such weights."""
    state = {
        "embedding": tensors["model.embed_tokens.weight"],
        "final_gain": tensors["model.norm.weight"],
    }
    for layer in range(size.layers):
        for ours, theirs in _parts(size):
            pieces = [tensors[f"model.layers.{layer}.{name}.weight"] for name, _ in theirs]
            state[f"blocks.{layer}.{ours}"] = torch.cat(pieces)
    model = MiniLlama(size)
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return model
