"""The weights of a decoder, one by one: their places, shapes and names.

Everything follows from the specification: which slots an architecture has, in the order of the
forward pass, and where a checkpoint holds each: a tensor of its own, rows of one that several
slots share, or a plane of a stack. This file must not know files.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qbench.models.architectures.known import names_of
from qbench.models.names import Fused, Names, Variant, variants
from qbench.models.spec import DecoderSpec, Layer

LINEAR_SLOTS = (
    *("q", "k", "v", "kv_a", "kv_b", "o", "gate", "up", "down"),
    *("expert_gate", "expert_up", "expert_down"),
)
"""The slots that a recipe quantizes."""

BIAS = "_bias"


@dataclass(frozen=True)
class Source:
    """Where a checkpoint holds a weight.

    ``rows``: the first, the one behind the last and the pattern ``(period, begin, end)`` within
    them of a tensor that several slots share; None for all of it. ``plane``: of a stack. With
    ``transposed`` the tensor is (in, out), and rows are its columns.
    """

    name: str
    shape: tuple[int, ...]
    rows: tuple[int, int, int] | None = None
    plane: int | None = None
    transposed: bool = False


@dataclass(frozen=True)
class TensorSlot:
    """One weight of a decoder: its place, its name, its shape, and where it is stored.

    ``layer`` is -1 for what belongs to no layer, ``expert`` for what belongs to no expert. The name
    is that of the tensor in a checkpoint, or of the shared tensor with the slot in front of its
    last part.
    """

    slot: str
    layer: int
    expert: int
    name: str
    shape: tuple[int, ...]
    source: Source

    @property
    def key(self) -> tuple[str, int, int]:
        """Slot, layer and expert."""
        return self.slot, self.layer, self.expert

    @property
    def is_vector(self) -> bool:
        """Whether it is a bias or the weight of a norm: never quantized, never converted."""
        return len(self.shape) == 1

    @property
    def is_norm(self) -> bool:
        """Whether it is the weight of a norm."""
        return self.slot.endswith("norm")

    @property
    def is_whole(self) -> bool:
        """Whether it is a tensor of its own in the checkpoint, as it is there."""
        return self.source.name == self.name and not self.source.transposed

    @property
    def size(self) -> int:
        """Number of its values."""
        return math.prod(self.shape)


@lru_cache(maxsize=32)
def tensor_slots(spec: DecoderSpec) -> tuple[TensorSlot, ...]:
    """Name every weight of a decoder, in the order of the forward pass.

    Returns
    -------
    tuple of TensorSlot
        A tied head has no entry of its own: it is the embedding.
    """
    names = names_of(spec)
    variant = spec.variant or variants(names)[0]
    root, hidden = variant.root, spec.hidden_size
    found: list[TensorSlot] = []

    def add(slot: str, module: str, shape: tuple[int, ...]) -> None:
        tail = ".bias" if slot.endswith(BIAS) else ".weight"
        name = f"{module}{tail}"
        found.append(TensorSlot(slot, -1, -1, name, shape, Source(name, shape)))

    def add_norm(slot: str, module: str) -> None:
        add(slot, f"{root}{module}", (hidden,))
        if spec.norm.bias:
            add(f"{slot}{BIAS}", f"{root}{module}", (hidden,))

    add("embedding", f"{root}{names.embedding}", (spec.vocab_size, hidden))
    if spec.learned_positions:
        add("positions", f"{root}{names.positions}", (spec.learned_positions, hidden))
    if spec.embedding_norm:
        add_norm("embedding_norm", names.embedding_norm)
    for number, layer in enumerate(spec.layers):
        found += _layer_slots(spec, names, variant, number, layer)
    add_norm("final_norm", names.final_norm)
    if not spec.tied_head:
        add("head", variant.head, (spec.vocab_size, hidden))
    if spec.head_bias:
        add("head_bias", variant.head, (spec.vocab_size,))
    return tuple(found)


def _layer_slots(
    spec: DecoderSpec, names: Names, variant: Variant, number: int, layer: Layer
) -> Iterator[TensorSlot]:
    """Weights of one layer."""
    prefix = f"{variant.root}{names.layer.format(layer=number)}"
    shapes = dict(_shapes(spec, layer))
    shared = {slot: fused for fused in names.fused for slot in fused.slots}
    modules = dict(names.slots)
    if layer.experts:
        modules |= names.shared
        if variant.stacked:
            modules |= names.stacked_slots
    for slot, shape in shapes.items():
        matrix = slot.removesuffix(BIAS)
        tail = ".bias" if slot.endswith(BIAS) else ".weight"
        transposed = names.transposed and len(shape) == 2
        if matrix in shared:
            module = f"{prefix}{shared[matrix].module}"
            source = _part(spec, shared[matrix], f"{module}{tail}", shapes, slot, transposed)
            yield TensorSlot(slot, number, -1, f"{module}.{matrix}{tail}", shape, source)
            continue
        module = modules[matrix]
        if spec.attention.own_norms and slot in ("q_norm", "k_norm"):
            yield from _own_norms(spec, f"{prefix}{module}", number, slot)
            continue
        name = f"{prefix}{module}{tail}"
        stored = shape[::-1] if transposed else shape
        source = Source(name, stored, transposed=transposed)
        yield TensorSlot(slot, number, -1, name, shape, source)
    if layer.experts:
        yield from _expert_slots(spec, names, variant, prefix, number)


def _own_norms(spec: DecoderSpec, module: str, number: int, slot: str) -> Iterator[TensorSlot]:
    """Weights of the norm of each head, one after another."""
    for head in range(spec.n_heads if slot == "q_norm" else spec.n_kv_heads):
        name = f"{module}.norms.{head}.weight"
        shape = (spec.head_dim,)
        yield TensorSlot(slot, number, head, name, shape, Source(name, shape))


def _shapes(spec: DecoderSpec, layer: Layer) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Slots of a layer and their shapes, in the order of the forward pass."""
    hidden, attention, norm = spec.hidden_size, spec.attention, spec.norm
    queries, keys = spec.n_heads * spec.head_dim, spec.n_kv_heads * spec.head_dim
    values, mixed = spec.n_kv_heads * spec.value_dim, spec.n_heads * spec.value_dim

    def normed(slot: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield slot, (hidden,)
        if norm.bias:
            yield f"{slot}{BIAS}", (hidden,)

    def linear(
        slot: str, n_out: int, n_in: int, bias: bool
    ) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield slot, (n_out, n_in)
        if bias:
            yield f"{slot}{BIAS}", (n_out,)

    if norm.before:
        yield from normed("attn_norm")
    yield from linear("q", queries, hidden, attention.bias)
    if spec.latent:
        rotated = 0 if spec.rotary is None else spec.rotary.dim
        plain = spec.head_dim - rotated
        yield from linear("kv_a", spec.latent + rotated, hidden, attention.bias)
        yield "kv_norm", (spec.latent,)
        yield from linear("kv_b", spec.n_heads * (plain + spec.value_dim), spec.latent, False)
    else:
        yield from linear("k", keys, hidden, attention.bias)
        yield from linear("v", values, hidden, attention.bias)
    if attention.norm:
        whole = attention.norm == "all"
        yield "q_norm", (queries if whole else spec.head_dim,)
        yield "k_norm", (keys if whole else spec.head_dim,)
    yield from linear("o", hidden, mixed, attention.out_bias)
    if norm.after:
        yield "attn_post_norm", (hidden,)
    if norm.before and not norm.shared:
        yield from normed("mlp_norm")
    if layer.experts and spec.experts is not None:
        yield "router", (spec.experts.count, hidden)
    if layer.intermediate:
        bias, inner = spec.feed_forward.bias, layer.intermediate
        if spec.feed_forward.gated:
            yield from linear("gate", inner, hidden, bias)
        yield from linear("up", inner, hidden, bias)
        yield from linear("down", hidden, inner, bias)
    if layer.experts and spec.experts is not None and spec.experts.shared_gate:
        yield "shared_gate", (1, hidden)
    if norm.after:
        yield "mlp_post_norm", (hidden,)


def _part(
    spec: DecoderSpec,
    fused: Fused,
    name: str,
    shapes: dict[str, tuple[int, ...]],
    slot: str,
    transposed: bool,
) -> Source:
    """Rows of a shared tensor that belong to a slot."""
    matrix, bias = slot.removesuffix(BIAS), slot.endswith(BIAS)
    sizes = [shapes[other][0] for other in fused.slots]
    total = sum(sizes)
    place = fused.slots.index(matrix)
    periods = spec.n_kv_heads if fused.layout == "groups" else 1
    begin = sum(sizes[:place]) // periods
    end = begin + sizes[place] // periods
    shape = (total,) if bias else (total, shapes[matrix][1])
    stored = shape[::-1] if transposed else shape
    return Source(name, stored, (total // periods, begin, end), transposed=transposed)


def _expert_slots(
    spec: DecoderSpec, names: Names, variant: Variant, prefix: str, number: int
) -> Iterator[TensorSlot]:
    """Weights of a layer's mixture, expert by expert."""
    experts = spec.experts
    assert experts is not None
    inner, hidden = experts.size, spec.hidden_size
    for expert in range(experts.count):
        for part in ("gate", "up", "down"):
            shape = (hidden, inner) if part == "down" else (inner, hidden)
            name = f"{prefix}{names.experts[part].format(expert=expert)}.weight"
            source = Source(name, shape)
            if variant.stacked:
                source = _stacked(names, prefix, part, experts.count, shape, expert)
            yield TensorSlot(f"expert_{part}", number, expert, name, shape, source)


def _stacked(
    names: Names, prefix: str, part: str, count: int, shape: tuple[int, ...], expert: int
) -> Source:
    """Plane of a stack of experts: of gate and up together, or of down."""
    if part == "down":
        return Source(f"{prefix}{names.stacked[1]}", (count, *shape), plane=expert)
    n_out, n_in = shape
    begin = 0 if part == "gate" else n_out
    whole = (count, 2 * n_out, n_in)
    return Source(f"{prefix}{names.stacked[0]}", whole, (2 * n_out, begin, begin + n_out), expert)


def placed(
    spec: DecoderSpec, values: Mapping[str, np.ndarray]
) -> dict[tuple[str, int, int], np.ndarray]:
    """Arrays by place (`TensorSlot.key`) instead of by the names of slots."""
    return {slot.key: values[slot.name] for slot in tensor_slots(spec)}


def fitting_variant(spec: DecoderSpec, has: Callable[[str], bool]) -> DecoderSpec:
    """Return the specification with the spelling that a checkpoint follows.

    Parameters
    ----------
    spec
        A specification.
    has
        Whether the checkpoint holds a tensor of a name. A quantized matrix is there as its codes.
    """
    for variant in variants(names_of(spec)):
        spelled = dataclasses.replace(spec, variant=variant)
        samples = {slot.slot: slot for slot in reversed(tensor_slots(spelled))}
        wanted = [
            samples[slot] for slot in ("embedding", "o", "expert_up", "head") if slot in samples
        ]
        if all(has(s.source.name) or has(s.name) or has(f"{s.name}.codes") for s in wanted):
            return spelled
    return spec
