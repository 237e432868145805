"""A toy study on disk, and the command line as a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from study.toys import make_world, toy_study

from qbench.cli.main import main


class Outcome(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out)

    def error(self, *fragments: str) -> str:
        """Check that there is one clear line of error, and return it."""
        lines = self.err.strip().splitlines()
        assert self.code != 0 and len(lines) == 1 and lines[0].startswith("qbench: error: "), self
        assert "Traceback" not in self.err
        for fragment in fragments:
            assert fragment in lines[0]
        return lines[0]


Qbench = Callable[..., Outcome]


@pytest.fixture
def qbench(capsys: pytest.CaptureFixture[str]) -> Qbench:
    """Run a command line in this process."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two toy models, data, and a finished store with one failed model."""
    world = make_world(tmp_path_factory.mktemp("world"), n_items=60)
    broken = world.small.parent / "broken"
    broken.mkdir()
    (broken / "weights").write_text("broken")
    study = toy_study(
        world, models=[world.small, world.big, broken], recipes=["f32", "rtn-w8g32", "rtn-w2g32"]
    )
    study.run()
    return world


@pytest.fixture
def store(world: SimpleNamespace) -> Path:
    """Path of the finished store."""
    return Path(world.store)
