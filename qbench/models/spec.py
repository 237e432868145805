"""From a configuration to a declarative description of a decoder.

`DecoderSpec` says everything that the rest of qbench needs to know about an architecture; the
naming table says which tensor of a checkpoint fills which place in it. A new member of the family
is a new row here. This file must not open weights: `check_tensors` asks a checkpoint for shapes
only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from qbench.errors import CheckpointError
from qbench.models.rope import RopeSpec, rope_spec
from qbench.models.strict_json import Fields, read_object
from qbench.registry import near_names

ARCHITECTURES = ("LlamaForCausalLM",)
STORED_DTYPES = ("float32", "float16", "bfloat16")
LINEAR_SLOTS = ("q", "k", "v", "o", "gate", "up", "down")
"""The slots that a recipe quantizes."""

MAX_HIDDEN = 1 << 20
MAX_LAYERS = 4096
MAX_VOCAB = 1 << 22
MAX_CONTEXT = 1 << 27


@dataclass(frozen=True)
class DecoderSpec:
    """A decoder-only transformer: sizes, normalization, rotation, and its special tokens."""

    architecture: str
    model_type: str
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    vocab_size: int
    context_length: int
    norm_eps: float
    rope: RopeSpec
    tied_head: bool
    stored_dtype: str
    bos_token_id: int | None
    eos_token_ids: tuple[int, ...]


class TensorSlot(NamedTuple):
    """One weight of a decoder: its place, the name it has in a checkpoint, and its shape.

    ``layer`` is -1 for the tensors that belong to no layer.
    """

    slot: str
    layer: int
    name: str
    shape: tuple[int, ...]


class HasTensors(Protocol):
    """What `check_tensors` needs of a checkpoint."""

    def has(self, name: str) -> bool:
        """Whether a tensor of that name exists."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""

    def dtype(self, name: str) -> str:
        """Stored type of a tensor, as the file names it."""


def read_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json`` and add the end-of-text ids of ``generation_config.json``.

    Parameters
    ----------
    folder
        A model folder in the Hugging Face layout.

    Returns
    -------
    dict
        The configuration. Where ``generation_config.json`` lists end-of-text ids, ``eos_token_id``
        is the union of both files' lists: a chat model often names its end-of-turn token only
        there.

    Raises
    ------
    CheckpointError
        If a file is missing or no strict JSON object.
    """
    path = folder / "config.json"
    if not path.exists():
        raise CheckpointError(f"no config.json in {folder}: this is no model folder")
    config = read_object(path)
    generation_path = folder / "generation_config.json"
    if generation_path.exists():
        generation = read_object(generation_path)
        extra = _id_list(generation, "eos_token_id", str(generation_path))
        if extra:
            own = _id_list(config, "eos_token_id", str(path))
            config["eos_token_id"] = sorted({*own, *extra})
    return config


def decoder_spec(config: Mapping[str, Any], where: str) -> DecoderSpec:
    """Turn a configuration into a decoder specification.

    Parameters
    ----------
    config
        A ``config.json`` of the Llama family, in the spelling of transformers 4 or 5. Keys that may
        be absent have the defaults of transformers' ``LlamaConfig``; unknown keys are ignored.
    where
        The file, for errors.

    Raises
    ------
    CheckpointError
        For an unknown architecture (named, with those that are known), a missing key, a wrong type,
        a value out of range, heads that do not divide, or a feature that is not supported.
    """
    fields = Fields(config, where)
    architecture = _architecture(config, where)
    _refuse_unsupported(fields)
    hidden = fields.integer("hidden_size", 1, MAX_HIDDEN)
    heads = fields.integer("num_attention_heads", 1, MAX_HIDDEN)
    if hidden % heads:
        raise CheckpointError(
            f"{where}: num_attention_heads: {heads} heads do not divide hidden_size {hidden}"
        )
    kv_heads = fields.integer("num_key_value_heads", 1, heads, heads)
    if heads % kv_heads:
        raise CheckpointError(
            f"{where}: num_key_value_heads: {kv_heads} does not divide the {heads} attention heads"
        )
    head_dim = fields.integer("head_dim", 1, MAX_HIDDEN, hidden // heads)
    if head_dim % 2:
        raise CheckpointError(f"{where}: head_dim: {head_dim} is odd, rotation needs pairs")
    vocab = fields.integer("vocab_size", 1, MAX_VOCAB)
    context = fields.integer("max_position_embeddings", 1, MAX_CONTEXT, 2048)
    bos = fields.optional_integer("bos_token_id", 0, vocab - 1)
    eos = _id_list(config, "eos_token_id", where)
    if any(token >= vocab for token in eos):
        raise CheckpointError(f"{where}: eos_token_id: {eos} exceeds the vocabulary of {vocab}")
    return DecoderSpec(
        architecture=architecture,
        model_type=fields.string("model_type", "llama"),
        hidden_size=hidden,
        intermediate_size=fields.integer("intermediate_size", 1, MAX_VOCAB),
        n_layers=fields.integer("num_hidden_layers", 1, MAX_LAYERS),
        n_heads=heads,
        n_kv_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=vocab,
        context_length=context,
        norm_eps=fields.number("rms_norm_eps", 0.0, 1.0, 1e-6),
        rope=rope_spec(config, where, context),
        tied_head=fields.boolean("tie_word_embeddings", False),
        stored_dtype=_stored_dtype(fields),
        bos_token_id=bos,
        eos_token_ids=eos,
    )


def _architecture(config: Mapping[str, Any], where: str) -> str:
    """Return the one architecture of the list, or say which are known."""
    found = config.get("architectures")
    if not isinstance(found, list) or not found or not isinstance(found[0], str):
        raise CheckpointError(f"{where}: architectures: expected a list with one name")
    name = found[0]
    if name not in ARCHITECTURES:
        near = near_names(name, ARCHITECTURES, limit=1)
        hint = f" (nearest: {near[0]})" if near else ""
        raise CheckpointError(
            f"{where}: the architecture {name!r:.80} is not supported{hint}; known: "
            + ", ".join(ARCHITECTURES)
        )
    return name


def _refuse_unsupported(fields: Fields) -> None:
    """Refuse what would silently compute something else."""
    activation = fields.string("hidden_act", "silu")
    if activation != "silu":
        fields.fail("hidden_act", "'silu' (no other gate is supported)")
    for key in ("attention_bias", "mlp_bias"):
        if fields.boolean(key, False):
            fields.fail(key, "false (biases are not supported)")
    quantization = fields.object("quantization_config")
    if quantization is not None and quantization.get("quant_method") != "qbench":
        method = quantization.get("quant_method")
        raise CheckpointError(
            f"{fields.where}: the checkpoint is already quantized ({method!r:.40}), which is not "
            "supported; use the original float checkpoint"
        )


def _stored_dtype(fields: Fields) -> str:
    """Read ``dtype`` (transformers 5) or ``torch_dtype``; float32 where neither is there."""
    key = "dtype" if fields.values.get("dtype") is not None else "torch_dtype"
    dtype = fields.string(key, "float32").removeprefix("torch.")
    if dtype not in STORED_DTYPES:
        fields.fail(key, "one of " + ", ".join(STORED_DTYPES))
    return dtype


def _id_list(config: Mapping[str, Any], key: str, where: str) -> tuple[int, ...]:
    """Read one token id or a list of them; null and absence give none."""
    value = config.get(key)
    values = value if isinstance(value, list) else [] if value is None else [value]
    for item in values:
        if type(item) is not int or not 0 <= item < MAX_VOCAB:
            raise CheckpointError(f"{where}: {key}: expected token ids, found {item!r:.40}")
    return tuple(dict.fromkeys(values))


def tensor_slots(spec: DecoderSpec) -> tuple[TensorSlot, ...]:
    """Name every weight of a decoder, in the order of the forward pass.

    Returns
    -------
    tuple of TensorSlot
        Names of Hugging Face's Llama. A tied head has no entry of its own: it is the embedding.
    """
    hidden, inner = spec.hidden_size, spec.intermediate_size
    queries, keys = spec.n_heads * spec.head_dim, spec.n_kv_heads * spec.head_dim
    in_layer: tuple[tuple[str, str, tuple[int, ...]], ...] = (
        ("attn_norm", "input_layernorm", (hidden,)),
        ("q", "self_attn.q_proj", (queries, hidden)),
        ("k", "self_attn.k_proj", (keys, hidden)),
        ("v", "self_attn.v_proj", (keys, hidden)),
        ("o", "self_attn.o_proj", (hidden, queries)),
        ("mlp_norm", "post_attention_layernorm", (hidden,)),
        ("gate", "mlp.gate_proj", (inner, hidden)),
        ("up", "mlp.up_proj", (inner, hidden)),
        ("down", "mlp.down_proj", (hidden, inner)),
    )
    slots = [TensorSlot("embedding", -1, "model.embed_tokens.weight", (spec.vocab_size, hidden))]
    for layer in range(spec.n_layers):
        slots.extend(
            TensorSlot(slot, layer, f"model.layers.{layer}.{name}.weight", shape)
            for slot, name, shape in in_layer
        )
    slots.append(TensorSlot("final_norm", -1, "model.norm.weight", (hidden,)))
    if not spec.tied_head:
        slots.append(TensorSlot("head", -1, "lm_head.weight", (spec.vocab_size, hidden)))
    return tuple(slots)


def check_tensors(spec: DecoderSpec, checkpoint: HasTensors) -> None:
    """Compare a float checkpoint with what the specification asks for.

    Raises
    ------
    CheckpointError
        Naming the first tensor that is missing or has another shape or no float type.
    """
    for slot in tensor_slots(spec):
        if not checkpoint.has(slot.name):
            raise CheckpointError(
                f"the tensor {slot.name} is missing, which the configuration asks for "
                f"({spec.n_layers} layers, tied head: {'yes' if spec.tied_head else 'no'})"
            )
        found = checkpoint.shape(slot.name)
        if found != slot.shape:
            raise CheckpointError(
                f"the tensor {slot.name} has shape {found}, the configuration asks for {slot.shape}"
            )
        dtype = checkpoint.dtype(slot.name)
        if dtype not in ("F32", "F16", "BF16"):
            raise CheckpointError(
                f"the tensor {slot.name} is stored as {dtype}; weights are F32, F16 or BF16"
            )
