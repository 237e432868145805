"""What every quantization method promises.

A method turns one weight matrix into codes and scales. It is a small object without state: what it
needs to know arrives as arguments. It must not read checkpoints, run models or write files.

The contract, which the tests run over every registered method:

* the same input gives the same bits, whatever the block size or the number of threads;
* a row's result does not depend on the other rows;
* codes and zero points fit their bits, scales are positive, finite and of their storage type;
* a matrix of zeros decodes to zeros;
* a row shorter than the group is one group, and the last group of a row may be shorter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from qbench.models.checkpoint import Weight
from qbench.quant.method_table import METHOD_INFO
from qbench.quant.recipe import Recipe
from qbench.quant.tensor import Grid, QuantizedTensor


class Method(ABC):
    """A quantization method of the registry."""

    name: ClassVar[str]
    """As a recipe spells it."""

    @abstractmethod
    def quantize(self, weight: Weight, recipe: Recipe, name: str) -> QuantizedTensor:
        """Quantize one matrix.

        Parameters
        ----------
        weight
            Shape ``(out, in)``, finite.
        recipe
            A recipe of this method.
        name
            Name of the tensor, for errors.
        """


def grid_of(recipe: Recipe) -> Grid:
    """Grid that a recipe with integer codes asks for."""
    if recipe.bits is None or recipe.group is None or recipe.symmetric is None:
        raise TypeError(f"{recipe.canonical} has no integer codes")
    return Grid(recipe.bits, recipe.group, recipe.symmetric, _scale_type(recipe))


def head_grid(recipe: Recipe) -> Grid:
    """Grid of a head under ``+head<bits>``: group and symmetry of the recipe, else those of rtn."""
    if recipe.head_bits is None:
        raise TypeError(f"{recipe.canonical} leaves the head alone")
    rtn = METHOD_INFO["rtn"]
    group = rtn.group if recipe.group is None else recipe.group
    symmetric = rtn.symmetric if recipe.symmetric is None else recipe.symmetric
    return Grid(recipe.head_bits, group or 0, bool(symmetric), _scale_type(recipe))


def _scale_type(recipe: Recipe) -> str:
    """Storage type of the scales: the option where the method has it, else bfloat16."""
    return str(recipe.option("scale")) if recipe.info.option("scale") else "bf16"
