"""``qbench.load``: from a checkpoint and a recipe to a model that runs.

The one place where readers, recipes, quantizers and the engine meet. What a recipe does to weights
stands in the methods, what the engine does with them in the core.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qbench.core import PackedTensor
from qbench.engine.described import Provenance
from qbench.engine.memory import GIB
from qbench.engine.model import Model
from qbench.engine.runtime import Runtime
from qbench.engine.weights import DecoderWeights, LayerWeights
from qbench.errors import QbenchWarning, RecipeError, RequestError
from qbench.models import (
    Checkpoint,
    DecoderSpec,
    MemoryCheckpoint,
    TensorSlot,
    Tokenizer,
    Weight,
    decoder_spec,
    read_config,
    resolve,
    tensor_slots,
)
from qbench.models.chat.template import load_template
from qbench.models.checks import check_model
from qbench.models.hub import commit_of
from qbench.models.vocabulary.files import is_without_tokenizer
from qbench.quant.floats import as_float32
from qbench.quant.footprint import weight_bytes
from qbench.quant.loading import is_quantized, load_quantized
from qbench.quant.model import HEAD, QuantizedModel
from qbench.quant.packed import PackedMatrix
from qbench.quant.quantize import Progress, quantize_checkpoint
from qbench.quant.recipe import Recipe, require_available
from qbench.quant.saving import save_quantized
from qbench.quant.tensor import QuantizedTensor

KV_OF_BITS = {32: "f32", 16: "bf16"}
KV_OF_MODE = {"exact": "f32", "faithful": "bf16", "fast": "bf16"}


def load(
    path: Path | str | None = None,
    recipe: str | Recipe | None = None,
    *,
    revision: str | None = None,
    state_dict: Mapping[str, np.ndarray] | None = None,
    config: Mapping[str, Any] | None = None,
    tokenizer: Tokenizer | None = None,
    mode: str = "faithful",
    threads: int | None = None,
    chat_template: str | None = None,
    isa: str | None = None,
    memory: float | None = None,
    on_progress: Progress | None = None,
) -> Model:
    """Load a model, quantize it, and make it ready to run.

    Parameters
    ----------
    path : path or str, optional
        A model folder, or a hub id (``owner/name``, ``owner/name@revision``); a local path wins.
    recipe : str or Recipe, optional
        None: as it is if it was quantized by qbench, else the stored type.
    revision : str, optional
        Branch, tag or commit of a hub id; the same as ``@revision`` behind it.
    state_dict : mapping of str to ndarray, optional
        Weights from memory instead of ``path``, named as in a checkpoint; needs ``config``.
    config : mapping, optional
        Contents of ``config.json`` for ``state_dict``.
    tokenizer : Tokenizer, optional
        For ``state_dict``; without one the model takes and gives ids only.
    mode : {"faithful", "fast", "exact"}
        faithful: activations in 16 bits; fast: in 8 bits per 128 inputs, bf16 against bf16 weights;
        exact: float32, the reference.
    threads : int, optional
        Default: CPUs of the affinity mask, bounded by the cgroup quota.
    chat_template : str, optional
        A built-in name (``chatml``) or a file, in place of the model's own template.
    isa : str, optional
        A tier of kernels by name; default the best, or what ``QBENCH_ISA`` names.
    memory : float, optional
        GiB that weights, activations and cache may take; a request that finds no room is refused.
        Default: the cache may grow to 2 GiB, or to three contexts of the model.
    on_progress : callable, optional
        Called with the weights quantized so far and those there are.

    Returns
    -------
    Model

    Raises
    ------
    RequestError
        A wrong combination of arguments, a path that is not there, or too little memory.
    RecipeError
        A recipe that does not parse, is not there yet, or does not fit the checkpoint.
    CheckpointError, NonFiniteError
        A model folder that cannot be read as what it claims to be.
    """
    wanted = Recipe.parse(recipe) if isinstance(recipe, str) else recipe
    if wanted is not None:
        require_available(wanted, mode)
    budget = None if memory is None else int(memory * GIB)
    if (path is None) == (state_dict is None):
        raise RequestError("load takes either a path or a state_dict")
    if path is None and revision is not None:
        raise RequestError("revision= belongs to a hub id, not to a state_dict")
    folder: Path | None = None
    if path is not None:
        if config is not None or tokenizer is not None:
            raise RequestError("config= and tokenizer= go with state_dict=; a path has its own")
        folder = resolve(str(path), revision)
        spec = decoder_spec(read_config(folder), str(folder / "config.json"))
        tokenizer = _with_template(_own_tokenizer(folder, spec), chat_template)
        check_model(spec, tokenizer, folder)
        _check_budget(spec, wanted, budget)
        model, sha256 = _read(folder, spec, wanted, on_progress)
    else:
        tokenizer = _with_template(tokenizer, chat_template)
        model, sha256 = _take(state_dict or {}, config, wanted, on_progress)
    require_available(model.recipe, mode)
    kv_format = kv_format_of(model.recipe, mode)
    runtime = Runtime(
        model.spec,
        pack(model),
        mode=mode,
        kv_format=kv_format,
        threads=threads,
        isa=isa,
        memory=budget,
    )
    provenance = Provenance(
        name="memory" if path is None else str(path),
        recipe=model.recipe.canonical,
        mode=mode,
        kv_format=kv_format,
        weights_sha256=sha256,
        bits_per_weight=model.bits_per_weight,
        model_bits=model.model_bits,
        revision=commit_of(folder),
    )

    def save(target: Path, force: bool) -> Path:
        return save_quantized(model, target, folder, force=force)

    return Model(model.spec, tokenizer, runtime, provenance, save)


def kv_format_of(recipe: Recipe, mode: str) -> str:
    """Return the format of the cache: the recipe's, else the mode's."""
    return KV_OF_MODE[mode] if recipe.kv_bits is None else KV_OF_BITS[recipe.kv_bits]


def _check_budget(spec: DecoderSpec, recipe: Recipe | None, budget: int | None) -> None:
    """Refuse a budget that the weights alone exceed before they are read."""
    if budget is None or recipe is None or recipe.method == "as-is":
        return
    needed = weight_bytes(spec, recipe)
    if needed > budget:
        raise RequestError(
            f"a memory of {budget / GIB:.3f} GiB is too little: the weights take "
            f"{needed / GIB:.3f} GiB as {recipe.canonical}"
        )


def _own_tokenizer(folder: Path, spec: DecoderSpec) -> Tokenizer | None:
    """Read the tokenizer of a folder; a model that was saved alone has none, and takes ids only."""
    if not is_without_tokenizer(folder):
        return Tokenizer.from_folder(folder, spec)
    warnings.warn(
        f"{folder}: there is no tokenizer beside the weights, the model takes and gives ids only",
        QbenchWarning,
        stacklevel=3,
    )
    return None


def _with_template(tokenizer: Tokenizer | None, template: str | None) -> Tokenizer | None:
    """Put a chat template in force, if there is one."""
    if template is None:
        return tokenizer
    if tokenizer is None:
        raise RequestError("chat_template= needs a tokenizer; give one as tokenizer=")
    return tokenizer.with_template(load_template(template))


def _take(
    state_dict: Mapping[str, np.ndarray],
    config: Mapping[str, Any] | None,
    recipe: Recipe | None,
    on_progress: Progress | None,
) -> tuple[QuantizedModel, str]:
    """Quantize weights from memory; with their hash."""
    if config is None:
        raise RequestError("load(state_dict=…) needs config=, the contents of config.json")
    checkpoint = MemoryCheckpoint(state_dict)
    spec = decoder_spec(config, "config")
    sha256 = checkpoint.sha256()
    return quantize_checkpoint(checkpoint, spec, recipe, on_progress, packed=True), sha256


def _read(
    folder: Path, spec: DecoderSpec, recipe: Recipe | None, on_progress: Progress | None
) -> tuple[QuantizedModel, str]:
    """Quantize a checkpoint, or read one that already is; with the hash of its weights."""
    with Checkpoint.open(folder) as checkpoint:
        sha256 = checkpoint.sha256()
        if not is_quantized(read_config(folder)):
            model = quantize_checkpoint(checkpoint, spec, recipe, on_progress, packed=True)
            checkpoint.check_unchanged()
            return model, sha256
    model = load_quantized(folder, packed=True)
    if recipe is not None and recipe.method != "as-is" and recipe != model.recipe:
        raise RecipeError(
            f"{folder} is already quantized as {model.recipe.canonical}; leave the recipe out, or "
            "quantize the original checkpoint"
        )
    return model, sha256


def pack(model: QuantizedModel) -> DecoderWeights:
    """Lay a model's tensors out for the core, each in its place.

    The embedding is a panel matrix as well: a tied head is then the same object, not a copy.
    """
    spec = model.spec
    weights = DecoderWeights({}, [LayerWeights() for _ in spec.layers])
    experts: dict[tuple[str, int, int], PackedTensor] = {}
    for slot in tensor_slots(spec):
        tensor = model.tensors[slot.name]
        if slot.slot.startswith("expert_"):
            experts[slot.key] = _pack_tensor(tensor)
            continue
        parts = weights.parts if slot.layer < 0 else weights.layers[slot.layer].parts
        if slot.is_vector:
            vector = _vector(tensor, slot, spec)
            before = parts.get(slot.slot)  # heads with norms of their own come one by one
            if isinstance(before, np.ndarray):
                vector = np.concatenate((before, vector))
            parts[slot.slot] = vector
        else:
            parts[slot.slot] = _pack_tensor(tensor)
    for number, (layer, own) in enumerate(zip(spec.layers, weights.layers, strict=True)):
        if layer.experts and spec.experts is not None:
            own.experts = [
                (
                    experts["expert_gate", number, e],
                    experts["expert_up", number, e],
                    experts["expert_down", number, e],
                )
                for e in range(spec.experts.count)
            ]
        if spec.norm.before and spec.norm.shared:
            own.parts |= {
                slot.replace("attn", "mlp"): part
                for slot, part in own.parts.items()
                if slot in ("attn_norm", "attn_norm_bias")
            }
    copy = model.tensors.get(HEAD)
    if spec.tied_head:
        weights.parts["head"] = weights.embedding if copy is None else _pack_tensor(copy)
    return weights


def _vector(
    tensor: QuantizedTensor | PackedMatrix | Weight, slot: TensorSlot, spec: DecoderSpec
) -> NDArray[np.float32]:
    """A bias, or the weight of a norm, as it is used; the norm of any head is repeated for all."""
    assert isinstance(tensor, Weight)
    vector = np.ascontiguousarray(as_float32(tensor.array, tensor.dtype))
    if slot.is_norm and spec.norm.one_added:
        vector = vector + np.float32(1.0)
    if slot.slot in ("q_norm", "k_norm") and spec.attention.norm == "head" and slot.expert < 0:
        vector = np.tile(vector, spec.n_heads if slot.slot == "q_norm" else spec.n_kv_heads)
    return vector


def _pack_tensor(tensor: QuantizedTensor | PackedMatrix | Weight) -> PackedTensor:
    if isinstance(tensor, PackedMatrix):
        return tensor.panels
    if isinstance(tensor, QuantizedTensor):
        return tensor.pack()
    return PackedTensor.from_dense(tensor.array, tensor.dtype)
