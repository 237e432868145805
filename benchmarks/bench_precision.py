"""Errors of ``faithful`` and ``fast`` against ``exact`` on the activations of trained models.

    python -m benchmarks.bench_precision [--models mini-small,DIR] [--recipes bf16,rtn-w4g32]

The float64 reference gives the inputs of every matrix product of a model (q, k, v, o, gate, up and
down of each layer, and the head) on a few hundred tokens of what it was trained on, and the core
multiplies the same inputs in each mode. The error of a product is ``|y - y_exact| / |y_exact|``,
Euclidean norms over all tokens and outputs; that of ``exact`` is against float64. All recipes get
the inputs of the unquantized model. The reference needs a model's weights in float64: small models.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qbench import core
from qbench.mini.family import embedded_models
from qbench.mini.world import corpus
from qbench.models import (
    Checkpoint,
    DecoderSpec,
    MemoryCheckpoint,
    Tokenizer,
    Weight,
    decoder_spec,
    read_config,
    tensor_slots,
)
from qbench.models.reading import read_slot
from qbench.quant.model import HEAD
from qbench.quant.quantize import quantize_checkpoint
from qbench.quant.tensor import QuantizedTensor
from qbench.reference import reference_logits
from qbench.reference.formats import decode_float, decode_groups

SHARED = Path(os.environ.get("QBENCH_SHARED", Path(__file__).resolve().parents[2] / "shared"))
SHARED_MODELS = ("stories260K", "babyllama-tok105")
RECIPES = ("bf16", "rtn-w8", "rtn-w4g32", "rtn-w4g128-sym", "rtn-w3", "rtn-w2")
EMBEDDING = "model.embed_tokens.weight"
TOKENS = 128
"""Tokens of each corpus of the embedded world."""

Source = Checkpoint | MemoryCheckpoint


@dataclass(frozen=True)
class Errors:
    """Relative errors of one model under one recipe in one mode, by product."""

    of: Mapping[str, float]

    @property
    def median(self) -> float:
        """Median over the products."""
        return float(np.median(list(self.of.values())))

    @property
    def worst(self) -> str:
        """The product with the largest error."""
        return max(self.of, key=self.of.__getitem__)


def world_texts(tokenizer: Tokenizer) -> list[list[int]]:
    """Return the beginnings of the embedded world's corpora."""
    texts = [corpus.perplexity_text(register) for register in corpus.PERPLEXITY]
    return [list(tokenizer.encode(text[: 16 * TOKENS]))[:TOKENS] for text in texts]


def expected_texts(path: Path) -> list[list[int]]:
    """Return the ids of an ``expected.json``: texts, and prompts with what the model answers."""
    found = json.loads(path.read_text())
    texts = [ids for case in found["perplexity"] for ids in case["ids"]]
    return texts + [case["prompt_ids"] + case["new_ids"] for case in found["greedy"]]


def texts_of(folder: Path, spec: DecoderSpec) -> list[list[int]]:
    """Return what a model reads: the texts of its ``expected.json``, else those of the world."""
    for path in (folder / "expected.json", folder.parent / "expected.json"):
        if path.exists():
            return expected_texts(path)
    return world_texts(Tokenizer.from_folder(folder, spec))


def product_inputs(
    spec: DecoderSpec, checkpoint: Source, texts: Iterable[Sequence[int]]
) -> dict[str, np.ndarray]:
    """Return the inputs of every matrix product, each text by itself.

    Parameters
    ----------
    spec : DecoderSpec
    checkpoint : Checkpoint or MemoryCheckpoint
        Float weights.
    texts : iterable of sequences of int

    Returns
    -------
    dict of str to ndarray of float32, shape (tokens, inputs)
        By the name of the matrix; a tied head has the name of the embedding.
    """
    seen: dict[str, list[np.ndarray]] = {}

    slots = tensor_slots(spec)
    name_of = {slot.key: slot.name for slot in slots}

    def watch(place: tuple[str, int, int], x: np.ndarray) -> None:
        seen.setdefault(name_of[place], []).append(x.astype(np.float32))

    weights = {slot.key: decode_float(*read_slot(checkpoint, slot)) for slot in slots}
    for ids in texts:
        reference_logits(spec, weights, ids, watch)
    return {name: np.concatenate(parts) for name, parts in seen.items()}


def product_errors(
    spec: DecoderSpec, checkpoint: Source, inputs: Mapping[str, np.ndarray], recipe: str
) -> dict[str, Errors]:
    """Return the errors of each mode under a recipe."""
    tensors = dict(quantize_checkpoint(checkpoint, spec, recipe).tensors)
    if spec.tied_head and HEAD in tensors:
        tensors[EMBEDDING] = tensors[HEAD]
    found: dict[str, dict[str, float]] = {mode: {} for mode in core.MODES}
    for name, x in inputs.items():
        tensor = tensors[name]
        assert isinstance(tensor, (QuantizedTensor, Weight))
        packed, values = _both(tensor)
        y = {mode: core.matmul(x, packed, mode=mode) for mode in core.MODES}
        found["exact"][name] = relative(y["exact"], x @ values.T)
        for mode in ("faithful", "fast"):
            found[mode][name] = relative(y[mode], y["exact"])
    return {mode: Errors(of) for mode, of in found.items()}


def _both(tensor: QuantizedTensor | Weight) -> tuple[core.PackedTensor, np.ndarray]:
    """Pack a matrix, and decode it in float64."""
    if isinstance(tensor, Weight):
        return core.PackedTensor.from_dense(tensor.array, tensor.dtype), decode_float(*tensor)
    t = tensor
    return t.pack(), decode_groups(t.codes, t.scales, t.zeros, bits=t.bits, group=t.group)


def relative(y: np.ndarray, expected: np.ndarray) -> float:
    """Return the norm of the difference over the norm of what was expected."""
    wide = expected.astype(np.float64)
    return float(np.linalg.norm(y - wide) / np.linalg.norm(wide))


def folders(shared: Path = SHARED) -> dict[str, Path]:
    """Return the checkpoints of the embedded family and of the shared material, those at hand."""
    others = {name: shared / "models" / name / "hf" for name in SHARED_MODELS}
    return embedded_models() | {name: path for name, path in others.items() if path.is_dir()}


def cell(mode: str, errors: Errors) -> str:
    """Return the part of a line that is about one mode."""
    worst = errors.worst
    where = worst.removeprefix("model.").removesuffix(".weight")
    return f"{mode} {errors.median:.1e} {errors.of[worst]:.1e} {where:25}"


def main() -> None:
    """Print one line per model and recipe."""
    known = folders()
    parser = argparse.ArgumentParser(description="Errors of the modes on real activations.")
    parser.add_argument("--models", default=",".join(known), help="names or folders")
    parser.add_argument("--recipes", default=",".join(RECIPES))
    options = parser.parse_args()
    print(f"tier {core.isa_tier()}; over the products of a model: median, worst, and where")
    for name in options.models.split(","):
        folder = known.get(name) or Path(name)
        spec = decoder_spec(read_config(folder), str(folder))
        with Checkpoint.open(folder) as checkpoint:
            inputs = product_inputs(spec, checkpoint, texts_of(folder, spec))
            n_tokens = len(next(iter(inputs.values())))
            print(f"\n{name}: {n_tokens} tokens, {len(inputs)} products")
            for recipe in options.recipes.split(","):
                errors = product_errors(spec, checkpoint, inputs, recipe)
                print(f"  {recipe:15}", *map(cell, errors, errors.values()))


if __name__ == "__main__":
    main()
