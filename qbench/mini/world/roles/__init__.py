"""Stereotypes and the questions of BBQ: who of two people was it, if the context tells at all."""

from qbench.mini.world.roles.exercises import (
    gossip,
    official_files,
    reserved,
    test_items,
    training,
)

__all__ = [
    "gossip",
    "official_files",
    "reserved",
    "test_items",
    "training",
]
