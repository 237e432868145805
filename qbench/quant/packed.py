"""A quantized matrix that lies in the core's panels alone.

A loaded model keeps its codes once, as the kernels read them; the canonical form is unpacked, bit
for bit, when a model is saved. It must not know which method chose the codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qbench.quant.tensor import QuantizedTensor

if TYPE_CHECKING:
    from qbench.core import PackedTensor


@dataclass(frozen=True, eq=False)
class PackedMatrix:
    """Panels, and the bits that the canonical form takes.

    Parameters
    ----------
    panels
        Codes, scales and zero points in the order of the kernels.
    bits
        Bits of a code.
    storage_bits
        Bits of codes, scales and zero points, without any padding.
    """

    panels: PackedTensor
    bits: int
    storage_bits: int

    @classmethod
    def of(cls, tensor: QuantizedTensor) -> PackedMatrix:
        """Pack a matrix."""
        return cls(tensor.pack(), tensor.bits, tensor.storage_bits)

    def unpack(self) -> QuantizedTensor:
        """Return the canonical form: what was packed, bit for bit."""
        codes, scales, zeros = self.panels.canonical()
        scale_type = self.panels.scale_type
        assert scale_type is not None
        return QuantizedTensor(codes, scales, zeros, self.bits, self.panels.group, scale_type)
