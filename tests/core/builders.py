"""Random tensors and decoders for the tests of the core, with their float64 counterparts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from qbench import core
from qbench.engine.weights import core_spec
from qbench.models.slots import placed, tensor_slots
from qbench.models.spec import Attention, DecoderSpec, FeedForward, Layer, Norm, Rotary
from qbench.reference import reference_logits
from qbench.reference.formats import bf16_bits, bf16_values, decode_groups, round_bf16, round_f16

INTEGER_FORMATS = tuple(f for f in core.formats() if f.kind != "float")
FLOAT_FORMATS = tuple(f for f in core.formats() if f.kind == "float")
TIERS = tuple(name for name, here in core.isa_tiers() if here)


class Packed(NamedTuple):
    tensor: core.PackedTensor
    values: np.ndarray  # float64, what the tensor stands for
    codes: np.ndarray | None = None
    scales: np.ndarray | None = None
    zeros: np.ndarray | None = None


def round_scale(scales: np.ndarray, scale_type: str) -> np.ndarray:
    rounding = {"bf16": round_bf16, "f16": round_f16, "f32": np.asarray}[scale_type]
    return np.asarray(rounding(scales.astype(np.float32)), np.float32)


def pack_float(name: str, array: np.ndarray) -> Packed:
    if name == "bf16":
        bits = bf16_bits(array.astype(np.float32))
        return Packed(core.PackedTensor.from_dense(bits, name), bf16_values(bits).astype(float))
    stored = array.astype({"f32": np.float32, "f16": np.float16}[name])
    return Packed(core.PackedTensor.from_dense(stored, name), stored.astype(float))


def pack_codes(
    rng: np.random.Generator,
    fmt: core.WeightFormat,
    shape: tuple[int, int],
    group: int,
    scale_type: str = "f32",
    spread: float = 0.5,
) -> Packed:
    """Random codes, scales (of both signs) and zero points; values of about that spread."""
    n_groups = -(-shape[1] // group)
    codes = rng.integers(0, 1 << fmt.bits, shape, dtype=np.uint8)
    scales = rng.normal(size=(shape[0], n_groups)) * spread * 2.0 / (1 << fmt.bits)
    scales = round_scale(scales, scale_type)
    zeros = None
    if fmt.kind == "asymmetric":
        zeros = rng.integers(0, 1 << fmt.bits, scales.shape, dtype=np.uint8)
    tensor = core.PackedTensor.from_codes(
        codes, scales, zeros, bits=fmt.bits, group=group, scale_type=scale_type
    )
    values = decode_groups(codes, scales, zeros, bits=fmt.bits, group=group)
    return Packed(tensor, values, codes, scales, zeros)


def pack(
    rng: np.random.Generator, fmt: core.WeightFormat, shape: tuple[int, int], group: int
) -> Packed:
    if fmt.kind == "float":
        return pack_float(fmt.name, rng.normal(size=shape) * 0.05)
    return pack_codes(rng, fmt, shape, group)


class Frequencies:
    """The rotary part of a specification.

    Frequencies have eight significant bits: times a position below 2**16 they are exact in float32,
    in which the core computes angles, so that the float64 reference turns by the same angle.
    """

    attention_factor = 1.0

    def __init__(self, theta: float) -> None:
        self.theta = theta

    def key(self, length: int) -> int:
        return 0

    def inv_freq(self, head_dim: int, key: int = 0) -> np.ndarray:
        exponents = np.arange(0, head_dim, 2) / head_dim
        return round_bf16((1.0 / self.theta**exponents).astype(np.float32))


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder like Llama."""

    n_layers: int = 2
    n_heads: int = 4
    n_kv_heads: int = 2
    head_dim: int = 8
    hidden: int = 24
    intermediate: int = 40
    vocab: int = 61
    context: int = 640
    norm_eps: float = 1e-5
    tied_head: bool = False
    rope: Any = field(default_factory=lambda: Frequencies(10000.0))

    @property
    def spec(self) -> DecoderSpec:
        return DecoderSpec(
            architecture="LlamaForCausalLM",
            model_type="llama",
            hidden_size=self.hidden,
            n_heads=self.n_heads,
            n_kv_heads=self.n_kv_heads,
            head_dim=self.head_dim,
            value_dim=self.head_dim,
            vocab_size=self.vocab,
            context_length=self.context,
            norm=Norm(eps=self.norm_eps),
            attention=Attention(self.head_dim**-0.5),
            feed_forward=FeedForward(),
            layers=(Layer(self.intermediate),) * self.n_layers,
            rotary=Rotary((self.rope,), self.head_dim),
            tied_head=self.tied_head,
        )


LINEAR = {
    "self_attn.q_proj": lambda s: (s.n_heads * s.head_dim, s.hidden),
    "self_attn.k_proj": lambda s: (s.n_kv_heads * s.head_dim, s.hidden),
    "self_attn.v_proj": lambda s: (s.n_kv_heads * s.head_dim, s.hidden),
    "self_attn.o_proj": lambda s: (s.hidden, s.n_heads * s.head_dim),
    "mlp.gate_proj": lambda s: (s.intermediate, s.hidden),
    "mlp.up_proj": lambda s: (s.intermediate, s.hidden),
    "mlp.down_proj": lambda s: (s.hidden, s.intermediate),
}


class Built(NamedTuple):
    """A decoder of the core, and the float64 weights that it stands for."""

    decoder: core.RawDecoder
    weights: dict[str, np.ndarray]
    shape: Shape

    def expected(self, ids: Any) -> np.ndarray:
        """Logits by the float64 twin."""
        spec = self.shape.spec
        return reference_logits(spec, placed(spec, self.weights), ids)

    def cache(self, kv: str = "f32", pages: int = 64) -> core.Cache:
        s = self.shape
        return core.Cache(kv, s.n_layers, s.n_kv_heads, s.head_dim, pages)


def random_weights(rng: np.random.Generator, shape: Shape) -> dict[str, np.ndarray]:
    """float32 weights; queries and keys are large, so that attention is far from uniform."""
    weights = {}
    for layer in range(shape.n_layers):
        for name, size in LINEAR.items():
            rows, columns = size(shape)
            sharp = 2.5 if name.endswith(("q_proj", "k_proj")) else 1.0
            array = rng.normal(size=(rows, columns)) * sharp / np.sqrt(columns)
            weights[f"model.layers.{layer}.{name}.weight"] = array.astype(np.float32)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights[f"model.layers.{layer}.{norm}.weight"] = rng.uniform(
                0.5, 1.5, shape.hidden
            ).astype(np.float32)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = rng.normal(size=(shape.vocab, shape.hidden)).astype(np.float32)
    weights["model.norm.weight"] = rng.uniform(0.5, 1.5, shape.hidden).astype(np.float32)
    return weights


def decoder_arguments(
    shape: Shape, weights: dict[str, np.ndarray], tensors: dict[str, core.PackedTensor]
) -> dict[str, Any]:
    """What the core's decoder is made of, but for mode and tier."""
    spec = shape.spec
    model: dict[str, Any] = {}
    layers: list[dict[str, Any]] = [{"window": 0, "rotation": 0} for _ in spec.layers]
    for slot in tensor_slots(spec):
        where = model if slot.layer < 0 else layers[slot.layer]
        where[slot.slot] = weights[slot.name] if slot.is_vector else tensors[slot.name].raw
    model.setdefault("head", model["embedding"])
    return {
        "spec": core_spec(spec),
        "weights": model,
        "layers": tuple(layers),
        "rotations": spec.rotations(),
    }


def assemble(
    weights: dict[str, np.ndarray],
    shape: Shape,
    *,
    mode: str = "exact",
    isa: str | None = None,
    quantized: Any = None,
) -> Built:
    """Build the decoder; `quantized` turns a float matrix into a `Packed` for linear layers."""
    values = {name: array.astype(np.float64) for name, array in weights.items()}
    tensors = {}
    for name, array in weights.items():
        if array.ndim == 2:
            linear = quantized is not None and name.startswith("model.layers")
            packed = quantized(array) if linear else pack_float("f32", array)
            tensors[name], values[name] = packed.tensor, packed.values
    decoder = core.RawDecoder(**decoder_arguments(shape, weights, tensors), mode=mode, isa=isa)
    return Built(decoder, values, shape)


def build(rng: np.random.Generator, shape: Shape | None = None, **options: Any) -> Built:
    shape = shape or Shape()
    return assemble(random_weights(rng, shape), shape, **options)


class Answer(NamedTuple):
    logprobs: np.ndarray
    best: np.ndarray
    bad_layer: np.ndarray
    logits: np.ndarray


def forward(
    built: Built,
    cache: core.Cache,
    runs: Sequence[tuple[int, Sequence[int]]],
    *,
    rows: Sequence[int] | None = None,
    targets: Sequence[Sequence[int]] | None = None,
    threads: int = 1,
) -> Answer:
    """Run (sequence, tokens) pairs; all rows are scored and their logits returned by default."""
    tokens = [token for _, own in runs for token in own]
    rows = range(len(tokens)) if rows is None else rows
    targets = [()] * len(rows) if targets is None else targets
    first = np.cumsum([0, *map(len, targets)])
    arrays = (
        [sequence for sequence, _ in runs],
        [len(own) for _, own in runs],
        tokens,
        list(rows),
        first,
        [t for own in targets for t in own],
    )
    found = built.decoder.forward(
        cache, *(np.array(array, np.int32) for array in arrays), True, threads
    )
    logprobs, best, bad_layer, logits = found[:4]
    assert logits is not None
    return Answer(logprobs, best, bad_layer, logits)


def logits_of(
    built: Built, ids: Sequence[int], *, kv: str = "f32", chunk: int | None = None, threads: int = 1
) -> np.ndarray:
    """Logits of one sequence in a cache of its own, fed in chunks."""
    cache = built.cache(kv)
    sequence = cache.new_sequence()
    chunk = chunk or len(ids)
    parts = [
        forward(built, cache, [(sequence, ids[i : i + chunk])], threads=threads).logits
        for i in range(0, len(ids), chunk)
    ]
    return np.concatenate(parts)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the root mean square of what was expected."""
    difference = np.abs(found.astype(np.float64) - expected)
    return float(np.max(difference) / np.sqrt(np.mean(np.square(expected, dtype=np.float64))))
