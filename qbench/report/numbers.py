"""How a score, an interval and a change are written: once, for the terminal and for the page.

Accuracies are stored as fractions and shown in percent, their changes in percentage points.
Perplexities keep four digits, their changes are differences of natural logarithms: 0.01 means one
per cent more. A missing number is an en dash, never an empty cell or a zero.
"""

from __future__ import annotations

from qbench.report.points import is_perplexity

MISSING = "–"
MINUS = "\N{MINUS SIGN}"
# Scores that are proportions of items, and therefore shown in percent.
FRACTIONS = ("acc", "majority_baseline")


def is_fraction(metric: str) -> bool:
    """Say whether a metric is a proportion."""
    return any(metric == name or metric.startswith(f"{name}_") for name in FRACTIONS)


def value(metric: str, number: float | None) -> str:
    """Write a value with its unit: `34.5 %`, `12.34`, or a dash."""
    if number is None:
        return MISSING
    return score(metric, number) + (" %" if is_fraction(metric) else "")


def interval(metric: str, low: float | None, high: float | None) -> str:
    """Write a 95 % interval in the unit of its value, without the unit, or nothing."""
    if low is None or high is None:
        return ""
    return f"[{score(metric, low)}, {score(metric, high)}]"


def score(metric: str, number: float) -> str:
    """Write one value without its unit: percent for fractions, else four digits."""
    return signless(f"{100.0 * number:.1f}" if is_fraction(metric) else four_digits(number))


def change(metric: str, number: float | None) -> str:
    """Write a change, signed: points for fractions, ln for perplexities; a dash for none."""
    if number is None:
        return MISSING
    if is_fraction(metric):
        return signed(100.0 * number, 1)
    text = signed(number, 4)
    # A change that is shown to be one must not read as none.
    return signless(f"{number:+.0e}") if number and float(f"{number:.4f}") == 0 else text


def change_interval(metric: str, low: float | None, high: float | None) -> str:
    """Write the interval of a change, or nothing."""
    if low is None or high is None:
        return ""
    return f"[{change(metric, low)}, {change(metric, high)}]"


def change_unit(metric: str) -> str:
    """Name the unit of a change."""
    if is_fraction(metric):
        return "points"
    return "ln" if is_perplexity(metric) else ""


def change_with_unit(metric: str, number: float | None) -> str:
    """Write a change with its unit: `−1.5 points`, `+0.0042 ln`; a dash for none."""
    if number is None:
        return MISSING
    return f"{change(metric, number)} {change_unit(metric)}".rstrip()


def count(number: int | None) -> str:
    """Write a count, or a dash where counting makes no sense."""
    return MISSING if number is None else str(number)


def p_value(p: float | None) -> str:
    """Write a p value: three decimals, or `<0.001`."""
    if p is None:
        return ""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def bits(number: float | None) -> str:
    """Write bits per weight with two decimals."""
    return MISSING if number is None else f"{number:.2f}"


def share(number: float) -> str:
    """Write a share in percent; one that is not zero never reads as zero."""
    if number == 0:
        return "0 %"
    return "<0.1 %" if number < 0.001 else f"{100.0 * number:.1f} %"


def size(n_bytes: float) -> str:
    """Write a number of bytes in binary units: `1.2 MiB`."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    index = 0
    while n_bytes >= 1024 and index < len(units) - 1:
        n_bytes /= 1024
        index += 1
    return f"{n_bytes:.0f} B" if index == 0 else f"{n_bytes:.1f} {units[index]}"


def four_digits(number: float) -> str:
    """Write four significant digits, with an exponent only from a million on."""
    if number != 0 and not 1e-4 <= abs(number) < 1e6:
        return f"{number:.3e}"
    text = f"{number:#.4g}"
    return f"{number:.0f}" if "e" in text else text.rstrip(".")


def signed(number: float, decimals: int) -> str:
    """Write a number with its sign, a true minus, and no sign on what rounds to zero."""
    text = f"{number:+.{decimals}f}"
    if float(text) == 0:
        return text[1:]
    return signless(text)


def signless(text: str) -> str:
    """Replace the hyphen of a negative number by a minus sign."""
    return text.replace("-", MINUS, 1) if text.startswith("-") else text
