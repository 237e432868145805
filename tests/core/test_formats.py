from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.builders import FLOAT_FORMATS, INTEGER_FORMATS, pack_codes, pack_float, round_scale

from qbench import core
from qbench.errors import FormatError, NonFiniteError

GROUPS = [1, 2, 3, 5, 16, 17, 24, 32, 48, 100, 128, 129, 200, 256]
INPUTS = [1, 2, 3, 5, 15, 16, 17, 31, 33, 63, 127, 172, 255, 1023]
ROWS = [1, 31, 32, 33, 65]
SCALE_TYPES = ["bf16", "f16", "f32"]


def test_the_list_of_formats() -> None:
    found = {f.name: (f.bits, f.kind) for f in core.formats()}
    expected = {"f32": (32, "float"), "f16": (16, "float"), "bf16": (16, "float")}
    for bits in (8, 4, 3, 2):
        expected[f"q{bits}s"] = (bits, "symmetric")
        expected[f"q{bits}a"] = (bits, "asymmetric")
    assert found == expected and len(core.formats()) == len(expected)


@pytest.mark.parametrize("fmt", INTEGER_FORMATS, ids=lambda f: f.name)
def test_codes_come_back(fmt: core.WeightFormat, rng: np.random.Generator) -> None:
    cases = [(k, g) for i, k in enumerate(INPUTS) for g in {*GROUPS[i % 4 :: 4], k} if g <= k]
    for number, (n_inputs, group) in enumerate(cases):
        rows, scale_type = ROWS[number % len(ROWS)], SCALE_TYPES[number % 3]
        packed = pack_codes(rng, fmt, (rows, n_inputs), group, scale_type)
        tensor = packed.tensor
        assert tensor.shape == (rows, n_inputs) and tensor.format == fmt.name
        assert (tensor.group, tensor.scale_type) == (group, scale_type)
        np.testing.assert_array_equal(tensor.codes(), packed.codes)
        np.testing.assert_array_equal(tensor.scales(), packed.scales)
        zeros = tensor.zeros()
        assert (zeros is None) == (fmt.kind == "symmetric")
        if zeros is not None:
            np.testing.assert_array_equal(zeros, packed.zeros)
        np.testing.assert_array_equal(tensor.dequantize(), packed.values.astype(np.float32))


@pytest.mark.parametrize("fmt", INTEGER_FORMATS, ids=lambda f: f.name)
def test_size_in_memory(fmt: core.WeightFormat, rng: np.random.Generator) -> None:
    # 33 rows are two panels of 32; groups of 24 are padded to 32 positions; header: scales, zeros.
    tensor = pack_codes(rng, fmt, (33, 48), 24, "bf16").tensor
    header = 32 * 2 + (64 if fmt.kind == "asymmetric" else 0)
    assert tensor.nbytes == 2 * 2 * (header + 32 * 32 * fmt.bits // 8)


def test_a_group_larger_than_a_row_is_the_row(rng: np.random.Generator) -> None:
    fmt = INTEGER_FORMATS[0]
    packed = pack_codes(rng, fmt, (3, 20), 20)
    for group in (20, 21, 1 << 40):
        tensor = core.PackedTensor.from_codes(
            packed.codes, packed.scales, None, bits=8, group=group, scale_type="f32"
        )
        assert tensor.group == 20
        np.testing.assert_array_equal(tensor.codes(), packed.codes)


@pytest.mark.parametrize("scale_type", SCALE_TYPES)
def test_every_kind_of_scale_is_kept(scale_type: str) -> None:
    largest = {"bf16": 3.3895e38, "f16": 65504.0, "f32": 3.4028e38}[scale_type]
    smallest = {"bf16": 1e-40, "f16": 2.0**-24, "f32": 1e-45}[scale_type]
    wanted = [0.0, -0.0, 1.0, -1.5, largest, -largest, smallest, 2.0**-14, 3 * 2.0**-24]
    scales = round_scale(np.array(wanted).reshape(1, -1), scale_type)
    codes = np.ones((1, scales.size), np.uint8)
    tensor = core.PackedTensor.from_codes(
        codes, scales, None, bits=2, group=1, scale_type=scale_type
    )
    np.testing.assert_array_equal(tensor.scales().view(np.uint32), scales.view(np.uint32))


@pytest.mark.parametrize("fmt", FLOAT_FORMATS, ids=lambda f: f.name)
def test_dense_tensors(fmt: core.WeightFormat, rng: np.random.Generator) -> None:
    for rows, n_inputs in zip([1, 31, 32, 33, 65] * 3, INPUTS, strict=False):
        tensor = pack_float(fmt.name, rng.normal(size=(rows, n_inputs))).tensor
        assert tensor.shape == (rows, n_inputs) and tensor.format == fmt.name
        assert tensor.group == n_inputs and tensor.scale_type is None
        stored = n_inputs + n_inputs % 2 if fmt.name == "bf16" else n_inputs  # in pairs
        assert tensor.nbytes == -(-rows // 32) * 32 * stored * fmt.bits // 8
        with pytest.raises(FormatError):
            tensor.codes()


def test_a_view_is_packed_as_its_values(rng: np.random.Generator) -> None:
    codes = rng.integers(0, 16, (64, 40), dtype=np.uint8)
    scales = np.ones((64, 2), np.float32)
    odd = core.PackedTensor.from_codes(
        codes[::-2], scales[::-2], None, bits=4, group=20, scale_type="bf16"
    )
    np.testing.assert_array_equal(odd.codes(), codes[::-2])


def test_packing_does_not_depend_on_threads(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "VALUES_PER_THREAD", 1)
    monkeypatch.setattr(core, "default_threads", lambda: 3)
    for fmt in INTEGER_FORMATS:
        packed = pack_codes(rng, fmt, (161, 40), 16)
        np.testing.assert_array_equal(packed.tensor.codes(), packed.codes)
        broken = packed.codes.copy()
        broken[-1, -1] = 255
        if fmt.bits < 8:
            with pytest.raises(ValueError, match="range"):
                core.PackedTensor.from_codes(
                    broken,
                    packed.scales,
                    packed.zeros,
                    bits=fmt.bits,
                    group=16,
                    scale_type="f32",
                )
    x = rng.normal(size=(3, 40)).astype(np.float32)
    for fmt in FLOAT_FORMATS:
        dense = pack_float(fmt.name, rng.normal(size=(161, 40)))
        found = core.matmul(x, dense.tensor, mode="exact")
        np.testing.assert_allclose(found, x @ dense.values.T, rtol=1e-4, atol=1e-4)


CODES = np.ones((3, 20), np.uint8)
SCALES = np.ones((3, 2), np.float32)
GOOD = {"codes": CODES, "scales": SCALES, "zeros": None, "bits": 4, "group": 10,
        "scale_type": "bf16"}  # fmt: skip


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.copy()
    changed[-1, -1] = value
    return changed


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"codes": CODES.astype(np.int8)}, TypeError, "codes must have dtype uint8"),
    ({"codes": CODES.astype(np.int32)}, TypeError, "codes must have dtype uint8"),
    ({"codes": CODES[0]}, ValueError, "codes must have 2 dimensions"),
    ({"codes": CODES[:0], "scales": SCALES[:0]}, ValueError, "range"),
    ({"codes": CODES[:, :0], "scales": SCALES[:, :0]}, ValueError, "range"),
    ({"codes": with_value(CODES, 16)}, ValueError, "range"),
    ({"codes": with_value(CODES, 4), "bits": 2}, ValueError, "range"),
    ({"scales": SCALES.astype(np.float64)}, TypeError, "scales must have dtype float32"),
    ({"scales": SCALES[:, :1]}, ValueError, r"scales must have shape \(3, 2\)"),
    ({"scales": SCALES[:2]}, ValueError, r"scales must have shape \(3, 2\)"),
    ({"scales": with_value(SCALES, np.nan)}, NonFiniteError, "NaN or infinity"),
    ({"scales": with_value(SCALES, -np.inf)}, NonFiniteError, "NaN or infinity"),
    ({"scales": with_value(SCALES, 1.001)}, ValueError, "range"),
    ({"scales": with_value(SCALES, 65536.0), "scale_type": "f16"}, ValueError, "range"),
    ({"zeros": CODES}, ValueError, r"zeros must have shape \(3, 2\)"),
    ({"zeros": SCALES}, TypeError, "zeros must have dtype uint8"),
    ({"zeros": np.full((3, 2), 16, np.uint8)}, ValueError, "range"),
    ({"bits": 5}, FormatError, "5 bits"),
    ({"bits": 0}, FormatError, "0 bits"),
    ({"bits": -4}, FormatError, "-4 bits"),
    ({"bits": 32}, FormatError, "32 bits"),
    ({"bits": (1 << 32) + 4}, FormatError, "bits"),
    ({"bits": 1 << 80}, OverflowError, "int"),
    ({"bits": "4"}, TypeError, "int"),
    ({"group": 0}, ValueError, "group must be at least 1"),
    ({"group": -10}, ValueError, "group must be at least 1"),
    ({"group": 5}, ValueError, r"scales must have shape \(3, 4\)"),
    ({"scale_type": "f64"}, FormatError, "f64"),
    ({"scale_type": None}, TypeError, "None"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_wrong_codes_are_refused(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    core.PackedTensor.from_codes(**GOOD)
    with pytest.raises(error, match=message):
        core.PackedTensor.from_codes(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("array", "dtype", "error", "message"),
    [
        (np.zeros((2, 3)), "f32", TypeError, "array must have dtype float32, not float64"),
        (np.zeros((2, 3), np.float32), "f16", TypeError, "dtype float16"),
        (np.zeros((2, 3), np.float32), "bf16", TypeError, "dtype uint16"),
        (np.zeros((2, 3), np.int16), "bf16", TypeError, "dtype uint16"),
        (np.zeros((2, 3), ">f4"), "f32", ValueError, "native byte order"),
        (np.zeros(3, np.float32), "f32", ValueError, "2 dimensions, not 1"),
        (np.zeros((2, 3, 1), np.float32), "f32", ValueError, "2 dimensions, not 3"),
        (np.zeros((0, 3), np.float32), "f32", ValueError, "range"),
        (np.zeros((3, 0), np.float32), "f32", ValueError, "range"),
        (np.zeros((2, 3), np.float32), "q4s", FormatError, "q4s"),
        (np.zeros((2, 3), np.float32), "F32", FormatError, "F32"),
        ([["a"]], "f32", TypeError, "dtype float32"),
    ],
)
def test_wrong_dense_arrays_are_refused(
    array: Any, dtype: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        core.PackedTensor.from_dense(array, dtype)


def test_the_type_cannot_be_made_or_changed() -> None:
    kind = type(core.PackedTensor.from_codes(**GOOD).raw)
    with pytest.raises(TypeError):
        kind()
    with pytest.raises(TypeError):
        kind.codes = None  # type: ignore[method-assign, assignment]
