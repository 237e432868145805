"""The canonical quantized matrix: values, bits, checks, and its way into the core."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from qbench.errors import CheckpointError
from qbench.quant import floats
from qbench.quant.quantize import quantize_tensor
from qbench.quant.tensor import QuantizedTensor, n_groups

TYPE_BITS = {"bf16": 16, "f16": 16, "f32": 32}


def random_tensor(
    rng: np.random.Generator, n_out: int, n_in: int, bits: int, group: int, symmetric: bool
) -> QuantizedTensor:
    shape = (n_out, n_groups(n_in, group))
    codes = rng.integers(0, 1 << bits, (n_out, n_in), dtype=np.uint8)
    scales = rng.integers(1, 128, shape).astype(np.float32) / 64
    zeros = None if symmetric else rng.integers(0, 1 << bits, shape, dtype=np.uint8)
    return QuantizedTensor(codes, scales, zeros, bits, group, "bf16")


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [8, 4, 3, 2])
@pytest.mark.parametrize(("n_in", "group"), [(1, 1), (15, 15), (33, 16), (64, 32), (172, 100)])
def test_dequantize(
    n_in: int,
    group: int,
    bits: int,
    symmetric: bool,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(floats, "BLOCK_VALUES", 90)
    tensor = random_tensor(rng, 5, n_in, bits, group, symmetric)
    found = tensor.dequantize()
    for row in range(5):
        for column in range(n_in):
            place = row, column // group
            zero = 1 << (bits - 1) if tensor.zeros is None else int(tensor.zeros[place])
            steps = int(tensor.codes[row, column]) - zero
            assert found[row, column] == np.float32(float(tensor.scales[place]) * steps)


@pytest.mark.parametrize("scale", ["bf16", "f16", "f32"])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [8, 4, 3, 2])
@pytest.mark.parametrize("group", [32, 128, 0])
def test_storage_bits_follow_the_formula(
    group: int, bits: int, symmetric: bool, scale: str, rng: np.random.Generator
) -> None:
    """The formula b + (scale bits + b) / g; a symmetric grid stores no zero points."""
    values = rng.standard_normal((6, 256)).astype(np.float32)
    form = f"rtn-w{bits}{f'g{group}' if group else 'gr'}{'-sym' if symmetric else ''}"
    tensor = quantize_tensor(values, f"{form}{{scale={scale}}}")
    per_group = TYPE_BITS[scale] + (0 if symmetric else bits)
    assert tensor.storage_bits / values.size == bits + per_group / (group or 256)


@pytest.mark.parametrize(
    ("bits", "group", "published"),
    [(4, 128, 4.156), (3, 128, 3.148), (2, 128, 2.141), (2, 64, 2.281), (8, 128, 8.188)],
)
def test_bits_per_weight_are_the_published_ones(bits: int, group: int, published: float) -> None:
    values = np.linspace(-1, 1, 4 * 512, dtype=np.float32).reshape(4, 512)
    tensor = quantize_tensor(values, f"rtn-w{bits}g{group}{{scale=f16}}")
    assert round(tensor.storage_bits / values.size + 1e-9, 3) == published


def test_a_tail_group_counts_as_a_group() -> None:
    tensor = quantize_tensor(np.ones((3, 33), dtype=np.float32), "rtn-w4g32")
    assert tensor.storage_bits == 3 * (33 * 4 + 2 * (16 + 4))


BROKEN = {
    "code": (lambda t: {"codes": t.codes + np.uint8(16)}, "codes reach"),
    "zero": (lambda t: {"zeros": t.zeros + np.uint8(16)}, "zeros reach"),
    "scale shape": (lambda t: {"scales": t.scales[:, :1]}, "scales have shape"),
    "zero shape": (lambda t: {"zeros": t.zeros[:1]}, "zeros have shape"),
    "zero scale": (lambda t: {"scales": t.scales * 0}, "positive and finite"),
    "infinite scale": (lambda t: {"scales": t.scales / np.float32(0)}, "positive and finite"),
    "negative scale": (lambda t: {"scales": -t.scales}, "positive and finite"),
    "scale type": (lambda t: {"scales": t.scales * np.float32(1.001)}, "not of its type bf16"),
    "group": (lambda t: {"group": 0}, "groups of 0"),
    "bits": (lambda t: {"bits": 9}, "9 bits"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_check_refuses(case: str, rng: np.random.Generator) -> None:
    tensor = random_tensor(rng, 3, 40, 4, 32, symmetric=False)
    tensor.check("w")
    change, message = BROKEN[case]
    with np.errstate(divide="ignore"):
        broken = dataclasses.replace(tensor, **change(tensor))
    with pytest.raises(CheckpointError, match=f"tensor w: .*{message}"):
        broken.check("w")


@pytest.mark.parametrize("form", ["w8g32", "w4g32", "w4g128-sym", "w3gr", "w2g16-sym", "w3g50"])
@pytest.mark.parametrize("n_in", [1, 33, 172])
def test_the_core_holds_the_same_codes(form: str, n_in: int, rng: np.random.Generator) -> None:
    pytest.importorskip("qbench.core", reason="the core is not built")
    tensor = quantize_tensor(rng.standard_normal((37, n_in)).astype(np.float32), f"rtn-{form}")
    packed = tensor.pack()
    assert packed.shape == tensor.shape
    assert np.array_equal(packed.codes(), tensor.codes)
    assert np.array_equal(packed.scales(), tensor.scales)
    zeros = packed.zeros()
    if tensor.zeros is None:
        middle = 1 << (tensor.bits - 1)
        assert zeros is None or (zeros == middle).all()
    else:
        assert np.array_equal(zeros, tensor.zeros)
    assert np.array_equal(packed.dequantize(), tensor.dequantize())
