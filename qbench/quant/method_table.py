"""Every method that a recipe can name, as data: its form, its defaults and its options.

The table is the grammar's vocabulary, not a list of what runs: a method that is described here but
has no implementation yet parses, and `qbench.quant.recipe.require_available` refuses it by name.
Defaults are those of the published methods; adding a method's name is adding one entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qbench.quant.options import Option

Form = Literal["baseline", "integer", "block", "ggml-type", "ggml-mix", "as-is", "auto"]
"""How a method is spelled: ``integer`` takes ``-w<bits>`` and what follows it, ``auto`` takes
``-<x>bpw``, the others are complete with their name."""

PER_ROW = 0
"""Value of ``group`` for one group per row (``gr``)."""

SCALE = Option("scale", "bf16", "type in which scales are stored", choices=("bf16", "f16", "f32"))
_DAMP = Option("damp", 0.01, "share of the mean diagonal added to the Hessian", 0.0, 10.0)
_ACT_ORDER = Option("act_order", True, "columns in the order of their importance")
_BLOCK = Option("block", 64, "weights that share one scale", 32, 4096)
_DOUBLE = Option("double_quant", False, "scales are quantized too")


@dataclass(frozen=True)
class MethodInfo:
    """What the grammar must know of one method.

    ``group`` and ``symmetric`` are the defaults of an ``integer`` method; ``symmetries`` lists what
    it allows. ``act_bits`` lists the widths of quantized activations that it allows, where None
    stands for activations that are not quantized.
    """

    name: str
    form: Form
    summary: str
    group: int | None = None
    symmetric: bool | None = None
    symmetries: tuple[bool, ...] = ()
    act_bits: tuple[int | None, ...] = (None,)
    rotatable: bool = False
    head: bool = True
    options: tuple[Option, ...] = ()

    def option(self, name: str) -> Option | None:
        """Return the option of that name, or None."""
        return next((option for option in self.options if option.name == name), None)


def _integer(
    name: str,
    summary: str,
    group: int,
    symmetric: bool,
    *options: Option,
    symmetries: tuple[bool, ...] = (False, True),
    act_bits: tuple[int | None, ...] = (None, 8, 4),
) -> MethodInfo:
    """Entry of a method with integer codes in groups."""
    return MethodInfo(
        name, "integer", summary, group, symmetric, symmetries, act_bits, True, True, options
    )


def _block(name: str, summary: str, *options: Option) -> MethodInfo:
    """Entry of a method whose format fixes its bits and blocks."""
    return MethodInfo(name, "block", summary, rotatable=True, options=options)


BASELINES = ("f32", "f16", "bf16")
GGML_TYPES = (
    "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
    "IQ4_NL", "IQ4_XS", "MXFP4",
)  # fmt: skip
GGML_MIXES = (
    "Q2_K_S", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M",
)  # fmt: skip
_IMATRIX = Option("imatrix", False, "weigh errors by the mean square of each input")

_ENTRIES = (
    *(MethodInfo(name, "baseline", f"unquantized, weights in {name}") for name in BASELINES),
    _integer("rtn", "round to nearest, no calibration", 32, False, SCALE),
    _integer(
        "gptq",
        "error compensation by second-order statistics",
        128,
        True,
        _ACT_ORDER,
        _DAMP,
        Option("static_groups", False, "scales from the weights before any update"),
        Option(
            "group_stats",
            "snapshot",
            "weights that fix a group's scale",
            choices=("snapshot", "current"),
        ),
        Option("mse", False, "search the range with the least error"),
        SCALE,
    ),
    _integer(
        "spqr",
        "GPTQ with sparse outliers and two-level scales",
        16,
        False,
        Option("threshold", 0.2, "outlier threshold; smaller keeps more", 0.0, 1e6),
        _DAMP,
        _ACT_ORDER,
        Option("bilevel", True, "scales and zeros are quantized too"),
        Option("stat_bits", 3, "bits of the quantized scales and zeros", 2, 8),
        symmetries=(False,),
    ),
    _integer(
        "awq",
        "activation-aware scaling",
        128,
        False,
        Option("duo", False, "the scale search sees weights as well as activations"),
        Option("clip", True, "search a clipped range"),
        Option("grid", 20, "steps of the scale search", 1, 1000),
        SCALE,
    ),
    _integer(
        "hqq",
        "half-quadratic fit of the zero points, no calibration",
        64,
        False,
        Option("iters", 20, "most iterations", 0, 1000),
        Option("p", 0.7, "norm of the error", 0.01, 1.0),
        Option("beta", 10.0, "weight of the proximal term", 0.01, 1e6),
        symmetries=(False,),
    ),
    _integer(
        "smoothquant",
        "weights and activations at 8 bits, outliers moved into the weights",
        PER_ROW,
        True,
        Option("alpha", 0.5, "share of the range moved into the weights", 0.0, 1.0),
        SCALE,
        symmetries=(True,),
        act_bits=(8, 4),
    ),
    _block(
        "llm.int8",
        "8 bits per row and token, outlier columns apart",
        Option("threshold", 6.0, "activation that makes a column an outlier", 0.0, 1e6),
        Option(
            "outliers",
            "row",
            "decided per row, or over the whole batch as published",
            choices=("row", "batch"),
        ),
    ),
    _block("nf4", "4-bit normal float", _BLOCK, _DOUBLE),
    _block("fp4", "4-bit float of bitsandbytes", _BLOCK, _DOUBLE),
    _block("mxfp4", "4-bit float, a power of two per 32"),
    _block("nvfp4", "4-bit float, an 8-bit float scale per 16"),
    *(
        MethodInfo(f"gguf:{name}", "ggml-type", f"ggml block type {name}", options=(_IMATRIX,))
        for name in GGML_TYPES
    ),
    *(
        MethodInfo(f"gguf:{name}", "ggml-mix", f"ggml mix {name}", head=False, options=(_IMATRIX,))
        for name in GGML_MIXES
    ),
    MethodInfo("as-is", "as-is", "a checkpoint that is already quantized", head=False),
    MethodInfo("auto", "auto", "mixed bits that meet a mean"),
)

METHOD_INFO: dict[str, MethodInfo] = {info.name: info for info in _ENTRIES}
"""Every method of the grammar by its name."""
