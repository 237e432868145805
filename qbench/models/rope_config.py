"""Reading the rotary embedding of a configuration, in every spelling that is in use.

``rope_theta`` and ``rope_scaling`` (with ``type`` or ``rope_type``), the single ``rope_parameters``
of transformers 5, and the latter once for each kind of layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from qbench.errors import CheckpointError
from qbench.models.rope import DEFAULT_THETA, RopeSpec
from qbench.models.strict_json import Fields

KINDS = ("default", "linear", "dynamic", "yarn", "longrope", "llama3")
_OLD_NAMES = {"su": "longrope"}
MAX_FACTORS = 1024


def rope_fields(fields: Fields, layer_type: str | None = None) -> Fields:
    """Find the object that describes the rotation, an empty one if there is none.

    Parameters
    ----------
    fields
        The configuration.
    layer_type
        Where each kind of layer has an object of its own: which one is wanted.
    """
    key = "rope_scaling" if fields.values.get("rope_scaling") else "rope_parameters"
    where = f"{fields.where}: {key}"
    found = fields.object(key) or {}
    if layer_type is not None and isinstance(found.get(layer_type), dict):
        return Fields(found[layer_type], f"{where}: {layer_type}")
    return Fields(found, where)


def partial_factor(
    fields: Fields, default: float = 1.0, key: str = "partial_rotary_factor"
) -> float:
    """Read which share of a head is rotated, 0 to 1."""
    outer = fields.number(key, 0.0, 1.0 + 1e-9, default)
    return rope_fields(fields).number("partial_rotary_factor", 0.0, 1.0 + 1e-9, outer)


def read_rope(
    fields: Fields,
    context: int,
    dim: int,
    *,
    theta: float = DEFAULT_THETA,
    layer_type: str | None = None,
) -> RopeSpec:
    """Read a rotary embedding.

    Parameters
    ----------
    fields
        The configuration.
    context
        ``max_position_embeddings``.
    dim
        Values of a head that are rotated.
    theta
        The base where the configuration names none.
    layer_type
        See `rope_fields`.

    Raises
    ------
    CheckpointError
        For a kind that is not known (named, with those that are), or a bad value.
    """
    own = rope_fields(fields, layer_type)
    theta = own.number(
        "rope_theta", 0.0, math.inf, fields.number("rope_theta", 0.0, math.inf, theta)
    )
    kind = own.string("rope_type", own.string("type", "default"))
    kind = _OLD_NAMES.get(kind, kind)
    if kind not in KINDS:
        raise CheckpointError(
            f"{own.where}: the rotary embedding {kind!r:.60} is not supported; known: "
            + ", ".join(KINDS)
        )
    if kind == "default":
        return RopeSpec(theta)
    original = own.integer("original_max_position_embeddings", 1, 1 << 30, context)
    original = fields.integer("original_max_position_embeddings", 1, 1 << 30, original)
    if kind == "longrope":
        return _longrope(own, theta, context, original, dim)
    if kind == "yarn":
        return _yarn(own, theta, context, original)
    factor = own.number("factor", 0.0, 1e6)
    if kind == "llama3":
        low = own.number("low_freq_factor", 0.0, 1e6)
        high = own.number("high_freq_factor", 0.0, 1e6)
        if high <= low:
            own.fail("high_freq_factor", f"a number above low_freq_factor ({low:g})")
        return RopeSpec(theta, kind, factor, low, high, original)
    return RopeSpec(theta, kind, factor, original_context=context if kind == "dynamic" else 0)


def _yarn(own: Fields, theta: float, context: int, original: int) -> RopeSpec:
    """Read YaRN; its attention factor as transformers infers it."""
    if theta <= 1.0:
        own.fail("rope_theta", "a number above 1")
    factor = own.number("factor", 0.0, 1e6, context / original)
    mscale, all_dims = (own.number(key, -1.0, 1e6, 0.0) for key in ("mscale", "mscale_all_dim"))
    if mscale and all_dims:
        inferred = yarn_mscale(factor, mscale) / yarn_mscale(factor, all_dims)
    else:
        inferred = yarn_mscale(factor, 1.0)
    return RopeSpec(
        theta,
        "yarn",
        factor,
        original_context=original,
        attention_factor=own.number("attention_factor", 0.0, 1e6, inferred),
        beta_fast=own.number("beta_fast", 0.0, 1e6, 32.0),
        beta_slow=own.number("beta_slow", 0.0, 1e6, 1.0),
        truncate=own.boolean("truncate", True),
    )


def yarn_mscale(factor: float, mscale: float) -> float:
    """Scale of attention that goes with a stretch by ``factor`` (Peng 2023, eq. 22)."""
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0


def _longrope(own: Fields, theta: float, context: int, original: int, dim: int) -> RopeSpec:
    """Read LongRoPE: one factor for each pair, for short and for long sequences."""
    if original < 2:
        own.fail("original_max_position_embeddings", "2 or more")
    factor = own.number("factor", 0.0, 1e6, context / original)
    inferred = 1.0
    if factor > 1.0:
        inferred = math.sqrt(1 + math.log(factor) / math.log(original))
    return RopeSpec(
        theta,
        "longrope",
        factor,
        original_context=original,
        attention_factor=own.number("attention_factor", 0.0, 1e6, inferred),
        short_factors=_factors(own, "short_factor", dim // 2),
        long_factors=_factors(own, "long_factor", dim // 2),
    )


def _factors(own: Fields, key: str, n: int) -> tuple[float, ...]:
    """Read a list of n positive numbers."""
    found: Any = own.values.get(key)
    good = isinstance(found, list) and len(found) == n <= MAX_FACTORS
    if not good or not all(type(x) in (int, float) and 0 < x < math.inf for x in found):
        raise CheckpointError(f"{own.where}: {key}: expected a list of {n} positive numbers")
    return tuple(float(x) for x in found)


def usable_context(context: int, ropes: Sequence[RopeSpec]) -> int:
    """Tokens that a model takes: a stretched rotation reaches beyond ``max_position_embeddings``.

    Linear and dynamic scaling multiply it; YaRN states what it was before.
    """
    reach = context
    for rope in ropes:
        if rope.kind in ("linear", "dynamic"):
            reach = max(reach, int(context * rope.factor))
        elif rope.kind == "yarn":
            reach = max(reach, int(rope.original_context * rope.factor))
    return reach
