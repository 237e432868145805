"""What the files of this folder share: an architecture, and the ways to read a configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qbench.errors import CheckpointError
from qbench.models.names import Names
from qbench.models.spec import DecoderSpec, Layer
from qbench.models.strict_json import Fields

MAX_HIDDEN = 1 << 20
MAX_LAYERS = 4096
MAX_INNER = 1 << 22
MAX_CONTEXT = 1 << 24
MAX_EXPERTS = 1 << 16

Common = dict[str, Any]
"""The fields of a specification that all architectures have: ids, types, the vocabulary."""


@dataclass(frozen=True)
class Architecture:
    """How to read a configuration, and what a checkpoint calls the weights.

    ``names`` is a table, or a function where it depends on the model. ``tied``: whether the head is
    the embedding where a configuration does not say.
    ``text_config``: the key under which a model with other parts describes its decoder.
    """

    read: Callable[[Fields, Common], DecoderSpec]
    names: Names | Callable[[DecoderSpec], Names]
    tied: bool = False
    text_config: str | None = None


ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
"""What configurations call the activations that the core has."""


def first(fields: Fields, *keys: str) -> str:
    """Name the first of several keys that the configuration has, else the first."""
    return next((key for key in keys if fields.values.get(key) is not None), keys[0])


def activation(fields: Fields, default: str, *keys: str) -> str:
    """Read an activation by the name that transformers has for it."""
    key = first(fields, *keys)
    name = fields.string(key, default)
    if name not in ACTIVATIONS:
        fields.fail(key, "one of " + ", ".join(ACTIVATIONS))
    return ACTIVATIONS[name]


def require(fields: Fields, key: str, wanted: Any, default: Any, why: str) -> None:
    """Refuse a value that would silently compute something else."""
    found = fields.values.get(key)
    if (default if found is None else found) != wanted:
        raise CheckpointError(f"{fields.where}: {key}: {found!r:.40} is not supported ({why})")


@dataclass(frozen=True)
class Sizes:
    """The sizes that nearly every configuration gives."""

    hidden: int
    n_layers: int
    heads: int
    kv_heads: int
    head_dim: int

    @property
    def common(self) -> Common:
        """As fields of a specification, with values as large as keys."""
        return {
            "hidden_size": self.hidden,
            "n_heads": self.heads,
            "n_kv_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "value_dim": self.head_dim,
        }


def sizes(
    fields: Fields,
    *,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    kv_key: str = "num_key_value_heads",
) -> Sizes:
    """Read sizes and heads, which must divide.

    Parameters
    ----------
    fields
        The configuration.
    kv_heads, head_dim
        Where the configuration says nothing: as many as heads, and hidden size by heads, if None.
    kv_key
        Key of the number of KV heads.
    """
    hidden = fields.integer(
        first(fields, "hidden_size", "n_embd", "n_embed", "d_model"), 1, MAX_HIDDEN
    )
    n_layers = fields.integer(
        first(fields, "num_hidden_layers", "n_layer", "n_layers", "num_layers"), 1, MAX_LAYERS
    )
    heads_key = first(fields, "num_attention_heads", "n_head", "n_heads", "num_heads")
    heads = fields.integer(heads_key, 1, MAX_HIDDEN)
    if head_dim is None and fields.values.get("head_dim") is None and hidden % heads:
        raise CheckpointError(
            f"{fields.where}: {heads_key}: {heads} heads do not divide hidden_size {hidden}"
        )
    kv = fields.integer(kv_key, 1, heads, kv_heads or heads)
    if heads % kv:
        raise CheckpointError(
            f"{fields.where}: {kv_key}: {kv} does not divide the {heads} attention heads"
        )
    dim = fields.integer("head_dim", 1, MAX_HIDDEN, head_dim or max(1, hidden // heads))
    if dim % 2:
        raise CheckpointError(f"{fields.where}: head_dim: {dim} is odd, rotation needs pairs")
    return Sizes(hidden, n_layers, heads, kv, dim)


def context_length(fields: Fields, default: int, *keys: str) -> int:
    """Read the number of positions."""
    return fields.integer(first(fields, *keys, "max_position_embeddings"), 1, MAX_CONTEXT, default)


def rotated(fields: Fields, head_dim: int, factor: float) -> int:
    """Values of a head that a share of it makes, an even number."""
    dim = int(head_dim * factor)
    if dim < 2 or dim % 2:
        raise CheckpointError(
            f"{fields.where}: {factor:g} of a head of {head_dim} is {dim}, rotation needs pairs"
        )
    return dim


def sliding_window(fields: Fields, default: int | None, key: str = "sliding_window") -> int:
    """Read a window: null switches it off, absence means the default; 0 for none."""
    if key not in fields.values:
        return default or 0
    return fields.optional_integer(key, 0, 1 << 30) or 0


def layer_kinds(fields: Fields, n_layers: int) -> tuple[bool, ...] | None:
    """Read which layers have a window from ``layer_types``; None if the key is not there."""
    kinds = fields.values.get("layer_types")
    if kinds is None:
        return None
    known = ("full_attention", "sliding_attention")
    if not isinstance(kinds, list) or len(kinds) != n_layers or any(k not in known for k in kinds):
        raise CheckpointError(
            f"{fields.where}: layer_types: expected a list of {n_layers} out of {', '.join(known)}"
        )
    return tuple(kind == "sliding_attention" for kind in kinds)


def uniform(
    n_layers: int,
    intermediate: int,
    windows: int | Sequence[int] = 0,
    rotations: int | Sequence[int] = 0,
) -> tuple[Layer, ...]:
    """Layers that differ in windows and rotations at most."""
    window = [windows] * n_layers if isinstance(windows, int) else list(windows)
    rotation = [rotations] * n_layers if isinstance(rotations, int) else list(rotations)
    return tuple(Layer(intermediate, window[i], rotation[i]) for i in range(n_layers))


def alibi_slopes(n_heads: int) -> tuple[float, ...]:
    """Slopes of ALiBi for any number of heads (Press 2022): geometric, and odd ones in between."""
    closest = 1 << (n_heads.bit_length() - 1)
    base = 2.0 ** (-8.0 / closest)
    slopes = [base**i for i in range(1, closest + 1)]
    between = 2.0 ** (-4.0 / closest)
    slopes += [between**i for i in range(1, 2 * (n_heads - closest) + 1, 2)]
    return tuple(slopes)
