"""Recipes, quantization methods, and saved models.

Names are imported when they are first used: a recipe is needed in places that never touch a weight.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qbench.quant.loading import load_quantized
    from qbench.quant.model import QuantizedModel
    from qbench.quant.quantize import quantize_checkpoint, quantize_tensor, stored_recipe
    from qbench.quant.recipe import Recipe, require_available
    from qbench.quant.saving import save_quantized
    from qbench.quant.tensor import QuantizedTensor

__all__ = [
    "QuantizedModel",
    "QuantizedTensor",
    "Recipe",
    "load_quantized",
    "quantize_checkpoint",
    "quantize_tensor",
    "require_available",
    "save_quantized",
    "stored_recipe",
]

_HOMES = {
    "QuantizedModel": "model",
    "QuantizedTensor": "tensor",
    "Recipe": "recipe",
    "load_quantized": "loading",
    "quantize_checkpoint": "quantize",
    "quantize_tensor": "quantize",
    "require_available": "recipe",
    "save_quantized": "saving",
    "stored_recipe": "quantize",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
