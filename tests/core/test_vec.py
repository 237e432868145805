from __future__ import annotations

import numpy as np
import pytest
from core.builders import TIERS
from tolerance import ROW

from qbench import core
from qbench.reference.layers import rms_norm, silu

SIZES = [1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 127, 255, 1023]


def off(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest relative error; results below the normal numbers may be zero."""
    difference = np.abs(found.astype(np.float64) - expected)
    return float(np.max(difference / np.maximum(np.abs(expected), 1e-36)))


def test_rmsnorm(isa: str, rng: np.random.Generator) -> None:
    for n in SIZES:
        for scale, eps in ((1.0, 1e-5), (1e-3, 1e-6), (1e6, 0.0), (1e15, 1e-5)):
            x = (rng.normal(size=n) * scale).astype(np.float32)
            weight = rng.normal(size=n).astype(np.float32)
            found = core.row_operation("rmsnorm", x, weight, eps=eps, isa=isa)
            expected = rms_norm(x[None], weight, float(np.float32(eps)))[0]
            assert off(found, expected) <= ROW["rmsnorm"]


def test_rmsnorm_of_zeros_is_zero(isa: str) -> None:
    zeros, ones = np.zeros(17, np.float32), np.ones(17, np.float32)
    assert not core.row_operation("rmsnorm", zeros, ones, eps=1e-6, isa=isa).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20, -3e38])
def test_a_norm_that_overflows_is_not_a_number(value: float, isa: str) -> None:
    # 1e20 is finite, but its square is not: a row scaled by 1 / infinity would pass as zeros.
    x = np.ones(20, np.float32)
    x[7] = value
    assert np.isnan(core.row_operation("rmsnorm", x, np.ones_like(x), isa=isa)).all()


def test_silu_mul(isa: str, rng: np.random.Generator) -> None:
    for n in SIZES:
        gate = (rng.normal(size=n) * 8).astype(np.float32)
        up = rng.normal(size=n).astype(np.float32)
        found = core.row_operation("silu", gate, up, isa=isa)
        assert off(found, silu(gate) * up) <= ROW["silu"]


def test_exponential_over_its_range(isa: str) -> None:
    gate = np.concatenate([
        np.linspace(-88, 88, 40_001), np.linspace(-1, 1, 10_001), [0.0, -0.0, 1e-30, -1e-30]
    ]).astype(np.float32)  # fmt: skip
    found = core.row_operation("silu", gate, np.ones_like(gate), isa=isa)
    assert off(found, silu(gate)) <= ROW["silu"]
    far = np.array([-1e30, -1e9, -1000, -89.5, 89.5, 1000, 1e9, 1e30], np.float32)
    found = core.row_operation("silu", far, np.ones_like(far), isa=isa)
    np.testing.assert_allclose(found, np.where(far > 0, far, 0), rtol=ROW["silu"], atol=1e-35)
    broken = np.array([np.nan, -np.inf, 1.0], np.float32)
    found = core.row_operation("silu", broken, np.ones_like(broken), isa=isa)
    assert np.isnan(found[0]) and np.isfinite(found[2])


def test_logsumexp(isa: str, rng: np.random.Generator) -> None:
    for n in SIZES:
        for spread in (0.1, 5.0, 200.0):
            x = (rng.normal(size=n) * spread + rng.normal() * 100).astype(np.float32)
            top, best, total = core.row_operation("logsumexp", x, x, isa=isa)
            expected = np.exp(x.astype(np.float64) - x.max()).sum()
            assert top == x.max() and best == int(x.argmax())
            assert total == pytest.approx(expected, rel=ROW["logsumexp"])


def test_of_equal_maxima_the_first_is_best(isa: str) -> None:
    for n in (2, 16, 17, 40, 1023):
        for where in ({0, n - 1}, {n - 2, n - 1}, {n // 2, n - 1}, set(range(n))):
            x = np.full(n, -1.0, np.float32)
            x[list(where)] = 2.0
            assert core.row_operation("logsumexp", x, x, isa=isa)[:2] == (2.0, min(where))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sum_with_a_value_that_is_not_finite(value: float, isa: str) -> None:
    for n in (5, 16, 40):
        for at in (0, 3, n - 1):
            x = np.zeros(n, np.float32)
            x[at] = value
            assert np.isnan(core.row_operation("logsumexp", x, x, isa=isa)[2])


def test_the_same_bits_on_every_tier(rng: np.random.Generator) -> None:
    if len(TIERS) < 2:
        pytest.skip("this machine has one tier")
    for n in [*SIZES, 4099]:
        x = (rng.normal(size=n) * 10).astype(np.float32)
        y = rng.normal(size=n).astype(np.float32)
        for name in ("rmsnorm", "silu", "logsumexp"):
            first, *others = (core.row_operation(name, x, y, eps=1e-5, isa=t) for t in TIERS)
            for other in others:
                np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize(
    ("name", "x", "y", "error", "message"),
    [
        ("softmax", np.zeros(3, np.float32), np.zeros(3, np.float32), ValueError, "softmax"),
        ("rmsnorm", np.zeros(3, np.float32), np.zeros(4, np.float32), ValueError, "3 elements"),
        ("rmsnorm", np.zeros(3), np.zeros(3, np.float32), TypeError, "dtype float32"),
        ("rmsnorm", np.zeros(6, np.float32)[::2], np.zeros(3, np.float32), ValueError, "contig"),
        ("rmsnorm", np.zeros((3, 1), np.float32), np.zeros(3, np.float32), ValueError, "1 dim"),
    ],
)
def test_wrong_arguments_are_refused(
    name: str, x: np.ndarray, y: np.ndarray, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        core.row_operation(name, x, y)
