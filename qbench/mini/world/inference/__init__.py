"""Exercises of ``mini.snli``: whether one sentence about a scene implies another."""

from qbench.mini.world.inference.comparisons import comparisons
from qbench.mini.world.inference.exercises import (
    SERIES,
    Pair,
    classes,
    draw_pairs,
    exercise,
    official_files,
    reserved,
    series,
    test_items,
    training,
)

__all__ = [
    "SERIES",
    "Pair",
    "classes",
    "comparisons",
    "draw_pairs",
    "exercise",
    "official_files",
    "reserved",
    "series",
    "test_items",
    "training",
]
