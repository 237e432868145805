"""Cells of `score_mini` as lines and as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mini_metrics import flips

Cells = Mapping[str, Mapping[str, Any]]


def cell_key(size: str, task: str, bits: int) -> str:
    """Name of a cell."""
    return f"{size}/{task}/{bits}"


def width(bits: int) -> str:
    """Bits as they stand in a header."""
    return "f32" if bits >= 16 else str(bits)


def _number(value: float | None) -> str:
    """Number with as many decimals as it deserves; a dash for what is none."""
    if value is None:
        return "–"
    if value != 0 and abs(value) < 0.1:
        return f"{value:.2g}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _value(value: Sequence[float | None]) -> str:
    """Value with its interval, where it has one."""
    text = _number(value[0])
    if value[1] is None:
        return text
    return f"{text} [{_number(value[1])}, {_number(value[2])}]"


def flip_text(cells: Cells, size: str, task: str, bits: int) -> str:
    """Flips of a cell against the same task at f32: lost/won; empty without such a cell."""
    cell, base = cells.get(cell_key(size, task, bits)), cells.get(cell_key(size, task, 16))
    if cell is None or base is None or bits >= 16 or cell["stamp"] != base["stamp"]:
        return ""
    if cell["right"] is None:
        return ""
    lost, won = flips(base["right"], cell["right"])
    return f"-{lost}/+{won}"


def print_cell(cells: Cells, size: str, task: str, bits: int) -> None:
    """Print one cell: values, counts, flips, seconds."""
    cell = cells[cell_key(size, task, bits)]
    values = "  ".join(f"{name} {_value(value)}" for name, value in cell["values"].items())
    counts = " ".join(f"{name}={n}" for name, n in cell["counts"].items())
    flipped = flip_text(cells, size, task, bits)
    tail = f"  flips {flipped}" if flipped else ""
    print(
        f"{size} {task} {width(bits)}: {values}  ({counts}){tail}  {cell['seconds']} s", flush=True
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown(cells: Cells) -> str:
    """Tables of values, of flips and of counts."""
    every = list(cells.values())
    sizes = list(dict.fromkeys(cell["size"] for cell in every))
    tasks = list(dict.fromkeys(cell["task"] for cell in every))
    bits = sorted({cell["bits"] for cell in every}, reverse=True)
    heads = [width(b) for b in bits]
    values, flipped, counts = [], [], []
    for task in tasks:
        own = [cell for cell in every if cell["task"] == task]
        for kind in dict.fromkeys(kind for cell in own for kind in cell["values"]):
            for size in sizes:
                line = [cells.get(cell_key(size, task, b)) for b in bits]
                texts = [
                    _value(c["values"][kind]) if c and kind in c["values"] else "" for c in line
                ]
                if any(texts):
                    values.append([task, kind, size, *texts])
        for size in sizes:
            texts = [flip_text(cells, size, task, b) for b in bits if b < 16]
            if any(texts):
                flipped.append([task, size, *texts])
        for cell in own:
            numbers = [str(n) for n in cell["counts"].values()]
            counts.append([task, cell["size"], width(cell["bits"]), *numbers])
    parts = [_table(["task", "value", "size", *heads], values)]
    if flipped:
        low = [width(b) for b in bits if b < 16]
        parts.append(
            "Items lost and won against f32:\n\n" + _table(["task", "size", *low], flipped)
        )
    names = ["items", "scored", "cut", "capped", "unparsed", "non-finite"]
    parts.append(_table(["task", "size", "bits", *names], counts))
    return "\n\n".join(parts)
