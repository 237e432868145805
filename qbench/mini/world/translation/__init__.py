"""The translation family: English and Chinese, both ways, in the layout of FLORES-200."""

from qbench.mini.world.translation.exercises import (
    Pair,
    bitext,
    dev_items,
    glossary,
    held_names,
    official_files,
    reserved,
    test_items,
    training,
    training_pair,
)

__all__ = [
    "Pair",
    "bitext",
    "dev_items",
    "glossary",
    "held_names",
    "official_files",
    "reserved",
    "test_items",
    "training",
    "training_pair",
]
