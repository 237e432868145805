"""The reference against numbers that other people's code computed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qbench.models import Checkpoint, DecoderSpec, decoder_spec, read_config, tensor_slots
from qbench.models.rope import RopeSpec
from qbench.models.slots import placed
from qbench.models.spec import Attention, FeedForward, Layer, Norm, Rotary
from qbench.reference import reference_logits, reference_logprobs
from qbench.reference.formats import decode_float

MODELS = ["stories260K", "babyllama-tok105"]


@dataclass(frozen=True)
class Loaded:
    spec: DecoderSpec
    weights: Mapping[Any, np.ndarray]
    expected: dict[str, Any]


@pytest.fixture(params=MODELS)
def loaded(request: pytest.FixtureRequest, shared: Path) -> Loaded:
    folder = shared / "models" / request.param
    spec = decoder_spec(read_config(folder / "hf"), "config.json")
    with Checkpoint.open(folder / "hf") as found:
        named = {name: decode_float(*found.read(name)) for name in found.names}
    return Loaded(spec, placed(spec, named), json.loads((folder / "expected.json").read_text()))


def test_greedy_ids_and_top_logits(loaded: Loaded) -> None:
    for case in loaded.expected["greedy"]:
        ids = list(case["prompt_ids"])
        logits = reference_logits(loaded.spec, loaded.weights, ids)[-1]
        top = np.argsort(-logits, kind="stable")[:10]
        assert top.tolist() == [index for index, _ in case["last_prompt_logits_top10"]]
        np.testing.assert_allclose(
            logits[top], [value for _, value in case["last_prompt_logits_top10"]], atol=1e-4
        )
        assert logits.mean() == pytest.approx(case["last_prompt_logits_mean"], abs=1e-4)
        # One forward over prompt and expected text: each expected id is the argmax before it.
        whole = reference_logits(loaded.spec, loaded.weights, ids + case["new_ids"])
        greedy = whole[len(ids) - 1 : -1].argmax(axis=1)
        assert greedy.tolist() == case["new_ids"]


def test_perplexities(loaded: Loaded) -> None:
    for case in loaded.expected["perplexity"]:
        sequences = case["ids"] if isinstance(case["ids"][0], list) else [case["ids"]]
        if len(sequences) != case["sequences"]:
            pytest.fail("expected.json does not hold every sequence")
        nll = -sum(reference_logprobs(loaded.spec, loaded.weights, s).sum() for s in sequences)
        assert nll == pytest.approx(case["sum_nll"], rel=1e-5)
        assert math.exp(nll / case["predicted_tokens"]) == pytest.approx(case["ppl"], rel=1e-5)


def small_spec(rope: RopeSpec | None = None, tied_head: bool = False) -> DecoderSpec:
    return DecoderSpec(
        "LlamaForCausalLM", "llama", 16, 4, 2, 6, 6, 11, 64,
        norm=Norm(eps=1e-3), attention=Attention(6**-0.5), feed_forward=FeedForward(),
        layers=(Layer(24), Layer(24)), rotary=Rotary((rope or RopeSpec(1e4),), 6),
        tied_head=tied_head,
    )  # fmt: skip


def random_weights(spec: DecoderSpec, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {s.name: rng.normal(size=s.shape).astype(np.float32) * 0.5 for s in tensor_slots(spec)}


def test_a_prefix_has_the_same_logits(rng: np.random.Generator) -> None:
    spec = small_spec()
    weights, ids = random_weights(spec, rng), rng.integers(0, 11, 9)
    whole = reference_logits(spec, placed(spec, weights), ids)
    assert whole.shape == (9, 11) and whole.dtype == np.float64
    for size in (1, 2, 5):
        np.testing.assert_allclose(
            reference_logits(spec, placed(spec, weights), ids[:size]), whole[:size]
        )


@pytest.mark.parametrize("tied", [True, False])
def test_every_product_is_told_before_it_is_computed(tied: bool, rng: np.random.Generator) -> None:
    spec = small_spec(tied_head=tied)
    weights, ids = random_weights(spec, rng), rng.integers(0, 11, 9)
    told: list[tuple[str, np.ndarray]] = []
    name_of = {slot.key: slot.name for slot in tensor_slots(spec)}
    logits = reference_logits(
        spec, placed(spec, weights), ids, lambda place, x: told.append((name_of[place], x))
    )
    np.testing.assert_array_equal(logits, reference_logits(spec, placed(spec, weights), ids))
    linears = [s.name for s in tensor_slots(spec) if s.name.endswith("_proj.weight")]
    head = "model.embed_tokens.weight" if tied else "lm_head.weight"
    assert [name for name, _ in told] == [*linears, head]
    x = dict(told)
    y = {name: inputs @ weights[name].astype(float).T for name, inputs in told}
    np.testing.assert_allclose(y[head], logits, rtol=1e-12)
    for layer in range(2):
        own = f"model.layers.{layer}"
        for names in (("self_attn.q", "self_attn.k", "self_attn.v"), ("mlp.gate", "mlp.up")):
            first, *others = (x[f"{own}.{name}_proj.weight"] for name in names)
            assert all(other is first for other in others)
        gate, up = (y[f"{own}.mlp.{name}_proj.weight"] for name in ("gate", "up"))
        inner = gate / (1 + np.exp(-gate)) * up
        np.testing.assert_allclose(x[f"{own}.mlp.down_proj.weight"], inner, rtol=1e-9)
    # The first token sees itself alone: what is mixed are its own values.
    values = y["model.layers.0.self_attn.v_proj.weight"][0].reshape(2, 6)
    mixed = x["model.layers.0.self_attn.o_proj.weight"][0].reshape(4, 6)
    np.testing.assert_allclose(mixed, values[[0, 0, 1, 1]], rtol=1e-12)


ROPES = [RopeSpec(1e4), RopeSpec(5e5, "linear", 3.0), RopeSpec(1e4, "llama3", 8.0, 1.0, 4.0, 32)]


@pytest.mark.parity
@pytest.mark.parametrize("rope", ROPES)
@pytest.mark.parametrize("tied", [True, False])
def test_same_logits_as_transformers(rope: RopeSpec, tied: bool, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is not installed")
    transformers = pytest.importorskip("transformers", reason="the oracle is not installed")
    spec = small_spec(rope=rope, tied_head=tied)
    weights, ids = random_weights(spec, rng), rng.integers(0, 11, 40)
    parameters: dict[str, Any] = {"rope_type": rope.kind, "rope_theta": rope.theta}
    if rope.kind != "default":
        parameters["factor"] = rope.factor
    if rope.kind == "llama3":
        parameters |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
        parameters["original_max_position_embeddings"] = 32
    config = transformers.LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=6, vocab_size=11, rms_norm_eps=1e-3,
        rope_parameters=parameters, tie_word_embeddings=tied, max_position_embeddings=64,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).double()
    state = {name: torch.from_numpy(array).double() for name, array in weights.items()}
    model.load_state_dict(state, strict=not tied)
    with torch.no_grad():
        theirs = model(torch.from_numpy(ids)[None]).logits[0].numpy()
    # their angles, sines and cosines are float32
    np.testing.assert_allclose(
        reference_logits(spec, placed(spec, weights), ids), theirs, atol=2e-4
    )
