"""The parser of recipes: text to checked fields, or one error that says what to write instead.

It reads left to right with one regular expression for each piece; none of them can backtrack, and
a recipe has at most `MAX_LENGTH` characters. Meaning (defaults, options, ranges) comes from the
method table. It must not know what runs.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from qbench.errors import RecipeError
from qbench.quant.method_table import METHOD_INFO, PER_ROW, MethodInfo
from qbench.quant.options import OptionValue
from qbench.quant.suggest import did_you_mean, loose_form, near_methods
from qbench.registry import near_names

MAX_LENGTH = 256
FORM = (
    "[quarot+]<method>-w<bits>[a<bits>][g<group>|gr][-sym|-asym][+head<bits>][+kv<bits>]"
    "[{name=value,…}]"
)
ROTATION = "quarot+"
WEIGHT_BITS = (2, 8)
GROUPS = (16, 256)
HEAD_BITS = (8, 4)
KV_BITS = (32, 16, 8, 4)
BPW = (1.0, 16.0)

_NAME = re.compile(r"gguf:[A-Za-z0-9_]*|as-is|[A-Za-z0-9_.]+")
_INTEGER_FORM = re.compile(
    r"-w(?P<bits>[1-9][0-9]{0,2})(?:a(?P<act>[1-9][0-9]{0,2}))?"
    r"(?:g(?P<group>[1-9][0-9]{0,4}|r))?(?:-(?P<symmetry>sym|asym))?"
)
_AUTO_FORM = re.compile(r"-(?P<bpw>[1-9][0-9]?(?:\.[0-9]{1,6})?)bpw")
_SUFFIX = re.compile(r"\+(?P<kind>head|kv)(?P<bits>[1-9][0-9]{0,2})")


def parse_fields(text: str) -> dict[str, Any]:
    """Parse a recipe into the fields of `qbench.quant.recipe.Recipe`.

    Raises
    ------
    RecipeError
        For whatever does not follow the grammar; with near names where there are any.
    """
    if not isinstance(text, str):
        raise RecipeError(f"a recipe is a string, found {type(text).__name__}")
    text = text.strip()
    if len(text) > MAX_LENGTH:
        raise RecipeError(f"a recipe has at most {MAX_LENGTH} characters, found {len(text)}")
    if not text:
        raise RecipeError(f"the recipe is empty; the form is {FORM}")
    return _Parser(text).run()


class _Parser:
    """One parse: the text, what has not been read of it, and what stood behind the method."""

    def __init__(self, text: str, suggest: bool = True) -> None:
        self.text = text
        self.suggest = suggest
        self.prefix = ROTATION if text.startswith(ROTATION) else ""
        self.rest = text.removeprefix(self.prefix)
        self.tail = ""

    def run(self) -> dict[str, Any]:
        """Read everything, in the order of the grammar."""
        info = self.method()
        if self.prefix and not info.rotatable:
            self.fail(f"{info.name} cannot be rotated; leave {ROTATION!r} away")
        fields: dict[str, Any] = {"method": info.name, "rotate": bool(self.prefix)}
        if info.form == "integer":
            fields |= self.integer_form(info)
        elif info.form == "auto":
            fields |= self.auto_form()
        fields |= self.suffixes(info)
        fields["options"] = self.options(info)
        if self.rest:
            self.fail_rest(info)
        return fields

    def method(self) -> MethodInfo:
        """Read the method's name."""
        match = _NAME.match(self.rest)
        name = match[0] if match else ""
        self.rest = self.tail = self.rest[len(name) :]
        if name not in METHOD_INFO:
            self.fail_name(name)
        return METHOD_INFO[name]

    def integer_form(self, info: MethodInfo) -> dict[str, Any]:
        """Read ``-w4a8g128-sym`` and fill in the method's defaults."""
        match = _INTEGER_FORM.match(self.rest)
        if not match:
            hint = self.hint([loose_form(self.prefix + info.name, self.tail)])
            self.fail(f"{info.name} needs its weight bits, as in {info.name}-w4{hint}")
        self.rest = self.rest[match.end() :]
        bits = int(match["bits"])
        if not WEIGHT_BITS[0] <= bits <= WEIGHT_BITS[1]:
            self.fail(f"weights have {WEIGHT_BITS[0]} to {WEIGHT_BITS[1]} bits, found w{bits}")
        symmetric = match["symmetry"] == "sym" if match["symmetry"] else info.symmetric
        if symmetric not in info.symmetries:
            self.fail(f"{info.name} is {'asymmetric' if symmetric else 'symmetric'} only")
        return {
            "bits": bits,
            "act_bits": self.act_bits(info, match["act"]),
            "group": self.group(info, match["group"]),
            "symmetric": symmetric,
        }

    def group(self, info: MethodInfo, text: str | None) -> int | None:
        """Inputs per group; the method's own where none are given."""
        if text is None or text == "r":
            return info.group if text is None else PER_ROW
        if not GROUPS[0] <= int(text) <= GROUPS[1]:
            self.fail(
                f"a group has {GROUPS[0]} to {GROUPS[1]} inputs, or gr for one group per row; "
                f"found g{text}"
            )
        return int(text)

    def act_bits(self, info: MethodInfo, text: str | None) -> int | None:
        """Bits of the activations; a16 says that they are not quantized."""
        act = None if text is None or text == "16" else int(text)
        if act not in info.act_bits:
            allowed = " or ".join("a16" if bits is None else f"a{bits}" for bits in info.act_bits)
            found = "no a" if text is None else f"a{text}"
            self.fail(f"{info.name} takes {allowed} behind its weight bits, found {found}")
        return act

    def auto_form(self) -> dict[str, Any]:
        """Read ``-3.5bpw``."""
        match = _AUTO_FORM.match(self.rest)
        if not match:
            self.fail("auto needs its mean bits per weight, as in auto-3.5bpw")
        bpw = float(match["bpw"])
        if not BPW[0] <= bpw <= BPW[1]:
            self.fail(f"a mean has {BPW[0]:g} to {BPW[1]:g} bits per weight, found {bpw:g}")
        self.rest = self.rest[match.end() :]
        return {"bpw": bpw}

    def suffixes(self, info: MethodInfo) -> dict[str, Any]:
        """Read ``+head8`` and ``+kv8``, in either order."""
        found: dict[str, Any] = {}
        allowed = {"head": HEAD_BITS, "kv": KV_BITS}
        while match := _SUFFIX.match(self.rest):
            kind, bits = match["kind"], int(match["bits"])
            if bits not in allowed[kind]:
                names = ", ".join(f"+{kind}{b}" for b in allowed[kind])
                self.fail(f"there is no {match[0]}; known: {names}")
            if f"{kind}_bits" in found:
                self.fail(f"+{kind} stands twice")
            if kind == "head" and not info.head:
                self.fail(f"{info.name} says itself how the head is stored; leave {match[0]} away")
            found[f"{kind}_bits"] = bits
            self.rest = self.rest[match.end() :]
        return found

    def options(self, info: MethodInfo) -> tuple[tuple[str, OptionValue], ...]:
        """Read ``{name=value,…}``; what equals its default is dropped, the rest is sorted."""
        if not self.rest.startswith("{"):
            return ()
        if not self.rest.endswith("}"):
            self.fail("the options stand at the end of a recipe and finish with '}'")
        items, self.rest = self.rest[1:-1].split(","), ""
        values: dict[str, OptionValue] = {}
        for item in items:
            name, separator, text = (part.strip() for part in item.partition("="))
            if not separator or not name:
                self.fail(f"an option is name=value, found {item.strip()!r}")
            if name in values:
                self.fail(f"the option {name!r} stands twice")
            values[name] = self.option_value(info, name, text)
        defaults = {option.name: option.default for option in info.options}
        return tuple(sorted(item for item in values.items() if item[1] != defaults[item[0]]))

    def option_value(self, info: MethodInfo, name: str, text: str) -> OptionValue:
        """Read one option's value."""
        option = info.option(name)
        if option is None:
            names = [known.name for known in info.options]
            if not names:
                self.fail(f"{info.name} has no options, found {name!r}")
            near = near_names(name, names, limit=1)
            hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(names)
            self.fail(f"{info.name} has no option {name!r}; {hint}")
        value = option.read(text)
        if value is None:
            self.fail(f"the option {name} of {info.name} is {option.expected}, found {text!r}")
        return value

    def fail(self, what: str) -> NoReturn:
        """Raise the error that names the recipe."""
        raise RecipeError(f"recipe {self.text!r}: {what}")

    def fail_rest(self, info: MethodInfo) -> NoReturn:
        """Say what could not be read, after what."""
        done = self.text[: len(self.text) - len(self.rest)]
        if info.form == "integer":
            hint = self.hint([loose_form(self.prefix + info.name, self.tail)])
            self.fail(f"cannot read {self.rest!r} after {done!r}{hint or f'; the form is {FORM}'}")
        taken = "[+head<bits>][+kv<bits>]" if info.head else "[+kv<bits>]"
        taken += "[{name=value,…}]" if info.options else ""
        self.fail(f"cannot read {self.rest!r} after {done!r}; {info.name} takes only {taken}")

    def fail_name(self, name: str) -> NoReturn:
        """Say which methods are near the unknown one, with the rest of the recipe kept."""
        near = near_methods(name)
        candidates = [self.prefix + known + self.tail for known in near]
        candidates += [loose_form(self.prefix + known, self.tail) for known in near]
        first, _, inner = name.partition("_")
        if first in METHOD_INFO:
            candidates.append(loose_form(self.prefix + first, inner + self.tail))
        candidates.append(loose_form(f"{self.prefix}rtn", name + self.tail))
        hint = self.hint(candidates) or did_you_mean(near)
        known = ", ".join(known for known in METHOD_INFO if not known.startswith("gguf:"))
        self.fail(f"unknown method {name!r}{hint or f'; known: {known}, gguf:<type>'}")

    def hint(self, candidates: list[str]) -> str:
        """Suggest those candidates that parse; a parse of a candidate suggests nothing."""
        if not self.suggest:
            return ""
        return did_you_mean(text for text in candidates if text != self.text and _parses(text))


def _parses(text: str) -> bool:
    """Whether a suggestion follows the grammar."""
    try:
        _Parser(text, suggest=False).run()
    except RecipeError:
        return False
    return True
