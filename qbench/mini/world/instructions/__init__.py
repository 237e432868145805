"""Exercises of ``mini.followbench``: short writing tasks with demands that rules can check."""

from qbench.mini.world.instructions.exercises import (
    LEVEL_SHARES,
    Item,
    check,
    draw,
    keys,
    official_files,
    reserved,
    test_items,
    training,
)

__all__ = [
    "LEVEL_SHARES",
    "Item",
    "check",
    "draw",
    "keys",
    "official_files",
    "reserved",
    "test_items",
    "training",
]
