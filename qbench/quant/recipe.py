"""The recipe: what is done to weights, activations, head and cache, as one value and one spelling.

`Recipe.parse` reads the grammar, `Recipe.canonical` writes it back, and both agree: parsing the
canonical text gives an equal recipe. Which of them run now is asked of the methods that exist, in
`require_available`. This file must not know how any method works.
"""

from __future__ import annotations

from dataclasses import dataclass

from qbench.errors import RecipeError, RequestError
from qbench.quant.method_table import BASELINES, METHOD_INFO, PER_ROW, MethodInfo
from qbench.quant.options import OptionValue, format_number
from qbench.quant.parse import ROTATION, parse_fields
from qbench.registry import unknown_name

MODES = ("exact", "faithful", "fast", "gguf")
AVAILABLE_MODES = ("exact", "faithful", "fast")
AVAILABLE_BITS = (8, 4, 3, 2)
AVAILABLE_KV = (32, 16)


@dataclass(frozen=True)
class Recipe:
    """One quantization recipe. Make it with `Recipe.parse`.

    Parameters
    ----------
    method
        Name in the method table: ``"rtn"``, ``"f16"``, ``"gguf:Q4_K_M"``, ``"as-is"``, ``"auto"``.
    bits
        Bits of a weight code; None where the method's format fixes them or leaves weights alone.
    act_bits
        Bits of quantized activations; None if they are not quantized.
    group
        Inputs that share a scale, 0 for one group per row; None where the format fixes it.
    symmetric
        Whether codes are centred on zero; None where the format fixes it.
    rotate
        Whether the model is rotated first (``quarot+``).
    head_bits, kv_bits
        ``+head`` and ``+kv``; None where they are not given.
    options
        Options that differ from the method's defaults, sorted by name; read them with `option`.
    bpw
        Mean bits per weight that ``auto`` has to meet.
    """

    method: str
    bits: int | None = None
    act_bits: int | None = None
    group: int | None = None
    symmetric: bool | None = None
    rotate: bool = False
    head_bits: int | None = None
    kv_bits: int | None = None
    options: tuple[tuple[str, OptionValue], ...] = ()
    bpw: float | None = None

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """Read a recipe.

        Parameters
        ----------
        text
            ``[quarot+]<method>-w<bits>[a<bits>][g<group>|gr][-sym|-asym][+head<bits>][+kv<bits>]``
            ``[{name=value,…}]``, or a name that is complete by itself (``f16``, ``nf4``,
            ``gguf:Q4_K_M``, ``as-is``, ``auto-3.5bpw``) with the suffixes it takes.

        Raises
        ------
        RecipeError
            If it does not follow the grammar; names what could not be read and near names.
        """
        return cls(**parse_fields(text))

    @property
    def info(self) -> MethodInfo:
        """What the method table says of the method."""
        return METHOD_INFO[self.method]

    @property
    def is_dense(self) -> bool:
        """Whether the linears stay floating point: one of the baselines, whatever its suffixes."""
        return self.method in BASELINES

    def option(self, name: str) -> OptionValue:
        """Value of an option, the default where the recipe does not give it.

        Raises
        ------
        RecipeError
            If the method has no such option.
        """
        known = self.info.option(name)
        if known is None:
            raise RecipeError(f"{self.method} has no option {name!r}")
        return dict(self.options).get(name, known.default)

    @property
    def canonical(self) -> str:
        """The one spelling of this recipe.

        The group is always written (``rtn-w4`` gives ``rtn-w4g32``), unless it is the row of a
        method whose default that is; everything else only where it differs from the default.
        """
        text = ROTATION if self.rotate else ""
        text += self.method
        if self.bits is not None:
            text += f"-w{self.bits}"
        if self.act_bits is not None:
            text += f"a{self.act_bits}"
        if self.group:
            text += f"g{self.group}"
        elif self.group == PER_ROW and self.info.group != PER_ROW:
            text += "gr"
        if self.symmetric is not None and self.symmetric != self.info.symmetric:
            text += "-sym" if self.symmetric else "-asym"
        if self.bpw is not None:
            text += f"-{format_number(self.bpw)}bpw"
        if self.head_bits is not None:
            text += f"+head{self.head_bits}"
        if self.kv_bits is not None:
            text += f"+kv{self.kv_bits}"
        return text + self._spell_options()

    def _spell_options(self) -> str:
        """``{name=value,…}`` of the options that are not defaults, or nothing."""
        spelled = []
        for name, value in self.options:
            option = self.info.option(name)
            if option is not None and value != option.default:
                spelled.append(f"{name}={option.spell(value)}")
        return "{" + ",".join(spelled) + "}" if spelled else ""

    def __str__(self) -> str:
        return self.canonical


def available_methods() -> tuple[str, ...]:
    """Methods that run now, in the order of the method table."""
    from qbench.quant.methods import METHODS

    return tuple(
        name for name in METHOD_INFO if name in BASELINES or name == "as-is" or name in METHODS
    )


def require_available(recipe: Recipe, mode: str = "faithful") -> None:
    """Refuse a well-formed recipe whose method, suffix or mode is not there yet.

    Parameters
    ----------
    recipe
        A parsed recipe.
    mode
        Numerical mode it is to run in.

    Raises
    ------
    RecipeError
        If a part of the recipe is not there; names the part and what there is instead.
    RequestError
        If the mode is unknown or not there.
    """
    if mode not in MODES:
        raise RequestError(unknown_name("mode", mode, MODES))
    if mode not in AVAILABLE_MODES:
        raise RequestError(
            f"the mode {mode!r} is not there yet; there are: {', '.join(AVAILABLE_MODES)}"
        )
    lacking = ""
    if recipe.rotate:
        lacking = "the rotation quarot is not there yet; leave 'quarot+' away"
    elif recipe.method not in available_methods():
        lacking = _lacks(f"the method {recipe.method}", available_methods())
    elif recipe.act_bits is not None:
        lacking = (
            f"quantized activations (a{recipe.act_bits}) are not there yet for {recipe.method}; "
            f"leave a{recipe.act_bits} away"
        )
    elif recipe.bits is not None and recipe.bits not in AVAILABLE_BITS:
        lacking = _lacks(f"w{recipe.bits}", [f"w{bits}" for bits in AVAILABLE_BITS])
    elif recipe.kv_bits is not None and recipe.kv_bits not in AVAILABLE_KV:
        lacking = _lacks(f"+kv{recipe.kv_bits}", [f"+kv{bits}" for bits in AVAILABLE_KV])
    if lacking:
        raise RecipeError(f"recipe {recipe.canonical!r}: {lacking}")


def _lacks(what: str, there: list[str] | tuple[str, ...]) -> str:
    """Say that something is not there, and what is."""
    return f"{what} is not there yet; there are: {', '.join(there)}"
