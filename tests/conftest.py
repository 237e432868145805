"""Fixtures that every part of the suite shares, and nothing else."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

# Before anything is imported that reads them: no test may reach for the network, a tokenizer that
# has started threads warns at every fork, and OpenBLAS spins for cores that other processes have
# (the references took 20 times as long on a busy machine).
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest

# Machines are shared: how long an example takes there says nothing about the code.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")

ROOT = Path(__file__).resolve().parent.parent


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `isa`, the name of a tier, once per tier.

    A tier is a value that the test passes on; those that the machine lacks show as skips.
    """
    if "isa" not in metafunc.fixturenames:
        return
    from qbench import core

    lacking = pytest.mark.skip(reason="this machine lacks the tier")
    tiers = [
        pytest.param(name, marks=() if here else lacking)
        for name, here in dict(core.isa_tiers()).items()
    ]
    metafunc.parametrize("isa", tiers)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of third-party material: $QBENCH_SHARED, else beside the repository."""
    named = os.environ.get("QBENCH_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no third-party material: {folder} does not exist (set QBENCH_SHARED)")
    return folder


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Return a generator of its own for each test, the same in every run."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """Return the folder of the trained test model (tools/make_fixture.py makes it)."""
    return ROOT / "tests" / "fixtures" / "tiny"


@pytest.fixture(scope="session")
def tiny_data() -> Path:
    """Return the data folder whose packs come from the test model's own world."""
    return ROOT / "tests" / "fixtures" / "data"


@pytest.fixture(scope="session")
def tiny_weights(tiny_model: Path) -> dict[str, np.ndarray]:
    """Return the test model's weights by name, in float32."""
    from qbench.models import Checkpoint
    from qbench.quant.floats import as_float32

    with Checkpoint.open(tiny_model) as checkpoint:
        stored = {name: checkpoint.read(name) for name in checkpoint.names}
        return {name: np.array(as_float32(w.array, w.dtype)) for name, w in stored.items()}


@pytest.fixture(scope="session")
def outlier_weights(tiny_weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the same with outlier features in channels 5 and 40; it computes the same logits."""
    from outliers import with_outliers

    return with_outliers(tiny_weights, (5, 40))
