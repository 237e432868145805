"""The checkpoint with outlier features: the same function, other activations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from outliers import with_outliers

import qbench as qb
from qbench.models import decoder_spec
from qbench.models.slots import placed
from qbench.reference import reference_logits

IDS = [0, 17, 300, 41, 7, 7, 99, 251]


def activations(spec, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Normalized states that enter the first layer, (tokens, hidden)."""
    states = weights["model.embed_tokens.weight"][IDS].astype(np.float64)
    rms = np.sqrt((states**2).mean(-1, keepdims=True) + spec.norm.eps)
    return states / rms * weights["model.layers.0.input_layernorm.weight"]


def test_the_function_is_the_same(tiny_model: Path, tiny_weights, outlier_weights) -> None:
    config = json.loads((tiny_model / "config.json").read_text())
    spec = decoder_spec(config, "config")
    before, after = (
        reference_logits(spec, placed(spec, w), IDS) for w in (tiny_weights, outlier_weights)
    )
    assert np.array_equal(before, after)
    exact = [
        qb.load(state_dict=w, config=config, mode="exact", threads=1).logits(IDS)
        for w in (tiny_weights, outlier_weights)
    ]
    assert np.array_equal(*exact)


def test_two_channels_stand_out(tiny_model: Path, tiny_weights, outlier_weights) -> None:
    spec = decoder_spec(json.loads((tiny_model / "config.json").read_text()), "config")
    before, after = (np.abs(activations(spec, w)) for w in (tiny_weights, outlier_weights))
    # Above 6 in magnitude, the threshold of LLM.int8(), and only there.
    assert (before > 6).sum() == 0
    assert set(np.nonzero((after > 6).any(0))[0]) == {5, 40}
    changed = [n for n in tiny_weights if not np.array_equal(tiny_weights[n], outlier_weights[n])]
    assert len(changed) == spec.n_layers * 7


def test_a_factor_on_one_side_only_is_noticed(tiny_model: Path, tiny_weights) -> None:
    """The comparison above has the power to fail."""
    spec = decoder_spec(json.loads((tiny_model / "config.json").read_text()), "config")
    broken = with_outliers(tiny_weights, (5, 40))
    broken["model.layers.1.mlp.up_proj.weight"][:, 5] *= 64
    before, after = (reference_logits(spec, placed(spec, w), IDS) for w in (tiny_weights, broken))
    assert not np.allclose(before, after)
