"""What a recipe that does not parse was probably meant to be.

Pure text: candidates are proposed here, the parser keeps those that it can read. It must not know
how a recipe is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from qbench.quant.method_table import METHOD_INFO
from qbench.registry import near_names

_PIECES = re.compile(r"(w[0-9]+)|(a[0-9]+)|(g[0-9]+|gr)|(asym|sym)|(head[0-9]+)|(kv[0-9]+)")
_SEPARATORS = "-_+. "

_ALIASES = {
    "fp32": "f32", "float32": "f32", "fp16": "f16", "float16": "f16", "half": "f16",
    "bfloat16": "bf16", "int8": "llm.int8", "bnb": "nf4", "none": "f32",
}  # fmt: skip
"""What other tools call a method: suggested, never accepted."""


def near_methods(name: str) -> list[str]:
    """Methods that resemble an unknown name, most likely first; ``q4_k_m`` gives its gguf mix."""
    folded = name.casefold()
    found = [_ALIASES[folded]] if folded in _ALIASES else []
    found += [known for known in METHOD_INFO if known.casefold() == f"gguf:{folded}"]
    found += near_names(name, METHOD_INFO)
    return list(dict.fromkeys(found))


def loose_form(method: str, tail: str) -> str:
    """Recipe that the pieces make up when separators, order and case are ignored, or nothing.

    Parameters
    ----------
    method
        The method that was meant, with ``quarot+`` where that stood before it.
    tail
        What stood behind the method. ``-W4-G128_SYM`` gives ``-w4g128-sym``; a text with anything
        else in it gives "".
    """
    body, brace, options = tail.partition("{")
    folded = body.casefold()
    pieces = {match.lastindex: match[0] for match in _PIECES.finditer(folded)}
    if not pieces or _PIECES.sub("", folded).strip(_SEPARATORS):
        return ""
    weights = "".join(pieces.get(place, "") for place in (1, 2, 3))
    symmetry = f"-{pieces[4]}" if 4 in pieces else ""
    suffixes = "".join(f"+{pieces[place]}" for place in (5, 6) if place in pieces)
    return f"{method}-{weights}{symmetry}{suffixes}{brace}{options}"


def did_you_mean(candidates: Iterable[str]) -> str:
    """End of a message that suggests, or nothing."""
    named = list(dict.fromkeys(candidates))[:3]
    return f"; did you mean {' or '.join(named)}?" if named else ""
