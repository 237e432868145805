"""Granite 3: Llama with a factor on embeddings, scores, residuals and logits."""

from __future__ import annotations

import dataclasses

from qbench.models.architectures.base import Architecture, Common
from qbench.models.architectures.llama import NAMES, read_llama
from qbench.models.spec import DecoderSpec
from qbench.models.strict_json import Fields


def read_granite(fields: Fields, common: Common) -> DecoderSpec:
    """Granite 3; every factor is 1 where a configuration does not give it."""
    spec = read_llama(fields, common)
    factor = {
        key: fields.number(key, 0.0, 1e6, 1.0)
        for key in (
            "attention_multiplier",
            "embedding_multiplier",
            "residual_multiplier",
            "logits_scaling",
        )
    }
    return dataclasses.replace(
        spec,
        attention=dataclasses.replace(spec.attention, scale=factor["attention_multiplier"]),
        embedding_scale=factor["embedding_multiplier"],
        residual_scale=factor["residual_multiplier"],
        logit_scale=1 / factor["logits_scaling"],
    )


ARCHITECTURES = {"GraniteForCausalLM": Architecture(read_granite, NAMES)}
