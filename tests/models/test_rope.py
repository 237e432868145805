from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from qbench.errors import CheckpointError
from qbench.models.rope import RopeSpec
from qbench.models.rope_config import read_rope
from qbench.models.strict_json import Fields

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def read(**config: Any) -> RopeSpec:
    return read_rope(Fields(config, "c.json"), 2048, 8)


@pytest.mark.parametrize("theta", [10000.0, 500000.0, 1e6, 7.3])
@pytest.mark.parametrize("head_dim", [2, 6, 8, 16, 64, 80, 128])
def test_default_is_the_formula(theta: float, head_dim: int) -> None:
    found = RopeSpec(theta).inv_freq(head_dim)
    exact = [theta ** (-2 * i / head_dim) for i in range(head_dim // 2)]
    assert found.dtype == np.float32 and found.shape == (head_dim // 2,)
    np.testing.assert_allclose(found, exact, rtol=2e-6)
    assert found[0] == 1.0


def test_linear_divides() -> None:
    base, scaled = RopeSpec(1e4).inv_freq(16), RopeSpec(1e4, "linear", 4.0).inv_freq(16)
    np.testing.assert_array_equal(scaled, base / 4)


def test_llama3_keeps_short_and_divides_long_wavelengths() -> None:
    spec = RopeSpec(5e5, "llama3", 8.0, 1.0, 4.0, 8192)
    base, found = RopeSpec(5e5).inv_freq(128).astype(float), spec.inv_freq(128)
    for plain, scaled in zip(base, found, strict=True):
        wavelength = 2 * math.pi / plain
        ramp = min(1.0, max(0.0, (8192 / wavelength - 1) / 3))
        assert scaled == pytest.approx((1 - ramp) * plain / 8 + ramp * plain, rel=1e-5)
    assert found[0] == 1.0 and found[-1] == pytest.approx(base[-1] / 8)


SPELLINGS: list[tuple[dict[str, Any], RopeSpec]] = [
    ({}, RopeSpec(1e4)),
    ({"rope_theta": 5}, RopeSpec(5.0)),
    ({"rope_theta": 1e6, "rope_scaling": None}, RopeSpec(1e6)),
    ({"rope_scaling": {"type": "default"}}, RopeSpec(1e4)),
    ({"rope_scaling": {"type": "linear", "factor": 2}}, RopeSpec(1e4, "linear", 2.0)),
    ({"rope_scaling": {"rope_type": "linear", "factor": 2.5}}, RopeSpec(1e4, "linear", 2.5)),
    ({"rope_scaling": {"rope_type": "default", "type": "linear"}}, RopeSpec(1e4)),
    (
        {"rope_parameters": {"rope_type": "default", "rope_theta": 100000}},
        RopeSpec(100000.0),
    ),
    ({"rope_theta": 7.0, "rope_parameters": {"rope_type": "default"}}, RopeSpec(7.0)),
    ({"rope_theta": 7.0, "rope_parameters": {"rope_theta": 9.0}}, RopeSpec(9.0)),
    ({"rope_parameters": LLAMA3}, RopeSpec(1e4, "llama3", 8.0, 1.0, 4.0, 8192)),
    (
        {"rope_theta": 5e5, "rope_scaling": LLAMA3},
        RopeSpec(5e5, "llama3", 8.0, 1.0, 4.0, 8192),
    ),
    (
        {"rope_scaling": {k: v for k, v in LLAMA3.items() if not k.startswith("orig")}},
        RopeSpec(1e4, "llama3", 8.0, 1.0, 4.0, 2048),
    ),
    (
        {"rope_scaling": LLAMA3, "original_max_position_embeddings": 4096},
        RopeSpec(1e4, "llama3", 8.0, 1.0, 4.0, 4096),
    ),
]


@pytest.mark.parametrize("case", range(len(SPELLINGS)))
def test_spellings(case: int) -> None:
    config, expected = SPELLINGS[case]
    assert read(**config) == expected


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"rope_scaling": {"type": "xpos"}}, "'xpos' is not supported; known: default"),
    ({"rope_scaling": {"type": "dynamic"}}, "factor: expected"),
    ({"rope_scaling": {"type": "su"}}, "short_factor: expected a list of 4 positive numbers"),
    (
        {"rope_parameters": {"rope_type": "longrope", "short_factor": [1, 1, 1, 0]}},
        "short_factor: expected a list of 4 positive numbers",
    ),
    ({"rope_theta": -1.0}, "rope_theta: expected a number between 0 and inf"),
    ({"rope_theta": True}, "found the boolean True"),
    ({"rope_theta": "10000"}, "found the string"),
    ({"rope_scaling": [1]}, "rope_scaling: expected an object"),
    ({"rope_scaling": {"type": "linear"}}, "factor: expected a number between 0 and 1e+06"),
    ({"rope_scaling": {"type": "linear", "factor": 0}}, "factor: expected"),
    ({"rope_scaling": {"type": 3}}, "type: expected a string"),
    ({"rope_scaling": {**LLAMA3, "high_freq_factor": 1.0}}, "above low_freq_factor (1)"),
    ({"rope_scaling": {**LLAMA3, "low_freq_factor": None}}, "low_freq_factor: expected a number"),
    ({"rope_scaling": {**LLAMA3, "original_max_position_embeddings": 8.5}}, "an integer in"),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_wrong_values(case: int) -> None:
    config, fragment = WRONG[case]
    with pytest.raises(CheckpointError) as caught:
        read(**config)
    assert fragment in str(caught.value) and "c.json" in str(caught.value)


def transformers_inv_freq(spec: RopeSpec, head_dim: int) -> np.ndarray:
    transformers = pytest.importorskip("transformers", reason="the oracle is not installed")
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    parameters = {"rope_type": spec.kind, "rope_theta": spec.theta}
    if spec.kind != "default":
        parameters["factor"] = spec.factor
    if spec.kind == "llama3":
        parameters["low_freq_factor"] = spec.low_freq_factor
        parameters["high_freq_factor"] = spec.high_freq_factor
        parameters["original_max_position_embeddings"] = spec.original_context
    config = transformers.LlamaConfig(
        hidden_size=2 * head_dim,
        num_attention_heads=2,
        num_hidden_layers=1,
        head_dim=head_dim,
        rope_parameters=parameters,
        max_position_embeddings=131072,
    )
    return llama.LlamaRotaryEmbedding(config).inv_freq.numpy()


KINDS = [("default", 1.0), ("linear", 4.0), ("linear", 3.0), ("llama3", 8.0), ("llama3", 32.0)]


@pytest.mark.parity
@pytest.mark.parametrize(("kind", "factor"), KINDS)
@pytest.mark.parametrize(
    ("theta", "head_dim"), [(1e4, 8), (1e4, 16), (1e4, 64), (1e4, 128), (5e5, 64), (5e5, 128)]
)
def test_bit_equal_to_transformers(kind: str, factor: float, theta: float, head_dim: int) -> None:
    spec = RopeSpec(theta, kind, factor, 1.0, 4.0, 8192)
    theirs = transformers_inv_freq(spec, head_dim)
    np.testing.assert_array_equal(spec.inv_freq(head_dim).view("u4"), theirs.view("u4"))


@pytest.mark.parity
@pytest.mark.parametrize(("kind", "factor"), KINDS)
@pytest.mark.parametrize("theta", [1e4, 1e5, 1.5e5, 2.5e5, 5e5, 1e6, 5e6, 1e5 + 0.1])
def test_within_torchs_own_error(kind: str, factor: float, theta: float) -> None:
    # torch's float32 power is not correctly rounded; see RopeSpec.inv_freq.
    for head_dim in (2, 6, 10, 32, 48, 64, 80, 96, 128, 256):
        spec = RopeSpec(theta, kind, factor, 1.0, 4.0, 8192)
        theirs, ours = transformers_inv_freq(spec, head_dim), spec.inv_freq(head_dim)
        np.testing.assert_array_max_ulp(ours, theirs, maxulp=2 if kind != "llama3" else 16)
        assert (ours == theirs).mean() > 0.85
