from __future__ import annotations

import numpy as np
import pytest
from core.builders import FLOAT_FORMATS, INTEGER_FORMATS, TIERS, Packed, pack, pack_codes
from tolerance import MATMUL, MATMUL_SUBNORMAL, ROUNDING

from qbench import core
from qbench.reference.formats import bf16_planes

# (outputs, inputs, group, tokens): a group in one block, several, across blocks, with tails.
SHAPES = [
    (1, 1, 1, 1),
    (33, 2, 1, 3),
    (31, 17, 3, 2),
    (32, 33, 16, 5),
    (33, 63, 17, 7),
    (65, 127, 24, 6),
    (32, 129, 32, 13),
    (31, 172, 48, 4),
    (33, 255, 100, 25),
    (32, 255, 128, 12),
    (33, 300, 129, 11),
    (32, 513, 200, 2),
    (64, 300, 300, 3),
    (32, 1023, 256, 2),
]
ALL = [*FLOAT_FORMATS, *INTEGER_FORMATS]


def magnitude(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum of |x||w|: what float32 rounding errors of a sum are relative to."""
    return np.abs(x.astype(np.float64)) @ np.abs(weights).T + 1e-30


def blocks_of(n_inputs: int, group: int) -> list[tuple[int, int]]:
    """Ranges of inputs that share an activation scale, from the rule in words.

    A group is cut into segments of at most 128; whole groups of up to 128 are put together as long
    as their sizes, rounded up to 16, fit in 128.
    """
    if group > 128:
        return [
            (start, min(start + 128, first + group, n_inputs))
            for first in range(0, n_inputs, group)
            for start in range(first, min(first + group, n_inputs), 128)
        ]
    length = 128 // (-(-group // 16) * 16) * group
    return [(start, min(start + length, n_inputs)) for start in range(0, n_inputs, length)]


TOP = {"faithful": np.float32(32512), "fast": np.float32(127)}


def rounded_activations(x: np.ndarray, fmt: core.WeightFormat, group: int, mode: str) -> np.ndarray:
    """What a mode makes of activations, in float64."""
    if fmt.name == "f32" or mode == "exact":
        return x.astype(np.float64)
    if fmt.kind == "float":
        high, low = bf16_planes(x)
        return high.astype(np.float64) + (low if mode == "faithful" else 0)
    out = np.zeros(x.shape)
    for first, last in blocks_of(x.shape[1], group):
        part = x[:, first:last]
        largest = np.abs(part).max(axis=1, keepdims=True)
        codes = np.rint(part * (TOP[mode] / np.where(largest > 0, largest, 1)))
        scale = largest / TOP[mode]
        out[:, first:last] = codes.astype(np.float64) * scale
    return out


def check(x: np.ndarray, packed: Packed, fmt: core.WeightFormat, mode: str, **how: str) -> None:
    found = core.matmul(x, packed.tensor, mode=mode, **how)
    acts = rounded_activations(x, fmt, packed.tensor.group, mode)
    kind = "float" if fmt.kind == "float" else "integer"
    error = np.abs(found - acts @ packed.values.T) / magnitude(x, packed.values)
    assert error.max() <= MATMUL[kind, mode], (fmt.name, mode, x.shape, packed.tensor.group)


@pytest.mark.parametrize("mode", core.MODES)
@pytest.mark.parametrize("fmt", ALL, ids=lambda f: f.name)
def test_product(fmt: core.WeightFormat, mode: str, isa: str, rng: np.random.Generator) -> None:
    for rows, n_inputs, group, n_tokens in SHAPES:
        packed = pack(rng, fmt, (rows, n_inputs), group)
        x = (rng.normal(size=(n_tokens, n_inputs)) * 3).astype(np.float32)
        check(x, packed, fmt, mode, isa=isa)


def test_rounding_of_activations_is_as_fine_as_promised(rng: np.random.Generator) -> None:
    x = (rng.normal(size=(9, 300)) * 10.0 ** rng.integers(-6, 6, (9, 1))).astype(np.float32)
    fmt = INTEGER_FORMATS[0]
    for mode, codes, halves in (("faithful", "int16", "bf16x2"), ("fast", "int8", "bf16")):
        for group in (16, 48, 100, 129, 300):
            rounded = rounded_activations(x, fmt, group, mode)
            for first, last in blocks_of(300, group):
                part = np.abs(x[:, first:last]).max(axis=1, keepdims=True)
                error = np.abs(rounded - x)[:, first:last]
                assert (error <= part * ROUNDING[codes]).all()
        rounded = rounded_activations(x, FLOAT_FORMATS[1], 300, mode)
        assert (np.abs(rounded - x) <= np.abs(x) * ROUNDING[halves]).all()


@pytest.mark.parametrize("mode", core.MODES)
@pytest.mark.parametrize("fmt", ALL, ids=lambda f: f.name)
def test_a_row_does_not_see_its_neighbours(
    fmt: core.WeightFormat, mode: str, isa: str, rng: np.random.Generator
) -> None:
    packed = pack(rng, fmt, (37, 172), 48)
    x = rng.normal(size=(31, 172)).astype(np.float32)
    alone = np.concatenate([core.matmul(r[None], packed.tensor, mode=mode, isa=isa) for r in x])
    for n in (1, 2, 3, 4, 5, 6, 7, 12, 13, 31):
        together = core.matmul(x[:n], packed.tensor, mode=mode, isa=isa)
        np.testing.assert_array_equal(together, alone[:n])
    for threads in (1, 2, 3, 7):
        found = core.matmul(x, packed.tensor, mode=mode, isa=isa, threads=threads)
        np.testing.assert_array_equal(found, alone)


@pytest.mark.parametrize("fmt", [*FLOAT_FORMATS, INTEGER_FORMATS[3]], ids=lambda f: f.name)
def test_many_tokens_go_in_blocks(fmt: core.WeightFormat, rng: np.random.Generator) -> None:
    packed = pack(rng, fmt, (40, 64), 32)
    x = rng.normal(size=(300, 64)).astype(np.float32)
    for mode in core.MODES:
        alone = np.concatenate([core.matmul(r[None], packed.tensor, mode=mode) for r in x])
        for threads in (1, 2):
            found = core.matmul(x, packed.tensor, mode=mode, threads=threads)
            np.testing.assert_array_equal(found, alone)


def test_inputs_wider_than_a_cache(rng: np.random.Generator) -> None:
    # So many that the tokens of a block are fewer: they are counted by their bytes.
    for fmt, group in ((INTEGER_FORMATS[2], 128), (FLOAT_FORMATS[2], 9000)):
        packed = pack(rng, fmt, (33, 9000), group)
        x = rng.normal(size=(150, 9000)).astype(np.float32)
        for mode in ("faithful", "fast"):
            alone = [core.matmul(x[i : i + 1], packed.tensor, mode=mode)[0] for i in (0, 77, 149)]
            found = core.matmul(x, packed.tensor, mode=mode)
            np.testing.assert_array_equal(found[[0, 77, 149]], alone)


@pytest.mark.parametrize("fmt", INTEGER_FORMATS, ids=lambda f: f.name)
def test_many_tokens_are_the_same_on_every_tier(
    fmt: core.WeightFormat, rng: np.random.Generator
) -> None:
    # Groups of which 1, 2, 4 or 8 make a block, whole ones and others; last blocks with fewer.
    for group in (1, 16, 17, 32, 40, 48, 64, 65, 100, 128, 200):
        for n_inputs, n_tokens in ((203, 17), (259, 33)):
            packed = pack_codes(rng, fmt, (35, n_inputs), group, "bf16")
            x = rng.normal(size=(n_tokens, n_inputs)).astype(np.float32)
            for mode in ("faithful", "fast"):
                first, *others = (core.matmul(x, packed.tensor, mode=mode, isa=t) for t in TIERS)
                for tier, other in zip(TIERS[1:], others, strict=True):
                    np.testing.assert_array_equal(other, first, err_msg=f"{tier} {group} {mode}")


@pytest.mark.parametrize("fmt", INTEGER_FORMATS, ids=lambda f: f.name)
def test_integer_products_are_the_same_on_every_tier(
    fmt: core.WeightFormat, rng: np.random.Generator
) -> None:
    if len(TIERS) < 2:
        pytest.skip("this machine has one tier")
    for scale_type, (rows, n_inputs, group, n_tokens) in zip(
        ["bf16", "f16", "f32"] * 5, SHAPES, strict=False
    ):
        packed = pack_codes(rng, fmt, (rows, n_inputs), group, scale_type)
        x = rng.normal(size=(n_tokens, n_inputs)).astype(np.float32)
        for mode in ("faithful", "fast"):
            first, *others = (core.matmul(x, packed.tensor, mode=mode, isa=t) for t in TIERS)
            for other in others:
                np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("mode", core.MODES)
@pytest.mark.parametrize("fmt", INTEGER_FORMATS, ids=lambda f: f.name)
def test_extreme_codes_and_activations(
    fmt: core.WeightFormat, mode: str, isa: str, rng: np.random.Generator
) -> None:
    top = (1 << fmt.bits) - 1
    for group in (128, 256):
        for code, zero in ((top, 0), (0, top), (top, top), (0, 0)):
            shape = (33, 256)
            codes = np.full(shape, code, np.uint8)
            scales = np.full((33, 256 // group), 0.5, np.float32)
            zeros = np.full_like(scales, zero, np.uint8) if fmt.kind == "asymmetric" else None
            tensor = core.PackedTensor.from_codes(
                codes, scales, zeros, bits=fmt.bits, group=group, scale_type="bf16"
            )
            values = tensor.dequantize().astype(np.float64)
            signs = np.where(np.arange(256) % 2 == 0, 1, -1)
            x = np.stack([np.ones(256), -np.ones(256), signs, -signs, signs * 1e30]) * 2.5
            x = x.astype(np.float32)
            check(x, Packed(tensor, values), fmt, mode, isa=isa)


@pytest.mark.parametrize("mode", core.MODES)
@pytest.mark.parametrize("fmt", ALL, ids=lambda f: f.name)
def test_small_and_zero_activations(
    fmt: core.WeightFormat, mode: str, isa: str, rng: np.random.Generator
) -> None:
    packed = pack(rng, fmt, (33, 172), 24)
    assert not core.matmul(np.zeros((3, 172), np.float32), packed.tensor, mode=mode, isa=isa).any()
    x = rng.normal(size=(3, 172)).astype(np.float32)
    found = core.matmul(x * np.float32(2.0**-60), packed.tensor, mode=mode, isa=isa)
    expected = core.matmul(x, packed.tensor, mode=mode, isa=isa)
    np.testing.assert_array_equal(found, expected * np.float32(2.0**-60))  # scaling is exact
    tiny = x * np.float32(1e-41)
    found = core.matmul(tiny, packed.tensor, mode=mode, isa=isa).astype(np.float64)
    if mode == "exact" or fmt.name == "f32":
        assert np.abs(found - tiny.astype(np.float64) @ packed.values.T).max() <= MATMUL_SUBNORMAL
    else:  # below what the activation grids can hold: zero or rounded, never larger
        assert (np.abs(found) <= 2 * magnitude(tiny, packed.values)).all()


@pytest.mark.parametrize("mode", core.MODES)
@pytest.mark.parametrize("fmt", ALL, ids=lambda f: f.name)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_row_alone(
    value: float, fmt: core.WeightFormat, mode: str, isa: str, rng: np.random.Generator
) -> None:
    packed = pack(rng, fmt, (33, 172), 24)
    x = rng.normal(size=(8, 172)).astype(np.float32)
    clean = core.matmul(x, packed.tensor, mode=mode, isa=isa)
    for row, column in ((0, 0), (3, 100), (5, 171)):
        spoiled = x.copy()
        spoiled[row, column] = value
        found = core.matmul(spoiled, packed.tensor, mode=mode, isa=isa)
        assert not np.isfinite(found[row]).any()
        others = np.arange(8) != row
        np.testing.assert_array_equal(found[others], clean[others])


def test_the_default_is_the_tier_in_use(rng: np.random.Generator) -> None:
    packed = pack(rng, FLOAT_FORMATS[0], (33, 40), 40)
    x = rng.normal(size=(2, 40)).astype(np.float32)
    named = core.matmul(x, packed.tensor, isa=core.isa_tier())
    np.testing.assert_array_equal(core.matmul(x, packed.tensor), named)
    assert core.matmul(x[:0], packed.tensor).shape == (0, 33)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": np.zeros((2, 39), np.float32)}, ValueError, r"x must have shape \(n, 40\)"),
        ({"x": np.zeros((40,), np.float32)}, ValueError, "2 dimensions"),
        ({"x": np.zeros((2, 40))}, TypeError, "x must have dtype float32"),
        ({"mode": "quick"}, ValueError, "'exact', 'faithful' or 'fast'"),
        ({"isa": "neon"}, ValueError, "neon"),
        ({"threads": 0}, ValueError, "n_threads must be 1 to 256"),
        ({"threads": -1}, ValueError, "n_threads must be 1 to 256"),
        ({"threads": 257}, ValueError, "n_threads must be 1 to 256"),
        ({"threads": 1 << 40}, OverflowError, "int"),
    ],
)
def test_wrong_arguments_are_refused(
    change: dict[str, object], error: type[Exception], message: str, rng: np.random.Generator
) -> None:
    good: dict[str, object] = {"x": np.zeros((2, 40), np.float32), "mode": "exact"}
    packed = pack(rng, FLOAT_FORMATS[0], (33, 40), 40)
    with pytest.raises(error, match=message):
        core.matmul(tensor=packed.tensor, **{**good, **change})  # type: ignore[arg-type]
