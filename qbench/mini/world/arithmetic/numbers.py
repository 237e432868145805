"""The numbers of word problems: whole, from 0 to 999, drawn so that every computation comes out.

Solutions compute as one does in the head, digit by digit from the first on: 47+38=77+8=85. Written
at once, results of two digits were right in 38 % of the steps after 9,000 steps of mini-large.
"""

from __future__ import annotations

from typing import NamedTuple

from qbench.mini.draws import Draws

LIMIT = 999


class Computation(NamedTuple):
    """``left operator right = result``, all whole numbers from 0 to 999."""

    left: int
    operator: str
    right: int
    result: int

    def mark(self) -> str:
        """Write it as the calculator marks of GSM8K, followed by the result."""
        return f"<<{'='.join(worked(self.left, self.operator, self.right))}>>{self.result}"


def compute(left: int, operator: str, right: int) -> Computation:
    """Compute; division must come out even."""
    if operator == "+":
        return Computation(left, operator, right, left + right)
    if operator == "-":
        return Computation(left, operator, right, left - right)
    if operator == "*":
        # The longer factor first, everywhere: one table of products to learn instead of two.
        left, right = max(left, right), min(left, right)
        return Computation(left, operator, right, left * right)
    return Computation(left, operator, right, left // right)


def worked(left: int, operator: str, right: int) -> list[str]:
    """Write a computation and the simpler ones that it becomes, up to the result.

    Sums and differences take the digits of the right number one by one; products and quotients go
    over those of the tens and the ones: ``["34*7", "210+28", "230+8", "238"]``.
    """
    task, result = f"{left}{operator}{right}", compute(left, operator, right).result
    if operator in "+-":
        rest = right % 10 ** (len(str(right)) - 1)
        if not rest:
            return [task, str(result)]
        return [task, *worked(compute(left, operator, right - rest).result, operator, rest)]
    split = left if operator == "*" else result
    ones, tens = split % 10, split - split % 10
    if not (tens and ones):
        return [task, str(result)]
    if operator == "*":
        return [task, *worked(tens * right, "+", ones * right)]
    return [task, f"{tens * right}/{right}+{ones * right}/{right}", *worked(tens, "+", ones)]


def _term(draws: Draws, top: int) -> int:
    """Draw something to add or take away: mostly two digits, sometimes three."""
    low = 100 if top > 120 and draws.chance(0.1) else 2
    return draws.between(low, min(top, 499 if low == 100 else 60))


def _factors(draws: Draws, top: int) -> tuple[int, int] | None:
    """Draw a number of one digit and one of mostly two whose product is at most ``top``."""
    b = draws.between(2, 9)
    low, most = (2, 12) if draws.chance(0.6) else (11, 40)
    high = min(most, top // b)
    return (b, draws.between(low, high)) if high >= low else None


def open_numbers(rule: str, draws: Draws) -> tuple[dict[str, int], list[Computation], int]:
    """Draw the numbers of an opening: what is told, the computations and the quantity."""
    if rule == "given":
        a = draws.between(100, 600) if draws.chance(0.12) else draws.between(8, 99)
        return {"a": a}, [], a
    if rule == "sum":
        a, b = _term(draws, 400), _term(draws, 400)
        done = compute(a, "+", b)
        return {"a": a, "b": b}, [done], done.result
    if rule == "quotient":
        b, share = draws.between(2, 9), draws.between(3, 40)
        return {"a": b * share, "b": b}, [compute(b * share, "/", b)], share
    b, c = _factors(draws, LIMIT) or (2, 12)
    done = compute(b, "*", c)
    return {"b": b, "c": c}, [done], done.result


def step_numbers(
    rule: str, value: int, other: int, draws: Draws
) -> tuple[dict[str, int], list[Computation]] | None:
    """Draw the numbers of a step from a quantity, or None if none fit.

    ``other`` is the quantity of the person compared with, for totals and differences.
    """
    if rule in ("add", "missing") and value <= LIMIT - 10:
        k = _term(draws, LIMIT - value)
        if rule == "add":
            return {"k": k}, [compute(value, "+", k)]
        return {"k": value + k}, [compute(value + k, "-", value)]
    if rule == "sub" and value >= 6:
        k = _term(draws, value - 2)
        return {"k": k}, [compute(value, "-", k)]
    if rule == "half" and value % 2 == 0 and 4 <= value < 200:
        return {}, [compute(value, "/", 2)]
    if rule == "twice" and 2 <= value < 100:
        return {}, [compute(value, "*", 2)]
    if rule == "times" and 2 <= value <= 60:
        k = draws.between(3, 9)
        return {"k": k}, [compute(value, "*", k)]
    if rule == "divide":
        fits = [k for k in range(2, 10) if value % k == 0 and 2 <= value // k <= 60]
        if fits:
            k = draws.pick(fits)
            return {"k": k}, [compute(value, "/", k)]
    if rule in ("add_product", "sub_product"):
        factors = _factors(draws, LIMIT - value if rule == "add_product" else value - 1)
        if factors:
            first = compute(factors[0], "*", factors[1])
            sign = "+" if rule == "add_product" else "-"
            return dict(zip("bc", factors, strict=True)), [
                first,
                compute(value, sign, first.result),
            ]
    if rule == "total" and other + value <= LIMIT:
        return {}, [compute(other, "+", value)]
    if rule == "gap" and value > other:
        return {}, [compute(value, "-", other)]
    return None
