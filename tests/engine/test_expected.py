"""Results of trained models against float64 references that share no code with the core."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qbench.models import Checkpoint, decoder_spec, read_config
from qbench.models.slots import placed
from qbench.quant.floats import as_float32
from qbench.quant.quantize import quantize_checkpoint
from qbench.quant.tensor import QuantizedTensor
from qbench.reference import reference_logits

SHARED_MODELS = ("stories260K", "babyllama-tok105")


@pytest.fixture(params=["tiny", *SHARED_MODELS])
def trained(request: pytest.FixtureRequest, tiny_model: Path) -> tuple[Path, dict]:
    """Return a model's folder and what its reference says."""
    if request.param == "tiny":
        return tiny_model, json.loads((tiny_model / "expected.json").read_text())
    base = request.getfixturevalue("shared") / "models" / request.param
    return base / "hf", json.loads((base / "expected.json").read_text())


def test_exact_mode_gives_the_reference(trained, isa, loaded) -> None:
    folder, expected = trained
    model = loaded(folder, mode="exact", isa=isa)
    assert model.isa == isa
    assert len(expected["greedy"]) >= 3
    for case in expected["greedy"]:
        prompt = case["prompt_ids"]
        assert model.tokenizer.encode(case["prompt"]) == prompt
        # Some references write the end-of-text id, which is no part of a result.
        new_ids = [i for i in case["new_ids"] if i not in model.tokenizer.eos_ids]
        assert model.generate(prompt, max_new_tokens=len(case["new_ids"])) == new_ids
        logits = model.logits(prompt)[-1]
        ids, values = zip(*case["last_prompt_logits_top10"], strict=True)
        assert np.argsort(-logits, kind="stable")[: len(ids)].tolist() == list(ids)
        assert np.abs(logits[list(ids)] - values).max() < 1e-4
        assert logits.astype(np.float64).mean() == pytest.approx(
            case["last_prompt_logits_mean"], abs=1e-4
        )
    together = model.generate([c["prompt_ids"] for c in expected["greedy"]], max_new_tokens=96)
    for case, new in zip(expected["greedy"], together, strict=True):
        assert case["new_ids"][: len(new)] == new[: len(case["new_ids"])]


def test_exact_mode_gives_the_reference_perplexities(trained, isa, loaded) -> None:
    folder, expected = trained
    model = loaded(folder, mode="exact", isa=isa)
    for case in expected["perplexity"]:
        scores = model.loglikelihood_tokens([(ids[:1], ids[1:]) for ids in case["ids"]])
        n_tokens, nll = int(scores["n_tokens"].sum()), -scores["logprob"].sum()
        assert n_tokens == case["predicted_tokens"]
        assert nll == pytest.approx(case["sum_nll"], rel=1e-5)
        assert np.exp(nll / n_tokens) == pytest.approx(case["ppl"], rel=1e-5)


@pytest.mark.parametrize("recipe", ["f32+kv32", "bf16+kv32", "rtn-w4g32+kv32"])
def test_faithful_mode_is_near_exact(recipe, trained, loaded) -> None:
    folder, expected = trained
    exact, faithful = (loaded(folder, recipe, mode=mode) for mode in ("exact", "faithful"))
    texts = [case["ids"] for case in expected["perplexity"]]
    pairs = [(ids[:1], ids[1:]) for text in texts for ids in text]
    if folder.name == "hf":
        ids = exact.tokenizer.encode(long_text(folder))
        pairs += [(ids[i : i + 1], ids[i + 1 : i + 200]) for i in range(0, len(ids) - 200, 200)]
    a, b = (model.loglikelihood_tokens(pairs) for model in (exact, faithful))
    n_tokens = a["n_tokens"].sum()
    assert n_tokens > 300
    assert abs(a["logprob"].sum() - b["logprob"].sum()) / n_tokens < 1e-3


def long_text(folder: Path) -> str:
    """Return 3 kB of an encyclopedia."""
    data = folder.parent.parent.parent / "data" / "wikitext2" / "wiki.test.raw"
    return data.read_text(encoding="utf-8")[:3000]


@pytest.mark.parametrize(
    ("recipe", "tolerance"), [("f32", 2e-5), ("rtn-w4g32", 2e-5), ("rtn-w3g48-sym+head4", 2e-5)]
)
def test_exact_mode_gives_the_reference_of_the_quantized_weights(
    recipe, tolerance, isa, loaded, tiny_model, rng
) -> None:
    """Codes and scales, decoded and run in float64, are what the packed weights compute."""
    model = loaded(tiny_model, recipe, mode="exact", isa=isa)
    weights = decoded(tiny_model, recipe)
    spec = model.spec
    head = weights.pop("lm_head.weight", None)
    if head is not None:  # a tied head that was quantized stands beside the embedding
        from dataclasses import replace

        spec = replace(spec, tied_head=False)
        weights["lm_head.weight"] = head
    for n in (1, 33, 100):
        ids = rng.integers(0, spec.vocab_size, n)
        expected = reference_logits(spec, placed(spec, weights), ids)
        assert np.abs(model.logits(ids) - expected).max() < tolerance * np.abs(expected).max()


def decoded(folder: Path, recipe: str) -> dict[str, np.ndarray]:
    """Weights under a recipe, by name, as floats."""
    spec = decoder_spec(read_config(folder), "config")
    with Checkpoint.open(folder) as checkpoint:
        tensors = quantize_checkpoint(checkpoint, spec, recipe).tensors
        return {
            name: t.dequantize()
            if isinstance(t, QuantizedTensor)
            else np.array(as_float32(t.array, t.dtype))
            for name, t in tensors.items()
        }
