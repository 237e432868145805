from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qbench.errors import CheckpointError, QbenchWarning
from qbench.models import (
    LINEAR_SLOTS,
    DecoderSpec,
    check_tensors,
    decoder_spec,
    read_config,
    tensor_slots,
)
from qbench.models.checkpoint import Checkpoint, MemoryCheckpoint
from qbench.models.reading import fitting
from qbench.models.rope import RopeSpec
from qbench.models.spec import Attention, FeedForward, Layer, Norm, Rotary

Config = dict[str, Any]


def test_reads_every_field(config: Config) -> None:
    config |= {"head_dim": 6, "bos_token_id": 1, "eos_token_id": [2, 5, 2], "rope_theta": 5e5}
    assert decoder_spec(config, "c") == DecoderSpec(
        "LlamaForCausalLM", "llama", 8, 4, 2, 6, 6, 300, 64,
        norm=Norm(eps=1e-5), attention=Attention(6**-0.5), feed_forward=FeedForward(),
        layers=(Layer(12), Layer(12)), rotary=Rotary((RopeSpec(5e5),), 6), tied_head=True,
        stored_dtype="float32", bos_token_id=1, eos_token_ids=(2, 5),
    )  # fmt: skip


def test_defaults_are_those_of_transformers(config: Config) -> None:
    for key in ("num_key_value_heads", "rms_norm_eps", "tie_word_embeddings", "torch_dtype"):
        del config[key]
    del config["max_position_embeddings"]
    spec = decoder_spec({**config, "hidden_act": None, "anything": {"else": 1}}, "c")
    assert (spec.n_kv_heads, spec.head_dim, spec.norm.eps) == (4, 2, 1e-6)
    assert (spec.tied_head, spec.context_length, spec.stored_dtype) == (False, 2048, "float32")
    assert (spec.rotary, spec.bos_token_id, spec.eos_token_ids) == (
        Rotary((RopeSpec(10000.0),), 2), None, (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"torch_dtype": "bfloat16"}, "bfloat16"),
        ({"dtype": "float16", "torch_dtype": "float32"}, "float16"),
        ({"torch_dtype": "torch.float16"}, "float16"),
    ],
)
def test_stored_dtype(config: Config, change: Config, expected: str) -> None:
    assert decoder_spec({**config, **change}, "c").stored_dtype == expected


WRONG: list[tuple[Config, str]] = [
    ({"architectures": ["Qwen9ForCausalLM"]}, "'Qwen9ForCausalLM' is not supported"),
    ({"architectures": ["Qwen9ForCausalLM"]}, "known: LlamaForCausalLM"),
    ({"architectures": ["LLaMAForCausalLM"]}, "nearest: LlamaForCausalLM"),
    ({"architectures": []}, "expected a list with one name"),
    ({"architectures": "LlamaForCausalLM"}, "expected a list with one name"),
    ({"architectures": [1]}, "expected a list with one name"),
    ({"hidden_size": True}, "hidden_size: expected an integer in 1..1048576, found the boolean"),
    ({"hidden_size": 8.0}, "found the number 8.0"),
    ({"hidden_size": 0}, "found the integer 0"),
    ({"hidden_size": -8}, "found the integer -8"),
    ({"hidden_size": 1 << 40}, "hidden_size: expected"),
    ({"hidden_size": None}, "hidden_size: expected"),
    ({"intermediate_size": "12"}, "intermediate_size: expected"),
    ({"num_hidden_layers": 4097}, "num_hidden_layers: expected an integer in 1..4096"),
    ({"num_attention_heads": 3}, "3 heads do not divide hidden_size 8"),
    ({"num_key_value_heads": 3}, "3 does not divide the 4 attention heads"),
    ({"num_key_value_heads": 8}, "num_key_value_heads: expected an integer in 1..4"),
    ({"num_attention_heads": 8}, "head_dim: 1 is odd"),
    ({"head_dim": 3}, "head_dim: 3 is odd"),
    ({"vocab_size": (1 << 22) + 1}, "vocab_size: expected"),
    ({"max_position_embeddings": 0}, "max_position_embeddings: expected"),
    ({"rms_norm_eps": 0}, "rms_norm_eps: expected a number between 0 and 1"),
    ({"rms_norm_eps": 1.0}, "rms_norm_eps: expected"),
    ({"rms_norm_eps": False}, "rms_norm_eps: expected"),
    ({"tie_word_embeddings": 1}, "tie_word_embeddings: expected true or false"),
    ({"hidden_act": "mish"}, "hidden_act: expected one of silu, swish, gelu"),
    ({"torch_dtype": "float8_e4m3fn"}, "torch_dtype: expected one of float32"),
    ({"dtype": 32}, "dtype: expected a string"),
    ({"eos_token_id": [2, True]}, "expected token ids, found True"),
    ({"eos_token_id": -1}, "expected token ids"),
    ({"model_type": 5}, "model_type: expected a string"),
    ({"rope_scaling": {"type": "xpos"}}, "'xpos' is not supported"),
    ({"quantization_config": {"quant_method": "gptq"}}, "already quantized ('gptq')"),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_wrong_configurations(case: int, config: Config) -> None:
    change, fragment = WRONG[case]
    with pytest.raises(CheckpointError) as caught:
        decoder_spec({**config, **change}, "c.json")
    assert fragment in str(caught.value) and str(caught.value).startswith("c.json: ")


@pytest.mark.parametrize(
    "key", ["architectures", "hidden_size", "intermediate_size", "num_hidden_layers",
            "num_attention_heads", "vocab_size"],
)  # fmt: skip
def test_missing_keys(key: str, config: Config) -> None:
    del config[key]
    with pytest.raises(CheckpointError, match=key):
        decoder_spec(config, "c.json")


def test_slots_name_the_tensors_of_llama(config: Config) -> None:
    spec = decoder_spec({**config, "head_dim": 6, "tie_word_embeddings": False}, "c")
    slots = tensor_slots(spec)
    by_name = {slot.name: slot for slot in slots}
    assert len(by_name) == len(slots) == 3 + 9 * 2
    assert by_name["model.layers.1.self_attn.k_proj.weight"].key == ("k", 1, -1)
    assert by_name["model.layers.1.self_attn.k_proj.weight"].shape == (12, 8)
    assert by_name["model.layers.0.self_attn.o_proj.weight"].shape == (8, 24)
    assert by_name["model.layers.0.mlp.down_proj.weight"].shape == (8, 12)
    assert by_name["lm_head.weight"].key == ("head", -1, -1)
    kinds = {slot.slot for slot in slots if slot.layer == 0}
    assert kinds - {"attn_norm", "mlp_norm"} == {"q", "k", "v", "o", "gate", "up", "down"}
    assert kinds - {"attn_norm", "mlp_norm"} < {*LINEAR_SLOTS}
    tied = tensor_slots(decoder_spec(config, "c"))
    assert "head" not in {slot.slot for slot in tied}


def arrays_for(spec: DecoderSpec) -> dict[str, np.ndarray]:
    return {slot.name: np.zeros(slot.shape, np.float32) for slot in tensor_slots(spec)}


def test_check_tensors(spec: DecoderSpec) -> None:
    arrays = arrays_for(spec)
    check_tensors(spec, MemoryCheckpoint(arrays | {"extra": np.zeros(1, np.float32)}))
    name = "model.layers.1.mlp.up_proj.weight"
    short = {key: value for key, value in arrays.items() if key != name}
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        check_tensors(spec, MemoryCheckpoint(short))
    wrong = {**arrays, name: arrays[name].T.copy()}
    with pytest.raises(CheckpointError, match=r"has shape \(8, 12\), .* asks for \(12, 8\)"):
        check_tensors(spec, MemoryCheckpoint(wrong))


def test_the_type_of_the_weights_where_the_configuration_does_not_say(config: Config) -> None:
    stated = decoder_spec(config, "c")
    arrays = {n: np.zeros(a.shape, np.uint16) for n, a in arrays_for(stated).items()}
    assert fitting(stated, MemoryCheckpoint(arrays)).stored_dtype == stated.stored_dtype
    del config["torch_dtype"]
    silent = decoder_spec(config, "c")
    assert silent.stored_dtype == "float32"
    assert fitting(silent, MemoryCheckpoint(arrays)).stored_dtype == "bfloat16"
    assert fitting(silent, MemoryCheckpoint({})).stored_dtype == "float32"


def test_check_tensors_wants_floats(spec: DecoderSpec, tmp_path: Path, write_safetensors) -> None:  # type: ignore[no-untyped-def]
    arrays: dict[str, np.ndarray] = dict(arrays_for(spec))
    arrays["model.norm.weight"] = np.zeros(8, "u1")
    (tmp_path / "model.safetensors").write_bytes(write_safetensors(arrays))
    with pytest.raises(CheckpointError, match=r"norm\.weight is stored as U8"):
        check_tensors(spec, Checkpoint.open(tmp_path))


@pytest.mark.parametrize(
    ("own", "generation", "expected"),
    [(2, [1, 2], (1, 2)), ([7], 3, (3, 7)), (None, [4], (4,)), (2, None, (2,)), (None, None, ())],
)
def test_generation_config_adds_ends(
    own: Any, generation: Any, expected: tuple[int, ...], config: Config, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**config, "eos_token_id": own}))
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": generation}))
    assert decoder_spec(read_config(tmp_path), "c").eos_token_ids == expected


def test_read_config_faults(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json in"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text('{"a": 1, "a": 2}')
    with pytest.raises(CheckpointError, match=r"config.json: the key 'a' stands twice"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": "x"}')
    with pytest.raises(CheckpointError, match=r"generation_config.json: eos_token_id"):
        read_config(tmp_path)


def test_shared_checkpoints_fit(shared: Path) -> None:
    for name, hidden, vocab in (("stories260K", 64, 512), ("babyllama-tok105", 128, 105)):
        folder = shared / "models" / name / "hf"
        spec = decoder_spec(read_config(folder), str(folder))
        assert (spec.hidden_size, spec.vocab_size, spec.n_heads, spec.n_kv_heads) == (
            hidden, vocab, 8, 4,
        )  # fmt: skip
        assert spec.eos_token_ids == (1, 2)
        check_tensors(spec, Checkpoint.open(folder))


REFUSED = {"CodeGenForCausalLM", "Phi4MMForCausalLM"}
"""Architectures of the shared configurations that are not known."""


def test_shared_configurations(shared: Path) -> None:
    """Real files: nearly all are read, the others are refused by name."""
    read = set()
    for path in sorted((shared / "tokenizers" / "hf-configs").glob("*config.json")):
        config = json.loads(path.read_text())
        if "architectures" not in config:
            continue
        name = config["architectures"][0]
        if name in REFUSED:
            with pytest.raises(CheckpointError, match=name):
                decoder_spec(config, path.name)
            continue
        spec = decoder_spec(config, path.name)
        assert len(tensor_slots(spec)) > 5
        read.add(name)
    assert len(read) >= 14


@pytest.mark.parametrize("key", ["bos_token_id", "eos_token_id"])
def test_special_tokens_outside_of_the_vocabulary_are_ignored(key: str, config: Config) -> None:
    with pytest.warns(QbenchWarning, match=r"\[300\] are outside of the vocabulary of 300"):
        spec = decoder_spec({**config, key: 300}, "c")
    assert spec.bos_token_id is None or key != "bos_token_id"
    assert 300 not in spec.eos_token_ids
