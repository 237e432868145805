"""What a checkpoint calls the weights: naming tables, and how fused matrices are cut.

A table maps slots (``q``, ``mlp_norm``, …) to modules. Where several slots share a matrix, a
`Fused` says how its rows are dealt out. Checkpoints of one architecture are spelled in several
ways (with or without the prefix of the model, experts one by one or stacked); a `Variant` is one of
them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fused:
    """A matrix whose rows belong to several slots.

    ``layout``: ``"blocks"``, one slot after another; or ``"groups"``, for each KV head its queries,
    its key and its value. A bias is cut like its matrix.
    """

    module: str
    slots: tuple[str, ...]
    layout: str = "blocks"


@dataclass(frozen=True)
class Names:
    """The naming table of an architecture.

    Parameters
    ----------
    root
        Prefix of the model's modules, and in ``other_roots`` its other spellings.
    embedding, final_norm, positions, embedding_norm
        Modules below the root.
    layer
        Prefix of a layer below the root, with ``{layer}``.
    slots
        Modules below a layer, by slot.
    fused
        Matrices that several slots share.
    experts
        Modules of an expert's ``gate``, ``up`` and ``down`` below a layer, with ``{expert}``.
    shared
        Modules of ``gate``, ``up`` and ``down`` in a layer with a mixture, where all tokens go
        through one layer as well.
    stacked, stacked_slots
        The same as transformers 5 holds them in memory: one tensor of gate and up of all experts,
        one of down (names below a layer without ``.weight``), and slots that are then called
        otherwise.
    head, other_heads
        Module of the head, outside the root, and its other spellings.
    transposed
        Whether matrices of the layers are stored as (in, out).
    """

    slots: Mapping[str, str]
    root: str = "model."
    other_roots: tuple[str, ...] = ("",)
    embedding: str = "embed_tokens"
    layer: str = "layers.{layer}."
    final_norm: str = "norm"
    head: str = "lm_head"
    other_heads: tuple[str, ...] = ()
    positions: str = ""
    embedding_norm: str = ""
    fused: tuple[Fused, ...] = ()
    experts: Mapping[str, str] = field(default_factory=dict)
    shared: Mapping[str, str] = field(default_factory=dict)
    stacked_slots: Mapping[str, str] = field(default_factory=dict)
    stacked: tuple[str, str] = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")
    transposed: bool = False


@dataclass(frozen=True)
class Variant:
    """One spelling of a naming table."""

    root: str
    head: str
    stacked: bool = False


def variants(names: Names) -> tuple[Variant, ...]:
    """Every spelling, the usual one first."""
    roots, heads = (names.root, *names.other_roots), (names.head, *names.other_heads)
    stackings = (False, True) if names.experts else (False,)
    return tuple(Variant(*each) for each in itertools.product(roots, heads, stackings))
