from __future__ import annotations

import math

import numpy as np
import pytest

from qbench.reference.layers import linear, log_softmax, rms_norm, rotate, silu, swiglu

SIZES = [1, 2, 3, 7, 16, 33]


@pytest.mark.parametrize("size", SIZES)
def test_linear_and_norm_one_number_at_a_time(size: int, rng: np.random.Generator) -> None:
    x, weight = rng.normal(size=(3, size)), rng.normal(size=(5, size))
    out = linear(x, weight)
    for token in range(3):
        for row in range(5):
            exact = math.fsum(
                float(a) * float(b) for a, b in zip(x[token], weight[row], strict=True)
            )
            assert out[token, row] == pytest.approx(exact, rel=1e-12, abs=1e-12)
    normed = rms_norm(x, weight[0], 1e-3)
    for token in range(3):
        scale = math.sqrt(math.fsum(v * v for v in x[token]) / size + 1e-3)
        np.testing.assert_allclose(normed[token], x[token] / scale * weight[0], rtol=1e-12)


def test_rotation_is_a_rotation(rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 3, 6))
    positions, inv_freq = np.array([0, 1, 5, 100]), np.array([1.0, 0.1, 0.01])
    out = rotate(x, positions, inv_freq)
    np.testing.assert_array_equal(out[0], x[0])
    for token, position in enumerate(positions):
        for pair, frequency in enumerate(inv_freq):
            turn = complex(math.cos(position * frequency), math.sin(position * frequency))
            expected = (x[token, :, pair] + 1j * x[token, :, pair + 3]) * turn
            np.testing.assert_allclose(out[token, :, pair], expected.real, atol=1e-12)
            np.testing.assert_allclose(out[token, :, pair + 3], expected.imag, atol=1e-12)


def test_rotated_products_depend_on_the_distance(rng: np.random.Generator) -> None:
    q, k = rng.normal(size=(1, 1, 8)), rng.normal(size=(1, 1, 8))
    inv_freq = 1 / 10000 ** (np.arange(4) / 4)

    def score(at: int, other: int) -> float:
        a, b = (rotate(v, np.array([p]), inv_freq) for v, p in ((q, at), (k, other)))
        return float((a * b).sum())

    assert score(7, 3) == pytest.approx(score(104, 100), rel=1e-10)
    assert score(7, 3) != pytest.approx(score(3, 7), rel=1e-3)


def test_silu_and_swiglu(rng: np.random.Generator) -> None:
    points = np.array([-1e4, -20.0, -1.0, 0.0, 0.5, 30.0, 1e4])
    exact = [x / (1 + math.exp(-x)) if x > -700 else 0.0 for x in points]
    np.testing.assert_allclose(silu(points), exact, rtol=1e-14)
    gate, up = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    inner = [
        [g / (1 + math.exp(-g)) * u for g, u in zip(*row, strict=True)]
        for row in zip(gate, up, strict=True)
    ]
    np.testing.assert_allclose(swiglu(gate, up), inner, rtol=1e-12)
    assert np.abs(swiglu(gate, up) - swiglu(up, gate)).max() > 1e-3


def test_log_softmax() -> None:
    logits = np.array([[1000.0, 1001.0, 999.0], [-1e4, 0.0, -np.inf]])
    found = log_softmax(logits)
    total = math.exp(-1) + 1 + math.exp(-2)
    np.testing.assert_allclose(np.exp(found[0]), np.array([math.exp(-1), 1, math.exp(-2)]) / total)
    assert found[1].tolist() == [-1e4, 0.0, -np.inf]
