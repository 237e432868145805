"""The float64 NumPy twin of the C core: oracle and explanation."""

from __future__ import annotations

from qbench.reference.decoder import reference_logits, reference_logprobs

__all__ = ["reference_logits", "reference_logprobs"]
