"""`qbench quantize`: a folder that loads again, its size told, nothing half-written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli.conftest import Qbench


def test_it_saves_what_the_library_quantizes(
    qbench: Qbench, tiny_model: Path, tmp_path: Path
) -> None:
    from qbench.models import decoder_spec, read_config
    from qbench.models.checkpoint import Checkpoint
    from qbench.quant.loading import load_quantized
    from qbench.quant.quantize import quantize_checkpoint
    from qbench.quant.tensor import QuantizedTensor

    out = tmp_path / "out"
    outcome = qbench("quantize", tiny_model, "rtn-w4", "-o", out, "--json")
    assert outcome.code == 0
    spec = decoder_spec(read_config(tiny_model), "")
    with Checkpoint.open(tiny_model) as checkpoint:
        expected = quantize_checkpoint(checkpoint, spec, "rtn-w4g32")
        saved = load_quantized(out)
        for name, tensor in expected.tensors.items():
            if isinstance(tensor, QuantizedTensor):
                assert (saved.tensors[name].codes == tensor.codes).all()
    assert outcome.json["recipe"] == "rtn-w4g32"
    assert outcome.json["bits_per_weight"] == expected.bits_per_weight
    assert outcome.json["model_bits"] == expected.model_bits
    assert outcome.json["bytes"] == sum(path.stat().st_size for path in out.iterdir())
    assert (out / "tokenizer.json").is_file()


def test_text_says_bits_and_size(qbench: Qbench, tiny_model: Path, tmp_path: Path) -> None:
    out = qbench("quantize", tiny_model, "rtn-w8gr-sym", "-o", tmp_path / "out").out
    assert "rtn-w8gr-sym" in out and "bits per weight" in out and "KiB" in out


def test_existing_folders_are_kept(qbench: Qbench, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert qbench("quantize", tiny_model, "rtn-w4", "-o", out).code == 0
    before = (out / "model.safetensors").read_bytes()
    refused = qbench("quantize", tiny_model, "rtn-w2", "-o", out)
    assert refused.code == 2
    refused.error("exists; add --force")
    assert (out / "model.safetensors").read_bytes() == before
    assert qbench("quantize", tiny_model, "rtn-w2", "-o", out, "--force").code == 0
    assert (out / "model.safetensors").stat().st_size < len(before)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    assert qbench("quantize", tiny_model, "rtn-w4", "-o", mine, "--force").code == 2
    assert (mine / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("recipe", "said"),
    [("gptq-w4", "is not there yet"), ("rtn-w4x", "cannot read 'x'"),
     ("as-is", "already quantized"), ("rtn-w5", "w5 is not there yet")],
)  # fmt: skip
def test_wrong_recipes_exit_2(
    qbench: Qbench, tiny_model: Path, tmp_path: Path, recipe: str, said: str
) -> None:
    outcome = qbench("quantize", tiny_model, recipe, "-o", tmp_path / "out")
    assert outcome.code == 2
    outcome.error(said)
    assert list(tmp_path.iterdir()) == []


def test_a_quantized_model_is_not_quantized_again(
    qbench: Qbench, tiny_model: Path, tmp_path: Path
) -> None:
    assert qbench("quantize", tiny_model, "rtn-w4", "-o", tmp_path / "a").code == 0
    outcome = qbench("quantize", tmp_path / "a", "rtn-w2", "-o", tmp_path / "b")
    assert outcome.code == 2
    outcome.error("already quantized")


def test_broken_weights_leave_nothing(qbench: Qbench, tiny_model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-7])
    outcome = qbench("quantize", broken, "rtn-w4", "-o", tmp_path / "out")
    assert outcome.code == 1
    outcome.error("model.safetensors")
    assert not (tmp_path / "out").exists()
