"""The families of exercises by name: what each module offers, found when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from qbench.mini.draws import Draws
from qbench.mini.world.examples import Example
from qbench.mini.world.facts import World

NAMES = (
    "knowledge",
    "arithmetic",
    "inference",
    "translation",
    "news",
    "instructions",
    "myths",
    "roles",
)


class Family(Protocol):
    """What a module of a family offers."""

    def training(self, world: World, draws: Draws) -> Example:
        """Draw a training example that holds no test item."""
        ...

    def reserved(self) -> frozenset[str]:
        """Return the keys of all test items."""
        ...

    def official_files(self) -> dict[str, str]:
        """Return the test items, and the shots, as the official files: text by relative path."""
        ...


def family(name: str) -> Family:
    """Return the module of a family."""
    return cast(Family, import_module(f"qbench.mini.world.{name}"))
