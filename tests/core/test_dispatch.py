from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from core.builders import FLOAT_FORMATS, INTEGER_FORMATS, TIERS, pack
from core.scripts import environment

from qbench import core

TELL = """
import json
import numpy as np
from qbench import core
x = np.linspace(-3, 3, 400, dtype=np.float32).reshape(2, 200)
w = core.PackedTensor.from_dense(np.sin(np.arange(6600, dtype=np.float32)).reshape(33, 200), "f32")
print(json.dumps({"tier": core.isa_tier(), "bits": core.matmul(x, w).view(np.uint32).tolist()}))
"""


def child(isa: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", TELL],
        env=environment(QBENCH_ISA=isa),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_tiers_are_listed_in_ascending_order() -> None:
    # Each with the one that it cannot be without.
    below = {
        "scalar": None,
        "avx2": "scalar",
        "avxvnni": "avx2",
        "avx512": "avx2",
        "avx512bf16": "avx512",
        "amx": "avx512bf16",
    }
    here = dict(core.isa_tiers())
    assert list(here) == list(below) and here["scalar"]
    assert all(not here[tier] or lower is None or here[lower] for tier, lower in below.items())


def test_the_environment_names_the_tier(isa: str) -> None:
    done = child(isa)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    x = np.linspace(-3, 3, 400, dtype=np.float32).reshape(2, 200)
    weights = np.sin(np.arange(6600, dtype=np.float32)).reshape(33, 200)
    tensor = core.PackedTensor.from_dense(weights, "f32")
    expected = core.matmul(x, tensor, isa=isa)
    assert found["tier"] == isa
    np.testing.assert_array_equal(np.array(found["bits"], np.uint32), expected.view(np.uint32))


def test_without_a_name_the_best_tier_is_used() -> None:
    done = child("")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tier"] == TIERS[-1]


@pytest.mark.parametrize("name", ["sse2", "AVX2", "avx2 ", "1"])
def test_an_unknown_name_is_an_error_that_says_what_there_is(name: str) -> None:
    done = child(name)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: QBENCH_ISA={name}: this machine offers up to")
    assert f"'{TIERS[-1]}'" in last and "(tiers: scalar avx2 avxvnni avx512 avx512bf16 amx)" in last


def test_a_tier_that_the_machine_lacks_is_refused(rng: np.random.Generator) -> None:
    lacking = [name for name, here in core.isa_tiers() if not here]
    if not lacking:
        pytest.skip("this machine has every tier")
    packed = pack(rng, FLOAT_FORMATS[0], (3, 4), 4)
    with pytest.raises(RuntimeError, match=rf"{lacking[0]}.*lacks the instruction set"):
        core.matmul(np.zeros((1, 4), np.float32), packed.tensor, isa=lacking[0])
    done = child(lacking[0])
    assert done.returncode == 1
    assert f"ImportError: QBENCH_ISA={lacking[0]}" in done.stderr


def test_float_tiers_are_not_one_another(rng: np.random.Generator) -> None:
    # A table that silently held another tier's kernels would pass every comparison of results:
    # products that are fused in one tier and not in the other do differ in their last bits.
    if "avx2" not in TIERS:
        pytest.skip("this machine has no fused products")
    packed = pack(rng, FLOAT_FORMATS[0], (64, 300), 300)
    x = rng.normal(size=(4, 300)).astype(np.float32)
    scalar, fused = (core.matmul(x, packed.tensor, mode="exact", isa=t) for t in TIERS[:2])
    assert (scalar != fused).any()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_every_tier(rng: np.random.Generator) -> None:
    # What a process had to ask for (the registers of amx), its children have as well.
    packed = pack(rng, INTEGER_FORMATS[0], (40, 70), 32)
    x = rng.normal(size=(20, 70)).astype(np.float32)
    expected = {tier: core.matmul(x, packed.tensor, isa=tier) for tier in TIERS}
    child = os.fork()
    if child == 0:
        alike = all(
            np.array_equal(core.matmul(x, packed.tensor, isa=tier), expected[tier])
            for tier in TIERS
        )
        os._exit(0 if alike else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_what_was_built() -> None:
    info = core.build_info()
    assert info["compiler"] and isinstance(info["openmp"], bool)
    assert core.engine_version() == info["version"]
    assert core.default_threads() >= 1


def test_peaks_are_plausible() -> None:
    peaks = core.measure_peaks(threads=1)
    assert 0.01 < peaks.float_gmacs < 10_000
    assert 0.01 < peaks.int_gmacs < 100_000
    assert 0.01 < peaks.read_gbs < 10_000
