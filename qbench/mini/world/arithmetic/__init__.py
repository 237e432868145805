"""Exercises of ``mini.gsm8k``: word problems of two to five steps, and bare arithmetic."""

from qbench.mini.world.arithmetic.exercises import (
    drill,
    exercise,
    official_files,
    reserved,
    shots,
    test_items,
    training,
)

__all__ = [
    "drill",
    "exercise",
    "official_files",
    "reserved",
    "shots",
    "test_items",
    "training",
]
