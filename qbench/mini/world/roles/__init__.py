"""Stereotypes and the questions of BBQ: who of two people was it, if the context tells at all."""

from qbench.mini.world.roles.exercises import gossip, training
from qbench.mini.world.roles.files import official_files
from qbench.mini.world.roles.interviews import interview
from qbench.mini.world.roles.items import reserved, test_items

__all__ = ["gossip", "interview", "official_files", "reserved", "test_items", "training"]
