"""Saving: the same bytes every time, exactly what was quantized, and nothing half-written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from quant.builders import TOKENIZER, arrays, checkpoint, source_folder, spec

from qbench.errors import CheckpointError, QbenchError, RequestError
from qbench.models.checkpoint import Weight
from qbench.quant import saving
from qbench.quant.loading import load_quantized
from qbench.quant.model import QuantizedModel
from qbench.quant.quantize import quantize_checkpoint
from qbench.quant.saving import save_quantized
from qbench.quant.tensor import QuantizedTensor

RECIPES = (
    "f32", "f16", "bf16", "bf16+kv16", "f16+head8", "rtn-w8g32", "rtn-w4g128-sym", "rtn-w3g17",
    "rtn-w2gr-sym", "rtn-w3gr+head4{scale=f16}", "rtn-w4g16+head8+kv32{scale=f32}",
)  # fmt: skip


def assert_same(a: QuantizedModel, b: QuantizedModel) -> None:
    """Require two models to be equal bit for bit."""
    assert a.spec == b.spec
    assert a.recipe == b.recipe
    assert list(a.tensors) == list(b.tensors)
    for name, left in a.tensors.items():
        right = b.tensors[name]
        if isinstance(left, Weight):
            assert isinstance(right, Weight)
            assert left.dtype == right.dtype
            assert left.array.tobytes() == right.array.tobytes()
            continue
        assert isinstance(right, QuantizedTensor)
        for field in dataclasses.fields(QuantizedTensor):
            x, y = getattr(left, field.name), getattr(right, field.name)
            if isinstance(x, np.ndarray):
                assert x.dtype == y.dtype
                assert np.array_equal(x, y)
            else:
                assert x == y
    assert a.bits_per_weight == b.bits_per_weight
    assert a.model_bits == b.model_bits


def without_stored_type(model: QuantizedModel) -> QuantizedModel:
    """Drop the stored type, which a saved baseline changes."""
    return dataclasses.replace(model, spec=dataclasses.replace(model.spec, stored_dtype=""))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("stored", ["f32", "f16", "bf16"])
def test_a_model_comes_back_bit_for_bit(
    recipe: str, tied: bool, stored: str, tmp_path: Path
) -> None:
    model = quantize_checkpoint(checkpoint(stored, tied), spec(stored, tied), recipe)
    # The source's generation config adds a token to those that end a text, so no source here.
    folder = save_quantized(model, tmp_path / "out", None)
    loaded = load_quantized(folder)
    assert_same(without_stored_type(model), without_stored_type(loaded))
    again = save_quantized(loaded, tmp_path / "again", folder)
    for name in ("model.safetensors", "config.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    source = source_folder(tmp_path / "source")
    for name in ("a", "b"):
        model = quantize_checkpoint(checkpoint(), spec(), "rtn-w3g32+head8")
        save_quantized(model, tmp_path / name, source)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_source_is_taken_over(tmp_path: Path) -> None:
    source = source_folder(tmp_path / "source")
    (source / "model.bin").write_text("never copied")
    save_quantized(quantize_checkpoint(checkpoint(), spec(), "rtn-w4"), tmp_path / "out", source)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["something_else"] == {"kept": [1, 2.5, None]}
    assert config["eos_token_id"] == 2
    assert config["quantization_config"]["recipe"] == "rtn-w4g32"
    assert (tmp_path / "out" / "tokenizer.json").read_text() == TOKENIZER
    assert not (tmp_path / "out" / "model.bin").exists()


def test_another_library_reads_the_file(tmp_path: Path) -> None:
    """Codes, scales and zero points as the layout promises, read by the safetensors package."""
    safetensors = pytest.importorskip("safetensors", reason="the oracle is not installed")
    model = quantize_checkpoint(checkpoint(), spec(), "rtn-w3g32")
    folder = save_quantized(model, tmp_path / "out", None)
    found = dict(safetensors.deserialize((folder / "model.safetensors").read_bytes()))
    name = "model.layers.1.mlp.down_proj.weight"
    tensor = model.tensors[name]
    assert isinstance(tensor, QuantizedTensor)
    assert tensor.zeros is not None
    for part, codes in (("codes", tensor.codes), ("zeros", tensor.zeros)):
        stored = found[f"{name}.{part}"]
        width = -(-codes.shape[1] * 3 // 8)
        assert (stored["dtype"], tuple(stored["shape"])) == ("U8", (40, width))
        for row in range(40):
            data = bytes(stored["data"][row * width : (row + 1) * width])
            number = int.from_bytes(data, "little")
            unpacked = [number >> (3 * place) & 7 for place in range(codes.shape[1])]
            assert unpacked == codes[row].tolist()
    scales = found[f"{name}.scales"]
    assert (scales["dtype"], tuple(scales["shape"])) == ("BF16", (40, 2))
    bits = np.frombuffer(bytes(scales["data"]), dtype="<u2").astype(np.uint32) << 16
    assert np.array_equal(bits.view(np.float32).reshape(40, 2), tensor.scales)
    assert bytes(found["model.norm.weight"]["data"]) == arrays()["model.norm.weight"].tobytes()


def test_the_file_is_as_small_as_its_bits(tmp_path: Path) -> None:
    model = quantize_checkpoint(checkpoint("bf16"), spec("bf16"), "rtn-w2g16")
    folder = save_quantized(model, tmp_path / "out", None)
    data = (folder / "model.safetensors").read_bytes()
    size = len(data) - 8 - int.from_bytes(data[:8], "little")
    parameters = sum(array.size for array in arrays().values())
    padding = sum(2 * t.shape[0] for t in model.tensors.values() if isinstance(t, QuantizedTensor))
    assert 0 <= size - model.model_bits * parameters / 8 <= padding


def test_a_full_folder_needs_force(tmp_path: Path) -> None:
    four = quantize_checkpoint(checkpoint(), spec(), "rtn-w4")
    two = quantize_checkpoint(checkpoint(), spec(), "rtn-w2")
    save_quantized(four, tmp_path / "out", None)
    with pytest.raises(RequestError, match="not empty") as caught:
        save_quantized(two, tmp_path / "out", None)
    assert caught.value.exit_code == 2
    assert load_quantized(tmp_path / "out").recipe == four.recipe
    save_quantized(two, tmp_path / "out", None, force=True)
    assert load_quantized(tmp_path / "out").recipe == two.recipe


def test_a_model_may_replace_its_own_source(tmp_path: Path) -> None:
    source = source_folder(tmp_path / "model")
    save_quantized(quantize_checkpoint(checkpoint(), spec(), "f32"), tmp_path / "dense", source)
    folder = tmp_path / "dense"
    model = load_quantized(folder)
    save_quantized(model, folder, folder, force=True)
    assert (folder / "tokenizer.json").read_text() == TOKENIZER
    assert_same(load_quantized(folder), model)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_failed_save(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = saving.pack_rows
    calls = 0

    def fail_later(codes: np.ndarray, bits: int) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise error
        return pack(codes, bits)

    monkeypatch.setattr(saving, "pack_rows", fail_later)
    model = quantize_checkpoint(checkpoint(), spec(), "rtn-w4")
    expected = QbenchError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="No space left" if expected is QbenchError else None):
        save_quantized(model, tmp_path / "out", None)
    assert calls == 9
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", ["missing", "extra", "grid", "dense", "dtype", "range"])
def test_a_model_that_is_not_its_recipe_is_not_saved(change: str, tmp_path: Path) -> None:
    model = quantize_checkpoint(checkpoint(), spec(), "rtn-w4g32")
    name = "model.layers.0.self_attn.q_proj.weight"
    tensor = model.tensors[name]
    assert isinstance(tensor, QuantizedTensor)
    if change == "missing":
        del model.tensors[name]
    elif change == "extra":
        model.tensors["another"] = tensor
    elif change == "grid":
        other = quantize_checkpoint(checkpoint(), spec(), "rtn-w4g16")
        model.tensors[name] = other.tensors[name]
    elif change == "dense":
        model.tensors[name] = checkpoint().read(name)
    elif change == "dtype":
        model = dataclasses.replace(
            quantize_checkpoint(checkpoint(), spec(), "f16"),
            tensors=quantize_checkpoint(checkpoint(), spec(), "bf16").tensors,
        )
        name = "model.embed_tokens.weight"
    else:
        model.tensors[name] = dataclasses.replace(tensor, codes=tensor.codes + np.uint8(16))
    with pytest.raises(CheckpointError, match="another" if change == "extra" else name):
        save_quantized(model, tmp_path / "out", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["stories260K", "babyllama-tok105"])
def test_a_trained_model_comes_back(name: str, shared: Path, tmp_path: Path) -> None:
    from qbench.models import decoder_spec, read_config
    from qbench.models.checkpoint import Checkpoint

    source = shared / "models" / name / "hf"
    with Checkpoint.open(source) as weights:
        config = decoder_spec(read_config(source), str(source))
        model = quantize_checkpoint(weights, config, "rtn-w3g32+head8")
        assert 3 + 19 / 32 <= model.bits_per_weight < 3.65
        save_quantized(model, tmp_path / "out", source)
        assert_same(load_quantized(tmp_path / "out"), model)


@pytest.mark.parametrize("content", ["no config", "with a folder"])
def test_force_never_replaces_anything_else(content: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "left.over").write_text("old")
    if content == "with a folder":
        (target / "config.json").write_text("old")
        (target / "thesis").mkdir()
    model = quantize_checkpoint(checkpoint(), spec(), "rtn-w4g32")
    with pytest.raises(RequestError, match="no model folder"):
        save_quantized(model, target, None, force=True)
    assert (target / "left.over").exists()
