"""A quantized matrix in its canonical form: one code per weight, one scale and zero per group.

Canonical means independent of any kernel: the core packs it into its own panels, files hold the
same codes in packed bits. The value of a weight is ``scale * (code - zero)``. It must not know
which method chose the codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qbench.errors import CheckpointError
from qbench.quant.floats import TYPE_BITS, as_float32, narrow_scales, row_blocks

if TYPE_CHECKING:
    from qbench.core import PackedTensor


class Grid(NamedTuple):
    """What a recipe says of one matrix.

    Bits per code, inputs per group (0: the whole row), whether codes are centred on zero, and the
    type of the scales.
    """

    bits: int
    group: int
    symmetric: bool
    scale_type: str

    def group_for(self, n_inputs: int) -> int:
        """Inputs per group in a row of that length: a short row is one group."""
        return min(self.group, n_inputs) if self.group else n_inputs


def n_groups(n_inputs: int, group: int) -> int:
    """Groups in a row, the shorter one at its end included."""
    return -(-n_inputs // group)


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """A matrix of integer codes with a scale, and perhaps a zero point, for each group.

    Parameters
    ----------
    codes
        uint8, shape ``(out, in)``, each below ``2**bits``.
    scales
        float32, shape ``(out, n_groups)``, positive and representable in ``scale_type``.
    zeros
        uint8, shape ``(out, n_groups)``; None for symmetric codes, whose zero is ``2**(bits-1)``.
    bits
        Bits of a code.
    group
        Consecutive inputs that share a scale, 1 to ``in``; the last group of a row may be shorter.
    scale_type
        ``"bf16"``, ``"f16"`` or ``"f32"``.
    """

    codes: np.ndarray
    scales: np.ndarray
    zeros: np.ndarray | None
    bits: int
    group: int
    scale_type: str

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""
        n_out, n_in = self.codes.shape
        return n_out, n_in

    @property
    def symmetric(self) -> bool:
        """Whether there are no zero points."""
        return self.zeros is None

    @property
    def storage_bits(self) -> int:
        """Bits of codes, scales and zero points, without any padding."""
        bits = self.codes.size * self.bits + self.scales.size * TYPE_BITS[self.scale_type]
        return bits + (0 if self.zeros is None else self.zeros.size * self.bits)

    def dequantize(self) -> np.ndarray:
        """Values of the weights.

        Returns
        -------
        numpy.ndarray
            float32, shape ``(out, in)``: ``scale * (code - zero)``, rounded once.
        """
        n_out, n_in = self.shape
        out = np.empty((n_out, n_in), dtype=np.float32)
        lengths = np.full(self.scales.shape[1], self.group)
        lengths[-1] = n_in - self.group * (self.scales.shape[1] - 1)
        middle = np.float32(1 << (self.bits - 1))
        for block in row_blocks(n_out, n_in):
            np.copyto(out[block], self.codes[block])
            if self.zeros is None:
                out[block] -= middle
            else:
                out[block] -= np.repeat(self.zeros[block].astype(np.float32), lengths, axis=1)
            out[block] *= np.repeat(self.scales[block], lengths, axis=1)
        return out

    def pack(self) -> PackedTensor:
        """Lay the codes out for the kernels of the core."""
        from qbench.core import PackedTensor

        return PackedTensor.from_codes(
            self.codes,
            self.scales,
            self.zeros,
            bits=self.bits,
            group=self.group,
            scale_type=self.scale_type,
        )

    def check(self, name: str) -> None:
        """Check shapes, types and ranges.

        Parameters
        ----------
        name
            For errors.

        Raises
        ------
        CheckpointError
            If the parts do not fit each other, a code or zero point exceeds its bits, or a scale is
            not finite, not positive, or not of its type.
        """
        n_out, n_in = self.shape
        if not 1 <= self.bits <= 8 or not 1 <= self.group <= n_in:
            raise CheckpointError(
                f"tensor {name}: {self.bits} bits in groups of {self.group} do not fit "
                f"{n_in} inputs"
            )
        expected = (n_out, n_groups(n_in, self.group))
        limit = 1 << self.bits
        for part, array in (("scales", self.scales), ("zeros", self.zeros)):
            if array is not None and array.shape != expected:
                raise CheckpointError(
                    f"tensor {name}: {part} have shape {array.shape}, expected {expected}"
                )
        for part, array in (("codes", self.codes), ("zeros", self.zeros)):
            if array is not None and array.size and int(array.max()) >= limit:
                raise CheckpointError(
                    f"tensor {name}: {part} reach {int(array.max())}, {self.bits} bits end at "
                    f"{limit - 1}"
                )
        self._check_scales(name)

    def _check_scales(self, name: str) -> None:
        """Require positive finite scales of their type."""
        bad = ~(np.isfinite(self.scales) & (self.scales > 0))
        if bad.any():
            row, column = (int(index[0]) for index in np.nonzero(bad))
            raise CheckpointError(
                f"tensor {name}: the scale of row {row}, group {column} is "
                f"{self.scales[row, column]:g}; a scale is positive and finite"
            )
        if self.scale_type == "f32":
            return
        with np.errstate(over="ignore"):
            narrow = narrow_scales(self.scales, self.scale_type)
        wide = as_float32(narrow, self.scale_type)
        if not np.array_equal(wide, self.scales):
            raise CheckpointError(f"tensor {name}: a scale is not of its type {self.scale_type}")
