"""From folders, recipes and arrays to models that run."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from engine.builders import arrays

from qbench.core import isa_tiers
from qbench.errors import CheckpointError, QbenchWarning, RecipeError, RequestError
from qbench.models import Checkpoint, read_config
from qbench.quant.load import load as load_threaded

# One thread: other work on the machine must not slow these tests down.
load = functools.partial(load_threaded, threads=1)
IDS = [0, 376, 70, 371, 13, 347, 338, 90, 375, 298, 270, *range(100, 130)]


def tensors(folder: Path) -> dict[str, np.ndarray]:
    """Arrays of a folder by name; bfloat16 as bits."""
    with Checkpoint.open(folder) as checkpoint:
        return {name: np.array(checkpoint.read(name).array) for name in checkpoint.names}


def test_without_a_recipe_a_model_has_its_stored_type(tiny_model) -> None:
    model = load(tiny_model)
    assert (model.recipe, model.mode, model.kv_format) == ("bf16", "faithful", "bf16")
    assert model.name == str(tiny_model)
    assert model.bits_per_weight == 16
    assert model.logits(IDS).tobytes() == load(tiny_model, "bf16").logits(IDS).tobytes()
    assert repr(model) == f"Model({str(tiny_model)!r}, recipe='bf16', mode='faithful', kv='bf16')"
    with Checkpoint.open(tiny_model) as checkpoint:
        assert model.weights_sha256 == checkpoint.sha256()
    assert model.config is model.spec
    assert model.context_length == 256


@pytest.mark.parametrize(
    ("recipe", "mode", "kv_format"),
    [
        ("bf16", "exact", "f32"),
        ("bf16", "faithful", "bf16"),
        ("bf16+kv16", "exact", "bf16"),
        ("bf16+kv32", "faithful", "f32"),
        ("rtn-w4g32+kv32", "faithful", "f32"),
    ],
)
def test_kv_format(recipe, mode, kv_format, tiny_model) -> None:
    model = load(tiny_model, recipe, mode=mode)
    assert model.kv_format == kv_format
    assert model.recipe == recipe
    other = load(tiny_model, recipe.split("+")[0] + "+kv32", mode=mode)
    assert (model.logits(IDS).tobytes() == other.logits(IDS).tobytes()) == (kv_format == "f32")


@pytest.mark.parametrize("recipe", ["f32", "f16", "bf16"])
def test_types_that_hold_the_weights_give_the_same_logits(recipe, tiny_model) -> None:
    """The test model is stored in bfloat16, which float32 holds exactly."""
    stored = load(tiny_model, mode="exact").logits(IDS)
    other = load(tiny_model, recipe, mode="exact").logits(IDS)
    assert np.abs(other - stored).max() < (1e-2 if recipe == "f16" else 1e-4)
    assert load(tiny_model, recipe).bits_per_weight == {"f32": 32, "f16": 16, "bf16": 16}[recipe]


RECIPES = ["rtn-w8g32", "rtn-w4g32", "rtn-w3g48-sym", "rtn-w2gr+head4", "rtn-w4g16{scale=f32}+kv32"]


@pytest.mark.parametrize("recipe", [*RECIPES[:4], "f16", "f32+kv32", "bf16"])
@pytest.mark.parametrize("mode", ["exact", "faithful"])
def test_saved_and_loaded_it_is_the_same_bit_for_bit(recipe, mode, tiny_model, tmp_path) -> None:
    model = load(tiny_model, recipe, mode=mode)
    folder = model.save(tmp_path / "saved")
    again = load(folder, mode=mode)
    assert again.recipe == model.recipe
    assert again.kv_format == model.kv_format
    assert again.logits(IDS).tobytes() == model.logits(IDS).tobytes()
    assert (again.bits_per_weight, again.model_bits) == (model.bits_per_weight, model.model_bits)
    assert again.generate("Once upon a time", 20) == model.generate("Once upon a time", 20)
    twice = load(again.save(tmp_path / "again"), mode=mode)
    assert twice.weights_sha256 == again.weights_sha256
    assert twice.logits(IDS).tobytes() == model.logits(IDS).tobytes()


def test_a_folder_that_is_not_empty_is_replaced_only_on_demand(tiny_model, tmp_path) -> None:
    model = load(tiny_model, "rtn-w4g32")
    folder = model.save(tmp_path / "saved")
    with pytest.raises(RequestError, match="saved"):
        model.save(folder)
    load(tiny_model, "rtn-w2g32").save(folder, force=True)
    assert load(folder).recipe == "rtn-w2g32"


@pytest.mark.parametrize("recipe", [None, "rtn-w4g32", "f32"])
def test_arrays_from_memory_equal_the_folder(recipe, tiny_model) -> None:
    from_folder = load(tiny_model, recipe)
    model = load(
        state_dict=tensors(tiny_model),
        config=read_config(tiny_model),
        tokenizer=from_folder.tokenizer,
        recipe=recipe,
    )
    assert model.name == "memory"
    assert model.recipe == from_folder.recipe
    assert model.logits(IDS).tobytes() == from_folder.logits(IDS).tobytes()
    assert model.generate("Tom has", 20) == from_folder.generate("Tom has", 20)
    assert len(model.weights_sha256) == 64


def test_arrays_from_memory_can_be_saved(tmp_path) -> None:
    """Without a tokenizer they come back as arrays, from the folder's own files."""
    weights, config = arrays()
    model = load(state_dict=weights, config=config, recipe="f32")
    folder = model.save(tmp_path / "saved")
    again = load(state_dict=tensors(folder), config=read_config(folder))
    ids = list(range(37))
    assert again.logits(ids).tobytes() == model.logits(ids).tobytes()
    with pytest.warns(QbenchWarning, match="no tokenizer"):
        assert load(folder).logits(ids).tobytes() == model.logits(ids).tobytes()


def test_a_tied_head_in_few_bits(tiny_model) -> None:
    """The head becomes a copy: the linears cost what they did, the model costs more."""
    plain, head8, head4 = (
        load(tiny_model, f"rtn-w4g32{head}") for head in ("", "+head8", "+head4")
    )
    assert plain.bits_per_weight == head8.bits_per_weight == head4.bits_per_weight
    assert plain.model_bits < head4.model_bits < head8.model_bits
    assert plain.memory["weights"] < head4.memory["weights"] < head8.memory["weights"]
    logits = plain.logits(IDS)
    error8, error4 = (np.abs(m.logits(IDS) - logits).mean() for m in (head8, head4))
    assert 0 < error8 < error4 / 4
    assert head8.recipe == "rtn-w4g32+head8"


def test_a_head_of_its_own_in_few_bits() -> None:
    weights, config = arrays()
    plain, head4 = (
        load(state_dict=weights, config=config, recipe=recipe)
        for recipe in ("rtn-w8g16", "rtn-w8g16+head4")
    )
    assert head4.model_bits < plain.model_bits
    assert head4.bits_per_weight == plain.bits_per_weight


def test_fewer_bits_are_farther_from_the_original(tiny_model) -> None:
    logits = load(tiny_model).logits(IDS)
    errors = [
        np.abs(load(tiny_model, f"rtn-w{bits}g32").logits(IDS) - logits).mean()
        for bits in (8, 4, 3, 2)
    ]
    assert errors == sorted(errors)
    assert errors[0] < 0.1 < errors[3]


def test_a_quantized_folder_has_its_recipe(tiny_model, tmp_path) -> None:
    folder = load(tiny_model, "rtn-w4g32").save(tmp_path / "saved")
    assert load(folder, "rtn-w4g32").recipe == load(folder, "as-is").recipe == "rtn-w4g32"
    for wrong in ("rtn-w3g32", "rtn-w4g64", "bf16", "rtn-w4g32+head8"):
        with pytest.raises(RecipeError, match="already quantized as rtn-w4g32"):
            load(folder, wrong)
    with pytest.raises(RecipeError, match="as-is"):
        load(tiny_model, "as-is")


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"recipe": "rtm-w4"}, RecipeError, "rtn"),
        ({"recipe": "gptq-w4g128"}, RecipeError, "gptq is not there yet"),
        ({"recipe": "bf16+kv8"}, RecipeError, r"\+kv8"),
        ({"mode": "exactly"}, RequestError, "exact"),
        ({"mode": "quick"}, RequestError, "quick"),
        ({"recipe": "bf16", "mode": "gguf"}, RequestError, "not there yet"),
        ({"threads": 0}, RequestError, "threads must be 1 to 256, not 0"),
        ({"threads": 257}, RequestError, "threads must be 1 to 256, not 257"),
        ({"isa": "mmx"}, RequestError, "mmx.*scalar"),
        ({"chat_template": "no such template"}, RequestError, "no such template"),
        ({"tokenizer": object()}, RequestError, "go with state_dict="),
        ({"config": {}}, RequestError, "go with state_dict="),
        ({"state_dict": {}}, RequestError, "either a path or a state_dict"),
    ],
)
def test_wrong_arguments(settings, error, said, tiny_model) -> None:
    with pytest.raises(error, match=said):
        load(tiny_model, **settings)


def test_wrong_arguments_from_memory(tiny_model) -> None:
    weights, config = arrays()
    with pytest.raises(RequestError, match="either a path or a state_dict"):
        load()
    with pytest.raises(RequestError, match="config="):
        load(state_dict=weights)
    with pytest.raises(RequestError, match="belongs to a hub id"):
        load(state_dict=weights, config=config, revision="main")
    with pytest.raises(RequestError, match="needs a tokenizer"):
        load(state_dict=weights, config=config, chat_template="chatml")
    del weights["model.norm.weight"]
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight"):
        load(state_dict=weights, config=config)
    with pytest.raises(RequestError, match="nowhere"):
        load(tiny_model / "nowhere")


def test_a_model_that_was_saved_alone_takes_ids(tiny_model, tmp_path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(tiny_model / name, folder / name)
    with pytest.warns(QbenchWarning, match="there is no tokenizer beside the weights"):
        model = load(folder)
    assert np.array_equal(model.logits([1, 2, 3]), load(tiny_model).logits([1, 2, 3]))
    with pytest.raises(RequestError, match="has no tokenizer"):
        model.generate("text", max_new_tokens=1)
    (folder / "tokenizer_config.json").write_text("{}")  # something is missing now
    with pytest.raises(CheckpointError, match="no tokenizer in"):
        load(folder)


def test_a_tokenizer_that_does_not_fit(tiny_model, tmp_path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    vocabulary = json.loads((folder / "tokenizer.json").read_text())
    vocabulary["model"]["vocab"]["<more>"] = 416
    (folder / "tokenizer.json").write_text(json.dumps(vocabulary))
    with pytest.raises(CheckpointError, match="416"):
        load(folder)


def test_a_chat_template_can_be_given(tiny_model) -> None:
    model = load(tiny_model, chat_template="chatml")
    assert "im_start" in model.tokenizer.chat_template
    assert load(tiny_model).tokenizer.chat_template is None


def test_threads_and_tier(tiny_model, isa) -> None:
    model = load(tiny_model, "rtn-w4g32", threads=2, isa=isa)
    assert (model.threads, model.isa) == (2, isa)
    assert load(tiny_model).isa == [name for name, here in isa_tiers() if here][-1]


def test_progress_is_told(tiny_model) -> None:
    told: list[tuple[int, int]] = []
    load(tiny_model, "rtn-w4g32", on_progress=lambda done, total: told.append((done, total)))
    assert len(told) > 20
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
