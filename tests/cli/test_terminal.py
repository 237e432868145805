"""JSON for anything the library returns, and no overwriting by accident."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from qbench.cli.terminal import console, plain, refuse_existing, safe
from qbench.errors import RequestError


@dataclass(frozen=True)
class Record:
    path: Path
    value: float | None


class Pair(NamedTuple):
    a: int
    b: tuple[str, ...]


def test_everything_becomes_json() -> None:
    given = {
        "record": Record(Path("a/b"), math.nan), "pair": Pair(1, ("x", "y")), 3: np.float64(0.5),
        "n": np.int32(7), "set": frozenset({"b", "a"}), "none": None, "flag": True,
    }  # fmt: skip
    assert plain(given) == {
        "record": {"path": "a/b", "value": None}, "pair": {"a": 1, "b": ["x", "y"]}, "3": 0.5,
        "n": 7, "set": ["a", "b"], "none": None, "flag": True,
    }  # fmt: skip
    assert plain([math.inf, -math.inf, 1.5]) == [None, None, 1.5]
    with pytest.raises(TypeError):
        plain(object())


def test_names_are_neither_markup_nor_control() -> None:
    screen = console()
    with screen.capture() as captured:
        screen.print(safe("[red]a[/red]\x1b[31m\u202eb\nc"))
        screen.print("store: [red]x")  # plain text, such as a path
    assert captured.get() == "[red]a[/red][31mb c\nstore: [red]x\n"


def test_nothing_is_overwritten_by_accident(tmp_path: Path) -> None:
    path = tmp_path / "x"
    refuse_existing(path, force=False)
    path.write_text("mine")
    refuse_existing(path, force=True)
    with pytest.raises(RequestError, match="--force"):
        refuse_existing(path, force=False)
    with pytest.raises(RequestError, match="no folder"):
        refuse_existing(tmp_path / "no" / "x", force=True)
