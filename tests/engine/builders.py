"""Small decoders in memory, awkward requests, and what plain logits say of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qbench.engine import Model
from qbench.models import decoder_spec, tensor_slots
from qbench.quant.load import load

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
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
}

Pair = tuple[list[int], list[int]]


def arrays(seed: int = 0, **changes: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return float32 weights by name and the configuration of a decoder with awkward sizes."""
    rng = np.random.default_rng(seed)
    config = CONFIG | changes
    weights = {
        slot.name: (0.3 * rng.standard_normal(slot.shape)).astype(np.float32)
        for slot in tensor_slots(decoder_spec(config, "config"))
    }
    return weights, config


def from_memory(weights: dict[str, np.ndarray], config: dict[str, Any], **settings: Any) -> Model:
    """Load arrays, on one thread: other work on the machine must not slow a test down."""
    return load(state_dict=weights, config=config, **({"threads": 1} | settings))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return log-probabilities in float64."""
    wide = logits.astype(np.float64)
    top = wide.max(-1, keepdims=True)
    return np.asarray(wide - top - np.log(np.exp(wide - top).sum(-1, keepdims=True)))


def brute_force(model: Any, pairs: Sequence[Pair]) -> list[tuple[float, bool]]:
    """Log-probability of each continuation and whether it is greedy, from logits alone."""
    results = []
    for context, continuation in pairs:
        logits = model.logits([*context, *continuation[:-1]])[len(context) - 1 :]
        rows = np.arange(len(continuation))
        logprob = float(log_softmax(logits)[rows, continuation].sum())
        results.append((logprob, bool((logits.argmax(-1) == continuation).all())))
    return results


def awkward_pairs(rng: np.random.Generator, vocab: int, context: int, n: int = 6) -> list[Pair]:
    """Pairs that share prefixes, repeat and contain each other, and those at the limits."""

    def ids(length: int) -> list[int]:
        return [int(i) for i in rng.integers(0, vocab, length)]

    stem = ids(context // 3)
    pairs = [(ids(int(rng.integers(1, 30))), ids(int(rng.integers(1, 41)))) for _ in range(n)]
    pairs += [(stem + ids(int(rng.integers(1, 9))), ids(k)) for k in (1, 1, 2, 5, 40)]
    branch = stem + ids(17)
    choices = [ids(1)[0] for _ in range(4)]
    pairs += [(branch, [choice]) for choice in choices]
    pairs += [(branch, [choices[0], *ids(3)]), ([*branch, choices[0]], ids(2))]
    # One text split at several places, so that one read is the beginning of another.
    pairs += [(branch[:k], branch[k : k + more]) for k, more in ((1, 5), (3, 20), (20, 3), (20, 4))]
    pairs += [pairs[0], pairs[-1], (stem, branch[len(stem) :])]
    full = ids(context + 1)
    pairs += [(full[:1], full[1:]), (full[:-1], full[-1:]), (full[: context // 2], full[50:90])]
    return [(head, tail[: context + 1 - len(head)]) for head, tail in pairs]


def sequences_alive(model: Any) -> list[int]:
    """Sequences that the model's cache still has."""
    runtime = model._runtime
    return [i for i in range(4096) if runtime._is_live(i)]
