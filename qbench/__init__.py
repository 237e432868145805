"""qbench says what a quantization does to a language model.

Public names are imported when they are first used, so that ``import qbench`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from qbench._version import __version__

if TYPE_CHECKING:
    from qbench.engine import Model
    from qbench.quant.load import load
    from qbench.quant.recipe import Recipe
    from qbench.study.evaluate import evaluate
    from qbench.study.results import Results
    from qbench.study.study import Study

__all__ = ["Model", "Recipe", "Results", "Study", "__version__", "evaluate", "load"]

_HOMES = {
    "Model": "qbench.engine",
    "Recipe": "qbench.quant.recipe",
    "Results": "qbench.study.results",
    "Study": "qbench.study.study",
    "evaluate": "qbench.study.evaluate",
    "load": "qbench.quant.load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'qbench' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
