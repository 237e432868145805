"""What a model is and was made from: everything that a result must name. It runs nothing."""

from __future__ import annotations

from dataclasses import dataclass

from qbench.core import PAGE_TOKENS
from qbench.engine.runtime import Runtime
from qbench.models import DecoderSpec


@dataclass(frozen=True)
class Provenance:
    """What a model was made from, and what its weights cost.

    ``bits_per_weight``: mean bits of the quantized linears, padding not counted; ``model_bits``:
    bits of everything needed, per parameter; ``revision``: the commit of a model from the hub.
    """

    name: str
    recipe: str
    mode: str
    kv_format: str
    weights_sha256: str
    bits_per_weight: float
    model_bits: float
    revision: str | None = None


class Described:
    """A decoder with its provenance; the part of a model that says what it is."""

    def __init__(self, spec: DecoderSpec, runtime: Runtime, provenance: Provenance) -> None:
        self.spec = spec
        self._runtime = runtime
        self._provenance = provenance

    def __repr__(self) -> str:
        p = self._provenance
        return f"Model({p.name!r}, recipe={p.recipe!r}, mode={p.mode!r}, kv={p.kv_format!r})"

    @property
    def name(self) -> str:
        """What the model was loaded as."""
        return self._provenance.name

    @property
    def revision(self) -> str | None:
        """Commit of a model from the hub; None for any other folder."""
        return self._provenance.revision

    @property
    def recipe(self) -> str:
        """The recipe in canonical form."""
        return self._provenance.recipe

    @property
    def mode(self) -> str:
        """``"exact"``, ``"faithful"`` or ``"fast"``."""
        return self._provenance.mode

    @property
    def kv_format(self) -> str:
        """``"f32"`` or ``"bf16"``."""
        return self._provenance.kv_format

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights as they were stored."""
        return self._provenance.weights_sha256

    @property
    def bits_per_weight(self) -> float:
        """Mean bits of a weight of the quantized linears."""
        return self._provenance.bits_per_weight

    @property
    def model_bits(self) -> float:
        """Bits of everything needed, per parameter."""
        return self._provenance.model_bits

    @property
    def context_length(self) -> int:
        """Most tokens of one sequence."""
        return self.spec.context_length

    @property
    def config(self) -> DecoderSpec:
        """The decoder's specification."""
        return self.spec

    @property
    def runtime(self) -> Runtime:
        """The decoder and its cache, for those who count or time what they do."""
        return self._runtime

    @property
    def threads(self) -> int:
        """Threads of a forward."""
        return self._runtime.threads

    @property
    def isa(self) -> str:
        """Tier of the kernels."""
        return self._runtime.isa

    @property
    def memory(self) -> dict[str, int]:
        """Bytes: ``weights`` as they lie in memory, and ``kv_per_token``.

        Also ``forward``, the buffers of a forward of the usual size, and ``cache``, what the cache
        may grow to.
        """
        page = self._runtime.cache.page_bytes
        shares = self._runtime.memory
        return {
            "weights": shares.weights,
            "kv_per_token": -(-page // PAGE_TOKENS),
            "forward": shares.forward,
            "cache": shares.cache,
        }
