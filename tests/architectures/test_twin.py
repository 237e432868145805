"""Every architecture against the float64 twin, and what holds of all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from architectures.build import CLASSES, Twin
from architectures.cases import CASES
from tolerance import DECODER

import qbench as qb
from qbench.models import Checkpoint, MemoryCheckpoint, Weight
from qbench.models.architectures.known import ARCHITECTURES
from qbench.models.slots import placed, tensor_slots
from qbench.quant.loading import load_quantized
from qbench.quant.quantize import quantize_checkpoint
from qbench.quant.tensor import QuantizedTensor
from qbench.reference import reference_logits

NAMES = sorted(CASES)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the root mean square of what was expected."""
    return float(np.abs(found - expected).max() / np.sqrt(np.mean(np.square(expected))))


def test_every_architecture_has_a_case() -> None:
    cases = {CLASSES[case.config] for case in CASES.values()}
    assert {*ARCHITECTURES} - cases == {"Gemma3ForConditionalGeneration"}


@pytest.mark.parametrize("name", NAMES)
def test_the_float64_twin(name: str) -> None:
    twin = Twin(name)
    expected = reference_logits(twin.spec, placed(twin.spec, twin.weights), twin.ids)
    assert expected.std() > 0.5
    assert relative(twin.model.logits(twin.ids), expected) <= DECODER["exact"]


@pytest.mark.parametrize("mode", ["exact", "faithful", "fast"])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits_by_prefill_step_by_step_and_packed(name: str, mode: str) -> None:
    twin = Twin(name, mode=mode, threads=2)
    runtime, ids = twin.model._runtime, np.array(twin.ids[:70], np.int32)
    whole = twin.model.logits(ids)
    with runtime.exclusive():
        runtime.rotation = twin.spec.rotation_key(len(ids))
        sequence = runtime.new_sequence()
        runtime.rotation = 0
        steps = [runtime.logits(sequence, ids[i : i + 1]) for i in range(len(ids))]
        runtime.release(sequence)
    assert np.array_equal(np.concatenate(steps), whole)
    rng = np.random.default_rng(1)
    pairs = [(ids[:k].tolist(), ids[k : k + 9].tolist()) for k in (1, 30, 31, 60)]
    others = [(rng.integers(0, 200, n).tolist(), [3, 4]) for n in (1, 17, 33, 64)]
    alone = np.concatenate([twin.model.loglikelihood_tokens([pair]) for pair in pairs])
    packed = twin.model.loglikelihood_tokens([*others, *pairs])[len(others) :]
    assert np.array_equal(alone, packed)
    assert np.isfinite(alone["logprob"]).all()


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_read_again(name: str, tmp_path: Path) -> None:
    """As floats under the names that it came with; as codes bit for bit."""
    twin = Twin(name)
    twin.model.save(tmp_path / "floats")
    with Checkpoint.open(tmp_path / "floats") as saved:
        assert set(saved.names) == set(twin.arrays)
        for tensor in saved.names:
            assert np.array_equal(saved.read(tensor).array, twin.arrays[tensor])
    codes = Twin(name, recipe="rtn-w8g32+head8")
    codes.model.save(tmp_path / "codes")
    given = quantize_checkpoint(MemoryCheckpoint(twin.arrays), twin.spec, "rtn-w8g32+head8")
    found = load_quantized(tmp_path / "codes")
    assert found.tensors.keys() == given.tensors.keys()
    for tensor, expected in given.tensors.items():
        assert np.array_equal(floats(found.tensors[tensor]), floats(expected))
    assert found.bits_per_weight == codes.model.bits_per_weight
    n = 20 if twin.case.length > 20 else twin.case.length
    near = relative(codes.model.logits(twin.ids[:n]), twin.model.logits(twin.ids[:n]))
    assert near > 0
    if twin.spec.experts is None:  # else another expert may be chosen
        assert near < 0.5


def floats(tensor: object) -> np.ndarray:
    """What a tensor stands for."""
    if isinstance(tensor, QuantizedTensor):
        return tensor.dequantize()
    assert isinstance(tensor, Weight)
    return tensor.array


@pytest.mark.parametrize("n", [60, 135])
@pytest.mark.parametrize("name", NAMES)
def test_greedy_text_follows_the_logits(name: str, n: int) -> None:
    """Generation says what logits of the whole sequence say, also where LongRoPE turns over."""
    twin = Twin(name)
    prompt = twin.ids[:n]
    new = twin.model.generate([prompt], max_new_tokens=12)[0]
    key, limit = twin.spec.rotation_key(n), twin.spec.rotation_limit(twin.spec.rotation_key(n))
    for i, token in enumerate(new):
        read = [*prompt, *new[:i]]
        if twin.spec.rotation_key(len(read)) == key or limit is not None:
            assert int(twin.model.logits(read)[-1].argmax()) == token


def test_spellings_of_one_architecture_are_the_same_model() -> None:
    """With and without the prefix of the model, experts one by one or stacked."""
    for name, change in (("gpt-2", "transformer."), ("llama", "model."), ("bloom", "transformer.")):
        twin = Twin(name)
        bare = {n.removeprefix(change): array for n, array in twin.arrays.items()}
        model = qb.load(state_dict=bare, config=twin.config, mode="exact", threads=1)
        assert np.array_equal(model.logits(twin.ids), twin.model.logits(twin.ids))
    twin = Twin("mixtral")
    n = len([s for s in tensor_slots(twin.spec) if s.slot == "expert_up" and s.layer == 0])
    stacked = {k: v for k, v in twin.arrays.items() if "block_sparse_moe" not in k}
    for layer in range(3):
        own, new = f"model.layers.{layer}.block_sparse_moe", f"model.layers.{layer}.mlp"
        parts = {
            w: [twin.arrays[f"{own}.experts.{e}.{w}.weight"] for e in range(n)]
            for w in ("w1", "w2", "w3")
        }
        gate_up = [np.concatenate(pair) for pair in zip(parts["w1"], parts["w3"], strict=True)]
        stacked |= {
            f"{new}.experts.gate_up_proj": np.stack(gate_up),
            f"{new}.experts.down_proj": np.stack(parts["w2"]),
            f"{new}.gate.weight": twin.arrays[f"{own}.gate.weight"],
        }
    model = qb.load(state_dict=stacked, config=twin.config, mode="exact", threads=1)
    assert np.array_equal(model.logits(twin.ids), twin.model.logits(twin.ids))
