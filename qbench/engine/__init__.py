"""Plans work for the C core: shared prefixes, packed batches, scoring, generation."""

from __future__ import annotations

from qbench.engine.model import Model
from qbench.engine.perplexity import Perplexity
from qbench.engine.runtime import Runtime
from qbench.engine.weights import DecoderWeights

__all__ = ["DecoderWeights", "Model", "Perplexity", "Runtime"]
