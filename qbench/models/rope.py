"""Rotary position embedding as data: the kinds that are known and their inverse frequencies.

The formulas are those of transformers' ``modeling_rope_utils``, and of the published code of Qwen
for its dynamic kind. It must not know about tensors or positions: the core and the reference
rotate. Reading a configuration stands in `qbench.models.rope_config`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

DEFAULT_THETA = 10000.0


@dataclass(frozen=True)
class RopeSpec:
    """What fixes the inverse frequencies of a rotary embedding.

    ``factor`` belongs to every kind but ``default`` and ``qwen``; ``low_freq_factor`` and
    ``high_freq_factor`` to ``llama3``; ``beta_fast``, ``beta_slow`` and ``truncate`` to ``yarn``;
    ``short_factors`` and ``long_factors`` to ``longrope``. ``original_context`` is the length that
    the model was trained for, where a kind asks for it. ``attention_factor`` multiplies cosine and
    sine.
    """

    theta: float
    kind: str = "default"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 0
    attention_factor: float = 1.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True
    short_factors: tuple[float, ...] = ()
    long_factors: tuple[float, ...] = ()

    def key(self, length: int) -> int:
        """Name what a sequence that is read to that length is turned by; 0 up to the trained one.

        ``dynamic``: the length itself; ``longrope``: 1; ``qwen``: the power of two that its base is
        stretched by. transformers decides by the length of a forward as well.
        """
        if length <= self.original_context:
            return 0
        if self.kind == "dynamic":
            return length
        if self.kind == "longrope":
            return 1
        if self.kind == "qwen":
            return math.ceil(math.log2(length / self.original_context) + 1)
        return 0

    def limit(self, key: int) -> int | None:
        """Length beyond which a sequence of that key must be read again under another; None: never.

        LongRoPE alone asks for it, as transformers does; a dynamic base stays that of the prompt,
        as in Qwen's code.
        """
        return self.original_context if self.kind == "longrope" and key == 0 else None

    def inv_freq(self, dim: int, key: int = 0) -> np.ndarray:
        """Inverse frequencies.

        Parameters
        ----------
        dim
            Values of a head that are turned, even.
        key
            Of a sequence (`key`).

        Returns
        -------
        numpy.ndarray
            float32, shape ``(dim // 2,)``.

        Notes
        -----
        The power is taken in float64 and rounded once. torch's own float32 power is off by one unit
        in the last place for some exponents, and differs there between its vector and scalar code;
        the correctly rounded value is the one that does not depend on a machine.
        """
        one = np.float32(1.0)
        exponents = np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim)
        theta = self._theta(dim, key)
        powers = np.power(np.float64(theta), exponents.astype(np.float64)).astype(np.float32)
        base = one / powers
        if self.kind == "linear":
            return base / np.float32(self.factor)
        if self.kind == "llama3":
            return self._llama3(base, np.float32(self.factor))
        if self.kind == "yarn":
            return self._yarn(powers, dim)
        if self.kind == "longrope":
            factors = self.short_factors if key == 0 else self.long_factors
            return one / (np.asarray(factors, np.float32) * powers)
        return base

    def _theta(self, dim: int, key: int) -> float:
        """Return the base of the powers: stretched for long sequences by NTK-aware scaling."""
        if key == 0 or self.kind not in ("dynamic", "qwen"):
            return self.theta
        if self.kind == "qwen":
            stretch = max(2.0**key - 1, 1.0)
        else:
            stretch = self.factor * key / self.original_context - (self.factor - 1)
        return float(self.theta * stretch ** (dim / (dim - 2)))

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

    def _yarn(self, powers: np.ndarray, dim: int) -> np.ndarray:
        """Fast pairs kept, slow ones divided by the factor, a ramp between (Peng 2023)."""

        def place(turns: float) -> float:
            """Pair that makes so many turns within the trained length."""
            trained = self.original_context / (turns * 2 * math.pi)
            return dim * math.log(trained) / (2 * math.log(self.theta))

        low, high = place(self.beta_fast), place(self.beta_slow)
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, dim - 1)
        if low == high:
            high += 0.001
        one = np.float32(1.0)
        ramp = (np.arange(dim // 2, dtype=np.float32) - np.float32(low)) / np.float32(high - low)
        kept = one - np.clip(ramp, np.float32(0.0), one)
        slow = one / (np.float32(self.factor) * powers)
        blended: np.ndarray = slow * (one - kept) + one / powers * kept
        return blended.astype(np.float32)
