"""The architectures that are known, by the names that configurations have for them."""

from __future__ import annotations

from qbench.models.architectures import (
    alibi,
    deepseek,
    gemma,
    gpt,
    granite,
    llama,
    mixture,
    phi,
    qwen1,
    stablelm,
)
from qbench.models.architectures.base import Architecture
from qbench.models.names import Names
from qbench.models.spec import DecoderSpec

ARCHITECTURES: dict[str, Architecture] = {
    **llama.ARCHITECTURES,
    **mixture.ARCHITECTURES,
    **gemma.ARCHITECTURES,
    **phi.ARCHITECTURES,
    **gpt.ARCHITECTURES,
    **alibi.ARCHITECTURES,
    **stablelm.ARCHITECTURES,
    **granite.ARCHITECTURES,
    **deepseek.ARCHITECTURES,
    **qwen1.ARCHITECTURES,
}


def names_of(spec: DecoderSpec) -> Names:
    """Return the naming table that belongs to a specification."""
    names = ARCHITECTURES[spec.architecture].names
    return names(spec) if callable(names) else names
