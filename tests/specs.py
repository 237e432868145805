"""A small specification for tests that need one and do not care for its sizes."""

from __future__ import annotations

import dataclasses
from typing import Any

from qbench.models import DecoderSpec, RopeSpec
from qbench.models.spec import Attention, FeedForward, Layer, Norm, Rotary


def plain_spec(**changes: Any) -> DecoderSpec:
    spec = DecoderSpec(
        architecture="LlamaForCausalLM",
        model_type="llama",
        hidden_size=8,
        n_heads=1,
        n_kv_heads=1,
        head_dim=8,
        value_dim=8,
        vocab_size=200_000,
        context_length=64,
        norm=Norm(eps=1e-5),
        attention=Attention(8**-0.5),
        feed_forward=FeedForward(),
        layers=(Layer(8),),
        rotary=Rotary((RopeSpec(10000.0),), 8),
        tied_head=True,
    )
    return dataclasses.replace(spec, **changes)
