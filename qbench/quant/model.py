"""A whole model under a recipe: its tensors and what they cost in bits.

This is what quantizing a checkpoint gives, what is saved and loaded, and what the engine packs. It
must not know files or kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

from qbench.models.checkpoint import Weight
from qbench.models.slots import LINEAR_SLOTS, TensorSlot, tensor_slots
from qbench.models.spec import DecoderSpec
from qbench.quant.floats import TYPE_BITS
from qbench.quant.packed import PackedMatrix
from qbench.quant.recipe import Recipe
from qbench.quant.tensor import QuantizedTensor

HEAD = "lm_head.weight"
"""Name of the head; under a tied head, of its quantized copy."""


@dataclass(frozen=True, eq=False)
class QuantizedModel:
    """The tensors of a model under a recipe.

    Parameters
    ----------
    spec
        The decoder that they belong to.
    recipe
        What was done to them.
    tensors
        By name: the quantized linears (and the head under ``+head``) as `QuantizedTensor`, or as
        `PackedMatrix` in a model that is to run; all others as `Weight`. If a tied head
        is quantized, its copy stands under ``lm_head.weight`` beside the embedding, which stays as
        it is.
    """

    spec: DecoderSpec
    recipe: Recipe
    tensors: dict[str, QuantizedTensor | PackedMatrix | Weight]

    @property
    def bits_per_weight(self) -> float:
        """Mean bits of a weight of the linears: codes, scales and zero points, no padding.

        The linears are those of the layers. A quantized head is no part of this figure; it counts
        in `model_bits` only, so that the figure says the same with and without ``+head``.
        """
        linears = [slot for slot in tensor_slots(self.spec) if slot.slot in LINEAR_SLOTS]
        return sum(self._bits(slot) for slot in linears) / sum(slot.size for slot in linears)

    @property
    def model_bits(self) -> float:
        """Bits of everything that is needed, per parameter of the model, embeddings included.

        The copy of a tied head counts in the bits, its parameters count once. Norms count in the
        type of an unquantized recipe, although they are kept as they were stored.
        """
        slots = tensor_slots(self.spec)
        bits = sum(self._bits(slot) for slot in slots)
        copy = self.tensors.get(HEAD)
        if self.spec.tied_head and copy is not None and not isinstance(copy, Weight):
            bits += copy.storage_bits
        return bits / sum(slot.size for slot in slots)

    def _bits(self, slot: TensorSlot) -> int:
        """Bits of one tensor."""
        tensor = self.tensors[slot.name]
        if not isinstance(tensor, Weight):
            return tensor.storage_bits
        by_recipe = slot.is_vector and self.recipe.is_dense
        return slot.size * TYPE_BITS[self.recipe.method if by_recipe else tensor.dtype]
