"""Loading: one clear error for whatever cannot have been saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quant.builders import checkpoint, spec

from qbench.errors import CheckpointError, NonFiniteError
from qbench.models.safetensors import SafetensorsFile
from qbench.quant.loading import is_quantized, load_quantized
from qbench.quant.quantize import quantize_checkpoint
from qbench.quant.safetensors_writer import Entry, write_safetensors
from qbench.quant.saving import save_quantized

DOWN = "model.layers.1.mlp.down_proj.weight"
Tensors = dict[str, tuple[str, np.ndarray]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = quantize_checkpoint(checkpoint(), spec(), "rtn-w3g32+head8")
    return save_quantized(model, tmp_path / "model", None)


def edit_tensors(folder: Path, change: Callable[[Tensors], object]) -> None:
    """Rewrite the weight file with some tensors changed."""
    path = folder / "model.safetensors"
    file = SafetensorsFile(path)
    tensors = {n: (info.dtype, file.read_raw(n).copy()) for n, info in file.tensors.items()}
    file.close()
    change(tensors)
    path.unlink()
    entries = [
        Entry(name, dtype, array.shape, lambda array=array: [array])
        for name, (dtype, array) in tensors.items()
    ]
    write_safetensors(path, entries, {})


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite the configuration with something changed."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def set_value(name: str, index: tuple[int, ...], value: float) -> Callable[[Tensors], object]:
    return lambda tensors: tensors[name][1].__setitem__(index, value)


def replace(name: str, dtype: str, array: np.ndarray) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({name: (dtype, array)})


BROKEN_TENSORS: dict[str, tuple[Callable[[Tensors], object], str]] = {
    "missing zeros": (lambda t: t.pop(f"{DOWN}.zeros"), f"{DOWN}.zeros is missing"),
    "missing head": (lambda t: t.pop("lm_head.weight.codes"), "lm_head.weight.codes is missing"),
    "missing norm": (lambda t: t.pop("model.norm.weight"), "model.norm.weight is missing"),
    "extra": (
        replace("x\x80y", "U8", np.zeros((1, 1), np.uint8)),
        "control characters",
    ),
    "foreign": (
        replace("another.weight", "U8", np.zeros((1, 1), np.uint8)),
        "'another.weight' does not belong to the recipe rtn-w3g32",
    ),
    "narrow codes": (
        replace(f"{DOWN}.codes", "U8", np.zeros((40, 19), np.uint8)),
        rf"{DOWN}.codes is U8 \[40, 19\], expected U8 \[40, 20\]",
    ),
    "codes of another type": (
        replace(f"{DOWN}.codes", "F16", np.zeros((40, 20), np.float16)),
        "expected U8",
    ),
    "too few scales": (
        replace(f"{DOWN}.scales", "BF16", np.full((40, 1), 0x3F80, np.uint16)),
        r"\[40, 1\], expected BF16 \[40, 2\]",
    ),
    "scales of another type": (
        replace(f"{DOWN}.scales", "F32", np.ones((40, 2), np.float32)),
        r"is F32 \[40, 2\], expected BF16",
    ),
    "infinite scale": (set_value(f"{DOWN}.scales", (3, 1), 0x7F80), "row 3, group 1 is inf"),
    "zero scale": (set_value(f"{DOWN}.scales", (3, 1), 0), "row 3, group 1 is 0"),
    "negative scale": (set_value(f"{DOWN}.scales", (0, 0), 0xBF80), "row 0, group 0 is -1"),
    "NaN scale": (set_value(f"{DOWN}.scales", (0, 0), 0x7FC0), "row 0, group 0 is nan"),
    "spare bits": (set_value(f"{DOWN}.codes", (2, 19), 0xFF), "behind the last code"),
    "wide norm": (
        replace("model.norm.weight", "F32", np.ones(41, np.float32)),
        r"model.norm.weight is F32 \[41\], expected .* \[40\]",
    ),
    "norm of codes": (
        replace("model.norm.weight", "U8", np.ones(40, np.uint8)),
        "expected F32 or F16 or BF16",
    ),
}


@pytest.mark.parametrize("case", BROKEN_TENSORS)
def test_a_broken_tensor_is_named(case: str, folder: Path) -> None:
    change, message = BROKEN_TENSORS[case]
    edit_tensors(folder, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_quantized(folder)
    assert caught.value.exit_code == 1
    assert str(folder) in str(caught.value)


def test_a_non_finite_norm_is_named(folder: Path) -> None:
    edit_tensors(folder, set_value("model.norm.weight", (5,), np.nan))
    with pytest.raises(NonFiniteError, match=r"model\.norm\.weight.*column 5"):
        load_quantized(folder)


def quantization(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda config: config["quantization_config"].update(changes)


BROKEN_CONFIGS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "newer": (quantization(version=2), "saved in version 2 .* reads version 1"),
    "version": (quantization(version=True), "version: expected an integer"),
    "no version": (
        lambda config: config["quantization_config"].pop("version"),
        "version: expected an integer.*found nothing",
    ),
    "no recipe": (
        lambda config: config["quantization_config"].pop("recipe"),
        "recipe: expected a string, found nothing",
    ),
    "bad recipe": (quantization(recipe="rtnn-w3g32"), "did you mean rtn-w3g32"),
    "unknown method": (quantization(recipe="gptq-w3g32"), "does not know the method"),
    "as-is": (quantization(recipe="as-is"), "does not know the method"),
    "other bits": (quantization(recipe="rtn-w4g32+head8"), "codes is U8"),
    "other group": (quantization(recipe="rtn-w3g16+head8"), "scales is BF16"),
    "other symmetry": (quantization(recipe="rtn-w3g32-sym+head8"), "does not belong"),
    "other scale": (quantization(recipe="rtn-w3g32+head8{scale=f16}"), "expected F16"),
    "no head": (quantization(recipe="rtn-w3g32"), "'lm_head.weight.codes.* does not belong"),
    "other size": (lambda config: config.update(intermediate_size=52), "expected"),
    "more layers": (lambda config: config.update(num_hidden_layers=3), "layers.2.* is missing"),
    "foreign": (
        lambda config: config["quantization_config"].update(quant_method="gptq"),
        "already quantized",
    ),
    "no record": (lambda config: config.pop("quantization_config"), "is missing"),
}


@pytest.mark.parametrize("case", BROKEN_CONFIGS)
def test_a_configuration_that_contradicts_the_file(case: str, folder: Path) -> None:
    change, message = BROKEN_CONFIGS[case]
    edit_config(folder, change)
    with pytest.raises(CheckpointError, match=message):
        load_quantized(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name.replace(".", "[.]")):
        load_quantized(folder)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_truncated_file(keep: int, folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError):
        load_quantized(folder)


def test_is_quantized() -> None:
    assert is_quantized({"quantization_config": {"quant_method": "qbench"}})
    assert not is_quantized({"quantization_config": {"quant_method": "gptq"}})
    assert not is_quantized({"quantization_config": None})
    assert not is_quantized({})
