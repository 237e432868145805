"""From a configuration to a specification of a decoder.

What is common to all architectures stands here: which one it is, types, special tokens. The rest
is its own (`qbench.models.architectures`). This file must not open weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qbench.errors import CheckpointError, QbenchWarning
from qbench.models.architectures.base import Architecture, Common
from qbench.models.architectures.known import ARCHITECTURES
from qbench.models.spec import DecoderSpec
from qbench.models.strict_json import Fields, read_object
from qbench.registry import near_names

STORED_DTYPES = ("float32", "float16", "bfloat16")
MAX_VOCAB = 1 << 22
MAX_WEIGHTS = 1_000_000
"""Weights of a model: as many tensors as a safetensors file may hold."""

READABLE_QUANTIZATIONS = ("qbench", "fp8")
"""Values of ``quant_method`` that a checkpoint may have: qbench's own, and FP8 weights with scales,
which are read as floats."""


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
        A ``config.json`` in the spelling of transformers 4 or 5. Keys that may be absent have the
        defaults of transformers; unknown keys are ignored.
    where
        The file, for errors.

    Raises
    ------
    CheckpointError
        For an unknown architecture (named, with those that are known), a missing key, a wrong type,
        a value out of range, heads that do not divide, or a feature that is not supported.
    """
    name, architecture = _architecture(config, where)
    _refuse_quantized(Fields(config, where))
    fields, whole = Fields(config, where), dict(config)
    if architecture.text_config is not None and config.get(architecture.text_config) is not None:
        own = fields.object(architecture.text_config) or {}
        fields = Fields(own, f"{where}: {architecture.text_config}")
        outer = ("eos_token_id", "bos_token_id", "dtype", "torch_dtype", "tie_word_embeddings")
        whole = {key: config[key] for key in outer if key in config} | own
        for key in ("eos_token_id", "bos_token_id"):  # the whole model's are those in force
            if config.get(key) is not None:
                whole[key] = config[key]
    common = _common(name, architecture, Fields(whole, where))
    spec = architecture.read(fields, common | {"config": dict(config)})
    if spec.n_weights > MAX_WEIGHTS:
        raise CheckpointError(
            f"{where}: layers, heads and experts ask for {spec.n_weights:,} weights; at most "
            f"{MAX_WEIGHTS:,} are read"
        )
    return spec


def _architecture(config: Mapping[str, Any], where: str) -> tuple[str, Architecture]:
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
    return name, ARCHITECTURES[name]


def _common(name: str, architecture: Architecture, fields: Fields) -> Common:
    """Read what every architecture has."""
    vocab = fields.integer("vocab_size", 1, MAX_VOCAB)
    bos = fields.optional_integer("bos_token_id", 0, MAX_VOCAB)
    eos = _id_list(fields.values, "eos_token_id", fields.where)
    beyond = [token for token in (*eos, *(() if bos is None else (bos,))) if token >= vocab]
    if beyond:
        warnings.warn(
            f"{fields.where}: the special tokens {beyond} are outside of the vocabulary of {vocab} "
            "and are ignored",
            QbenchWarning,
            stacklevel=4,
        )
    return {
        "architecture": name,
        "model_type": fields.string("model_type", ""),
        "vocab_size": vocab,
        "tied_head": fields.boolean("tie_word_embeddings", architecture.tied),
        "stored_dtype": _stored_dtype(fields),
        "bos_token_id": None if bos in beyond else bos,
        "eos_token_ids": tuple(token for token in eos if token < vocab),
    }


def _refuse_quantized(fields: Fields) -> None:
    """Refuse weights that are codes of somebody else's."""
    quantization = fields.object("quantization_config")
    method = None if quantization is None else quantization.get("quant_method")
    if quantization is not None and method not in READABLE_QUANTIZATIONS:
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
