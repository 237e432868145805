"""Draw the training of the embedded family from the logs of its runs: loss against tokens.

    python tools/mini_curves.py qbench/mini/models/logs/*.jsonl --out docs/mini-training.png

Losses of different stages are of different texts, so that a curve jumps where a stage begins.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker

Lines = list[dict[str, Any]]


def read(file: Path) -> Lines:
    """Read the lines of a log that hold a loss."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if "loss" in line]


def stage_ends(lines: Lines) -> list[tuple[str, float]]:
    """Names of the stages and the share of all tokens that each of them ends at."""
    ends = {line["stage"]: line["tokens"] / lines[-1]["tokens"] for line in lines}
    return list(ends.items())


def draw(logs: dict[str, Lines], out: Path) -> None:
    """Draw one curve for each size, over the share of its tokens."""
    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    for name, lines in logs.items():
        total = lines[-1]["tokens"]
        label = f"{name} ({total / 1e6:.0f} M tokens)"
        shares = [line["tokens"] / total for line in lines]
        axes.plot(shares, [line["loss"] for line in lines], linewidth=1, label=label)
    begin = 0.0
    for number, (stage, end) in enumerate(stage_ends(next(iter(logs.values())))):
        axes.axvspan(begin, end, color="0.94" if number % 2 else "1.0", zorder=0)
        axes.text((begin + end) / 2, 0.97, stage, ha="center", va="top", fontsize=8,
                  transform=axes.get_xaxis_transform())  # fmt: skip
        begin = end
    axes.set(xlim=(0, 1), yscale="log", xlabel="share of the training tokens", ylabel="loss (nats)")
    # Room for the names of the stages, and losses as plain numbers.
    axes.set_ylim(top=1.6 * axes.get_ylim()[1])
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.legend(loc="lower left", frameon=False)
    figure.savefig(out, dpi=150)


def main() -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(description="Draw the training of the embedded family.")
    parser.add_argument("logs", nargs="+", type=Path, help="log.jsonl of runs, named by size")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    draw({file.stem: read(file) for file in asked.logs}, asked.out)


if __name__ == "__main__":
    main()
