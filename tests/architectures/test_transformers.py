"""Every architecture against transformers: the logits of its float32 forward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from architectures.build import CLASSES
from architectures.cases import CASES

import qbench as qb

pytestmark = pytest.mark.parity

NAMES = [name for name, case in CASES.items() if case.config != "QwenConfig"]
"""transformers no longer ships the first Qwen: it has a twin of its own (`test_qwen1`)."""


@pytest.fixture(scope="module")
def peers() -> Any:
    pytest.importorskip("torch", reason="the oracle is not installed")
    pytest.importorskip("transformers", reason="the oracle is not installed")
    from architectures import peers

    return peers


def logprobs_of(logits: np.ndarray, ids: list[int]) -> float:
    """Log-probability of all ids after the first."""
    wide = logits.astype(np.float64)
    wide = wide - wide.max(axis=1, keepdims=True)
    log_p = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    return float(log_p[np.arange(len(ids) - 1), ids[1:]].sum())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:.*no tokenizer beside the weights")
def test_logits(name: str, peers: Any, parity_table: list[tuple[str, ...]], tmp_path: Path) -> None:
    model, case = peers.build(name)
    assert type(model).__name__ == CLASSES[case.config]
    model.save_pretrained(tmp_path)
    ours = qb.load(tmp_path, mode="exact", threads=1)
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 211, case.length)
    expected = peers.logits(model, ids)
    found = ours.logits(ids.tolist())
    weights, config = peers.arrays(model)  # in memory they may have other names
    held = qb.load(state_dict=weights, config=config, mode="exact", threads=1)
    assert np.array_equal(held.logits(ids.tolist()), found)
    off = float(np.abs(found - expected).max() / np.abs(expected).max())
    runtime = ours._runtime
    with runtime.exclusive():  # token by token, turned as a sequence of that length
        runtime.rotation = ours.spec.rotation_key(len(ids))
        sequence = runtime.new_sequence()
        runtime.rotation = 0
        steps = [runtime.logits(sequence, ids[i : i + 1].astype(np.int32)) for i in range(len(ids))]
        runtime.release(sequence)
    assert np.array_equal(np.concatenate(steps), found)
    # Packed with others: what each scores is what transformers says of it alone.
    texts = [rng.integers(0, 211, n).tolist() for n in (3, 40, 77, 110)]
    packed = ours.loglikelihood_tokens([(text[:1], text[1:]) for text in texts])["logprob"]
    alone = [logprobs_of(peers.logits(model, np.array(text)), text) for text in texts]
    assert np.allclose(packed, alone, rtol=1e-4)
    parity_table.append(
        (name, type(model).__name__, f"{len(ids)}", f"{expected.std():.2f}", f"{off:.1e}")
    )
    assert expected.std() > 0.5
    assert off <= 1e-4


@pytest.mark.parametrize("name", ["llama", "phi-3", "gpt-2", "gpt-neox", "bloom", "mixtral"])
def test_a_saved_model_is_one_of_transformers(name: str, peers: Any, tmp_path: Any) -> None:
    """What was cut apart is put together again, under names that the other library reads."""
    import transformers

    model, _ = peers.build(name)
    model.save_pretrained(tmp_path / "theirs")
    weights, config = peers.arrays(model)
    qb.load(state_dict=weights, config=config, mode="exact").save(tmp_path / "ours")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours", dtype="float32")
    ids = np.arange(40)
    assert np.allclose(peers.logits(again, ids), peers.logits(model, ids), atol=1e-5)
    with qb.models.Checkpoint.open(tmp_path / "theirs") as theirs:
        spec = qb.models.decoder_spec(config, "config")
        from qbench.quant.quantize import quantize_checkpoint

        read = quantize_checkpoint(theirs, spec, None)
    ours = qb.load(state_dict=weights, config=config, mode="exact", threads=1)
    assert len(read.tensors) == len(qb.models.tensor_slots(ours.spec))
