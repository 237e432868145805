"""The registry of quantization methods: one file per method, one line here."""

from __future__ import annotations

from qbench.quant.method import Method
from qbench.quant.rtn import RoundToNearest
from qbench.registry import Registry

METHODS: Registry[Method] = Registry("method")
"""Methods that quantize, by the name that a recipe gives them."""

METHODS.register(RoundToNearest.name, RoundToNearest())
