"""What is not finite stays where it is: out of the weights, and out of other requests."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from engine.builders import arrays, from_memory

from qbench.errors import NonFiniteError
from qbench.models import Checkpoint
from qbench.quant.load import load
from qbench.quant.safetensors_writer import Entry, write_safetensors

BF16_INFINITY = 0x7F80
GOOD = [([1, 2, 3], [4, 5]), ([3], [9]), ([1, 2], [8]), ([4] * 40, [5, 6])]
BAD = [([1, 7, 3], [4, 5]), ([7], [4]), ([1, 2, 7], [8]), ([1, 2, 3, 7], [4])]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("recipe", [None, "bf16", "rtn-w4g32"])
@pytest.mark.parametrize(
    "name",
    ["model.embed_tokens.weight", "model.layers.1.mlp.up_proj.weight", "model.norm.weight"],
)
def test_weights_that_are_not_finite_are_refused(value, recipe, name) -> None:
    weights, config = arrays()
    weights[name].flat[-3] = value
    with pytest.raises(NonFiniteError, match=name):
        from_memory(weights, config, recipe=recipe)


def test_nor_do_they_get_in_from_a_folder(tiny_model, tmp_path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tiny_model, folder)
    name = "model.layers.2.self_attn.k_proj.weight"
    with Checkpoint.open(tiny_model) as checkpoint:
        weights = {n: np.array(checkpoint.read(n).array) for n in checkpoint.names}
    weights[name][3, 5] = BF16_INFINITY
    entries = [Entry(n, "BF16", w.shape, lambda w=w: [w]) for n, w in weights.items()]
    (folder / "model.safetensors").unlink()
    write_safetensors(folder / "model.safetensors", entries, {"format": "pt"})
    with pytest.raises(NonFiniteError, match=name):
        load(folder, "rtn-w4g32")


@pytest.mark.parametrize("mode", ["exact", "faithful"])
@pytest.mark.parametrize("recipe", ["f32", "rtn-w8g32"])
@pytest.mark.parametrize("batch_tokens", [1, 5, 2048])
def test_a_token_that_overflows_spoils_its_own_requests_only(mode, recipe, batch_tokens) -> None:
    weights, config = arrays()
    clean = from_memory(weights, config, recipe=recipe, mode=mode)
    weights = {name: array.copy() for name, array in weights.items()}
    weights["model.embed_tokens.weight"][7] *= 1e30
    model = from_memory(weights, config, recipe=recipe, mode=mode)
    model.batch_tokens = batch_tokens
    results = model.loglikelihood_tokens([*BAD, *GOOD])
    bad, good = results[: len(BAD)], results[len(BAD) :]
    assert np.isnan(bad["logprob"]).all()
    assert (bad["bad_layer"] == 0).all()
    assert not bad["is_greedy"].any()
    assert good.tobytes() == clean.loglikelihood_tokens(GOOD).tobytes()
    assert model._runtime.cache.pages_used == 0


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("mode", ["exact", "faithful"])
def test_the_layer_is_named(layer, mode) -> None:
    """The value of a layer's end is seen at the next norm, the last of which is the final one."""
    weights, config = arrays()
    weights[f"model.layers.{layer}.mlp.down_proj.weight"] *= 1e38
    model = from_memory(weights, config, mode=mode)
    result = model.loglikelihood_tokens([([1, 2, 3], [4])])[0]
    assert np.isnan(result["logprob"])
    assert result["bad_layer"] == layer + 1


@pytest.mark.parametrize("mode", ["exact", "faithful"])
def test_a_head_that_overflows_is_named_too(mode) -> None:
    weights, config = arrays()
    weights["lm_head.weight"][:] = 3e38
    model = from_memory(weights, config, mode=mode)
    result = model.loglikelihood_tokens([([1, 2, 3], [4])])[0]
    assert np.isnan(result["logprob"])
    assert result["bad_layer"] == model.spec.n_layers + 1


def test_generation_says_which_prompt_and_releases_everything() -> None:
    weights, config = arrays(eos_token_id=None)
    weights["model.embed_tokens.weight"][7] *= 1e30
    model = from_memory(weights, config)
    new = model.generate([[3, 4], [5]], max_new_tokens=5)
    if not any(7 in ids for ids in new):
        assert [len(ids) for ids in new] == [5, 5]
    names = {"item_ids": ["first", "second"]}
    with pytest.raises(NonFiniteError, match="prompt second: the logits after 0 new tokens"):
        model.generate([[3, 4], [5, 7]], max_new_tokens=5, **names)
    assert model._runtime.cache.pages_used == 0
