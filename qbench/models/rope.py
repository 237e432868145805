"""Rotary position embedding as data: the kinds that are known and their inverse frequencies.

Reads both spellings of a configuration: ``rope_theta`` and ``rope_scaling`` (with ``type`` or
``rope_type``) and the single ``rope_parameters`` of transformers 5. The formulas are those of
transformers' ``modeling_rope_utils`` in float32, operation by operation. It must not know about
tensors or positions: the core and the reference rotate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qbench.errors import CheckpointError
from qbench.models.strict_json import Fields

KINDS = ("default", "linear", "llama3")
DEFAULT_THETA = 10000.0


@dataclass(frozen=True)
class RopeSpec:
    """What fixes the inverse frequencies of a rotary embedding.

    ``factor`` belongs to ``linear`` and ``llama3``, the last three fields to ``llama3`` alone.
    """

    theta: float
    kind: str = "default"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 0

    def inv_freq(self, head_dim: int) -> np.ndarray:
        """Inverse frequencies.

        Parameters
        ----------
        head_dim
            Size of one head, even.

        Returns
        -------
        numpy.ndarray
            float32, shape ``(head_dim // 2,)``.

        Notes
        -----
        The power is taken in float64 and rounded once. torch's own float32 power is off by one unit
        in the last place for some exponents, and differs there between its vector and scalar code;
        the correctly rounded value is the one that does not depend on a machine.
        """
        one = np.float32(1.0)
        exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
        powers = np.power(np.float64(self.theta), exponents.astype(np.float64)).astype(np.float32)
        base = one / powers
        if self.kind == "default":
            return base
        factor = np.float32(self.factor)
        if self.kind == "linear":
            return base / factor
        return self._llama3(base, factor)

    def _llama3(self, base: np.ndarray, factor: np.float32) -> np.ndarray:
        """Long wavelengths divided by the factor, short ones kept, a ramp between (Llama 3.1)."""
        one = np.float32(1.0)
        wavelength = (one / base) * np.float32(2 * math.pi)
        longest_kept = np.float32(self.original_context / self.high_freq_factor)
        shortest_scaled = np.float32(self.original_context / self.low_freq_factor)
        scaled = np.where(wavelength > shortest_scaled, base / factor, base)
        ramp = (one / wavelength) * np.float32(self.original_context)
        ramp = (ramp - np.float32(self.low_freq_factor)) / np.float32(
            self.high_freq_factor - self.low_freq_factor
        )
        blended = (one - ramp) * scaled / factor + ramp * scaled
        medium = (wavelength >= longest_kept) & (wavelength <= shortest_scaled)
        return np.where(medium, blended, scaled).astype(np.float32)


def rope_spec(config: Mapping[str, Any], where: str, context_length: int) -> RopeSpec:
    """Read the rotary embedding of a configuration.

    Parameters
    ----------
    config
        The whole ``config.json``.
    where
        The file, for errors.
    context_length
        ``max_position_embeddings``, the default of ``original_max_position_embeddings``.

    Raises
    ------
    CheckpointError
        For a kind that is not known (named, with those that are), or a bad value.
    """
    top = Fields(config, where)
    key = "rope_scaling" if config.get("rope_scaling") else "rope_parameters"
    nested = top.object(key) or {}
    fields = Fields(nested, f"{where}: {key}")
    default_theta = top.number("rope_theta", 0.0, math.inf, DEFAULT_THETA)
    theta = fields.number("rope_theta", 0.0, math.inf, default_theta)
    for holder in (top, fields):
        if holder.number("partial_rotary_factor", 0.0, math.inf, 1.0) != 1.0:
            holder.fail("partial_rotary_factor", "1 (partial rotation is not supported)")
    kind = fields.string("rope_type", fields.string("type", "default"))
    if kind not in KINDS:
        raise CheckpointError(
            f"{where}: {key}: the rotary embedding {kind!r:.60} is not supported; known: "
            + ", ".join(KINDS)
        )
    if kind == "default":
        return RopeSpec(theta)
    factor = fields.number("factor", 0.0, 1e6)
    if kind == "linear":
        return RopeSpec(theta, kind, factor)
    low = fields.number("low_freq_factor", 0.0, 1e6)
    high = fields.number("high_freq_factor", 0.0, 1e6)
    if high <= low:
        fields.fail("high_freq_factor", f"a number above low_freq_factor ({low:g})")
    original = fields.integer("original_max_position_embeddings", 1, 1 << 30, context_length)
    original = top.integer("original_max_position_embeddings", 1, 1 << 30, original)
    return RopeSpec(theta, kind, factor, low, high, original)
