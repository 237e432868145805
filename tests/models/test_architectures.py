"""What configurations of each family say, and what is refused because it would compute else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from architectures.build import config_of
from architectures.cases import CASES

from qbench.errors import CheckpointError
from qbench.models import DecoderSpec, decoder_spec
from qbench.models.architectures.base import alibi_slopes
from qbench.models.checkpoint import Weight
from qbench.models.reading import join, put, take
from qbench.models.rope import RopeSpec
from qbench.models.slots import Source, tensor_slots


def read(name: str, **change: Any) -> DecoderSpec:
    return decoder_spec(config_of(CASES[name]) | change, "c.json")


def windows(spec: DecoderSpec) -> list[int]:
    return [layer.window for layer in spec.layers]


def test_windows_in_turn() -> None:
    assert windows(read("gemma 2")) == [33, 0, 33]
    assert windows(read("gemma 2", layer_types=["full_attention"] * 3)) == [0, 0, 0]
    assert windows(read("gemma 3")) == [30] * 5 + [0, 30]
    assert [layer.rotation for layer in read("gemma 3").layers] == [1] * 5 + [0, 1]
    assert windows(read("gpt-neo")) == [0, 21, 0, 21]
    assert windows(read("qwen2, windows")) == [0, 40, 40]
    assert [layer.rotation for layer in read("smollm3").layers] == [0, 0, 0, -1, 0]
    mistral = config_of(CASES["mistral"])
    del mistral["sliding_window"]
    assert windows(decoder_spec(mistral, "c")) == [4096] * 3
    assert windows(read("mistral", sliding_window=None)) == [0] * 3


def test_old_and_new_spellings_of_gemma_3() -> None:
    old = {
        "rope_parameters": None,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        "rope_theta": 1e6,
        "rope_local_base_freq": 1e4,
    }
    assert read("gemma 3", **old) == read("gemma 3")
    whole, local = read("gemma 3").rotary.ropes  # type: ignore[union-attr]
    assert (whole.theta, whole.factor, local.theta, local.kind) == (1e6, 8.0, 1e4, "default")


def test_a_model_with_other_parts_describes_its_decoder_within() -> None:
    inner = config_of(CASES["gemma 3"])
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": {
            k: v for k, v in inner.items() if k not in ("architectures", "eos_token_id")
        },
        "eos_token_id": [1, 106],
        "dtype": "bfloat16",
    }
    spec = decoder_spec(config, "c")
    assert spec.layers == read("gemma 3").layers
    assert (spec.eos_token_ids, spec.stored_dtype) == ((1, 106), "bfloat16")


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("gpt-2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx: True"),
    ("opt", {"do_layer_norm_before": False}, "do_layer_norm_before: False is not supported"),
    ("opt", {"word_embed_proj_dim": 24}, "word_embed_proj_dim: expected 48"),
    ("gemma 2", {"use_bidirectional_attention": True}, "only causal attention"),
    ("mpt", {"attn_config": {"alibi": False}}, "alibi: False is not supported"),
    ("mpt", {"no_bias": False}, "no_bias: False is not supported"),
    ("phi-2", {"qk_layernorm": True}, "qk_layernorm: True is not supported"),
    ("deepseek-v2-lite", {"q_lora_rank": 16}, "q_lora_rank: queries from a latent vector"),
    ("deepseek-v2-lite", {"scoring_func": "sigmoid"}, "scoring_func: 'sigmoid' is not supported"),
    ("deepseek-v2-lite", {"topk_method": "noaux_tc"}, "topk_method: expected 'greedy'"),
    ("deepseek-v2, groups", {"n_group": 3}, "n_group: expected a divisor of the 8 experts"),
    ("mixtral", {"num_experts_per_tok": 9}, "num_experts_per_tok: expected an integer in 1..5"),
    ("gpt-neo", {"attention_types": [[["global"], 9]]}, "expected global or local for 4 layers"),
    ("gpt-neo", {"attention_types": [[["flash"], 4]]}, "expected global or local for 4 layers"),
    ("gemma 3", {"layer_types": ["full_attention"]}, "layer_types: expected a list of 7"),
    ("smollm3", {"no_rope_layers": [1]}, "no_rope_layers: expected a list of 5"),
    ("gpt-j", {"rotary_dim": 5}, "rotation needs pairs"),
    ("bloom", {"apply_residual_connection_post_layernorm": True}, "not supported"),
    ("llama", {"hidden_act": "relu2"}, "hidden_act: expected one of silu"),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_what_would_compute_something_else_is_refused(case: int) -> None:
    name, change, fragment = WRONG[case]
    with pytest.raises(CheckpointError) as caught:
        read(name, **change)
    assert fragment in str(caught.value) and str(caught.value).startswith("c.json")


def test_slopes_of_alibi() -> None:
    assert alibi_slopes(8) == tuple(2.0**-i for i in range(1, 9))
    assert alibi_slopes(6)[:4] == (0.25, 0.0625, 0.015625, 0.00390625)
    assert alibi_slopes(6)[4:] == (0.5, 0.125)


def test_lengths_and_rotations() -> None:
    longrope = RopeSpec(1e4, "longrope", original_context=64, short_factors=(1.0,) * 4,
                        long_factors=(2.0,) * 4)  # fmt: skip
    assert [longrope.key(n) for n in (1, 64, 65, 1000)] == [0, 0, 1, 1]
    assert (longrope.limit(0), longrope.limit(1)) == (64, None)
    assert np.array_equal(longrope.inv_freq(8, 1), longrope.inv_freq(8) / 2)
    dynamic = RopeSpec(1e4, "dynamic", 2.0, original_context=64)
    assert [dynamic.key(n) for n in (64, 65, 100)] == [0, 65, 100]
    assert dynamic.inv_freq(8, 128)[1] == pytest.approx((1e4 * 3 ** (8 / 6)) ** (-2 / 8))
    qwen = RopeSpec(1e4, "qwen", original_context=64)
    assert [qwen.key(n) for n in (64, 65, 128, 129, 256, 257)] == [0, 2, 2, 3, 3, 4]


@pytest.mark.parametrize("name", ["gpt-neox", "falcon-40b", "phi-3", "gpt-2", "qwen2-moe"])
def test_parts_of_shared_tensors_cover_them(name: str) -> None:
    spec = read(name)
    slots = tensor_slots(spec)
    counts = {
        slot.name: Weight(np.full(slot.shape, i, np.float32), "f32") for i, slot in enumerate(slots)
    }
    joined = join(slots, counts)
    for i, slot in enumerate(slots):
        assert joined[slot.source.name].array.shape == slot.source.shape
        assert np.all(take(joined[slot.source.name].array, slot.source) == i)


def test_groups_are_dealt_out_by_kv_head() -> None:
    """Queries of a group, its key, its value; then the next group."""
    fused = np.arange(2 * 5)[:, None] * np.ones((1, 3))
    parts = {"q": (5, 0, 3), "k": (5, 3, 4), "v": (5, 4, 5)}
    rows = {
        slot: take(fused, Source("w", (10, 3), rows))[:, 0].tolist() for slot, rows in parts.items()
    }
    assert rows == {"q": [0, 1, 2, 5, 6, 7], "k": [3, 8], "v": [4, 9]}
    again = np.zeros_like(fused)
    for slot, source in parts.items():
        put(again, Source("w", (10, 3), source), np.array(rows[slot])[:, None] * np.ones((1, 3)))
    assert np.array_equal(again, fused)


HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 3, 1 << 20, 1 << 22, 1 << 62, 0.0, -1.5, 0.5, 1e308, "", "x",
    [], [0], [[]], ["full_attention"] * 3, {}, {"factor": -1}, {"rope_type": "yarn"},
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*outside of the vocabulary")
@pytest.mark.parametrize("name", sorted(CASES))
def test_a_hostile_configuration_is_one_error_or_a_specification(name: str) -> None:
    """Every key with every value: nothing but CheckpointError, and no list that grows with it."""
    config = config_of(CASES[name])
    nested = config.get("rope_parameters") or {}
    for value in HOSTILE:
        changed = [config | {key: value} for key in config]
        changed += [config | {"rope_parameters": nested | {key: value}} for key in nested]
        for each in changed:
            try:
                spec = decoder_spec(each, "c.json")
            except CheckpointError as error:
                assert str(error).startswith("c.json")
                continue
            assert spec.n_weights <= 1_000_000
            with np.errstate(all="ignore"):
                spec.rotations(spec.rotation_key(spec.context_length))


def test_counts_that_multiply_are_bounded() -> None:
    for name, change in (
        ("mixtral", {"num_hidden_layers": 4096, "num_local_experts": 1 << 16}),
        ("stablelm 2 12b", {"num_attention_heads": 1 << 14, "hidden_size": 1 << 18,
                            "num_hidden_layers": 4096, "num_key_value_heads": None}),
    ):  # fmt: skip
        with pytest.raises(CheckpointError, match="layers, heads and experts ask for"):
            read(name, **change)
