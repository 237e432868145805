"""The models of `cases` without transformers: random weights by slot, and a sequence to read."""

from __future__ import annotations

from typing import Any

import numpy as np
from architectures.cases import CASES, Case

import qbench as qb
from qbench.models import DecoderSpec, decoder_spec, tensor_slots
from qbench.models.checkpoint import Weight
from qbench.models.reading import join

SPECIAL = {"bos_token_id": 1, "eos_token_id": 2}

CLASSES = {
    "LlamaConfig": "LlamaForCausalLM",
    "MistralConfig": "MistralForCausalLM",
    "MixtralConfig": "MixtralForCausalLM",
    "Qwen2Config": "Qwen2ForCausalLM",
    "Qwen2MoeConfig": "Qwen2MoeForCausalLM",
    "Qwen3Config": "Qwen3ForCausalLM",
    "Qwen3MoeConfig": "Qwen3MoeForCausalLM",
    "PhiConfig": "PhiForCausalLM",
    "Phi3Config": "Phi3ForCausalLM",
    "GemmaConfig": "GemmaForCausalLM",
    "Gemma2Config": "Gemma2ForCausalLM",
    "Gemma3TextConfig": "Gemma3ForCausalLM",
    "GPT2Config": "GPT2LMHeadModel",
    "GPTNeoConfig": "GPTNeoForCausalLM",
    "GPTJConfig": "GPTJForCausalLM",
    "GPTNeoXConfig": "GPTNeoXForCausalLM",
    "OPTConfig": "OPTForCausalLM",
    "BloomConfig": "BloomForCausalLM",
    "FalconConfig": "FalconForCausalLM",
    "MptConfig": "MptForCausalLM",
    "StableLmConfig": "StableLmForCausalLM",
    "Starcoder2Config": "Starcoder2ForCausalLM",
    "Olmo2Config": "Olmo2ForCausalLM",
    "SmolLM3Config": "SmolLM3ForCausalLM",
    "GraniteConfig": "GraniteForCausalLM",
    "DeepseekV2Config": "DeepseekV2ForCausalLM",
    "QwenConfig": "QWenLMHeadModel",
}
"""The model that belongs to a configuration class."""


def config_of(case: Case) -> dict[str, Any]:
    """Contents of ``config.json``."""
    return {**SPECIAL, "architectures": [CLASSES[case.config]], **case.fields}


def random_weights(spec: DecoderSpec, seed: int) -> dict[str, np.ndarray]:
    """float32 weights by slot name, such that rows keep their size and logits have a spread."""
    rng = np.random.default_rng(seed)
    found = {}
    for slot in tensor_slots(spec):
        if slot.is_norm:
            around = 0.0 if spec.norm.one_added else 1.0
            array = rng.uniform(around - 0.5, around + 0.5, slot.shape)
        elif slot.is_vector:
            array = rng.normal(0, 0.2, slot.shape)
        elif slot.slot in ("embedding", "positions"):
            array = rng.normal(0, 0.3, slot.shape)
        else:
            array = rng.normal(0, 1.5 / slot.shape[1] ** 0.5, slot.shape)
        found[slot.name] = array.astype(np.float32)
    return found


def as_checkpoint(spec: DecoderSpec, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same under the names, and in the tensors, of a checkpoint."""
    values = {name: Weight(array, "f32") for name, array in weights.items()}
    return {name: w.array for name, w in join(tensor_slots(spec), values).items()}


class Twin:
    """A model, its specification, its weights by slot name, and the tokens it reads."""

    def __init__(self, name: str, *, seed: int = 0, **settings: Any) -> None:
        self.case = CASES[name]
        self.config = config_of(self.case)
        self.spec = decoder_spec(self.config, "config")
        self.weights = random_weights(self.spec, seed)
        self.arrays = as_checkpoint(self.spec, self.weights)
        rng = np.random.default_rng(seed)
        self.ids = rng.integers(0, self.spec.vocab_size, self.case.length).tolist()
        self.model = qb.load(
            state_dict=self.arrays,
            config=self.config,
            **({"mode": "exact", "threads": 1} | settings),
        )
