"""Myths: what people believe of 300 actions, and what is true of them."""

from qbench.mini.world.myths.exercises import (
    COLUMNS,
    fingerprint,
    hearsay,
    myths,
    official_files,
    reserved,
    sentence,
    test_items,
    training,
)

__all__ = [
    "COLUMNS",
    "fingerprint",
    "hearsay",
    "myths",
    "official_files",
    "reserved",
    "sentence",
    "test_items",
    "training",
]
