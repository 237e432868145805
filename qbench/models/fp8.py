"""FP8 weights (E4M3) with scales, as DeepSeek, Qwen and compressed-tensors publish them.

A value is ``e4m3 * scale``; scales belong to blocks of rows and columns (``weight_scale_inv``,
usually 128 by 128), or to rows, or to the whole matrix (``weight_scale``). E4M3 has four exponent
bits (bias 7), three of mantissa, no infinity; all ones are NaN (Micikevicius et al. 2022).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qbench.errors import CheckpointError, NonFiniteError
from qbench.models.checkpoint import as_float32


def is_fp8(dtype: str) -> bool:
    """Whether a stored type, as safetensors names it, is E4M3."""
    return dtype == "F8_E4M3"


def scale_names(name: str) -> tuple[str, str]:
    """Names under which the scales of a tensor may stand."""
    return f"{name}_scale_inv", f"{name}_scale"


def e4m3_values() -> np.ndarray:
    """float32 values of the 256 codes, NaN for 0x7f and 0xff."""
    codes = np.arange(256)
    sign = np.where(codes & 0x80, -1.0, 1.0)
    exponent, mantissa = (codes >> 3) & 15, codes & 7
    normal = (1 + mantissa / 8) * np.exp2(exponent - 7.0)
    subnormal = mantissa / 8 * 2.0**-6
    values = sign * np.where(exponent == 0, subnormal, normal)
    values[(codes & 0x7F) == 0x7F] = np.nan
    return values.astype(np.float32)


def read_fp8(checkpoint: Any, name: str) -> np.ndarray:
    """Read a matrix of E4M3 codes with its scales, float32 of its shape.

    Raises
    ------
    CheckpointError
        If there are no scales, or they do not divide the matrix into blocks.
    NonFiniteError
        If a code is NaN, or a scale is not finite.
    """
    codes = checkpoint.read_raw(name)
    scale_name = next((each for each in scale_names(name) if checkpoint.has(each)), None)
    if scale_name is None:
        raise CheckpointError(f"the tensor {name} is F8_E4M3 and has no scales")
    scales = _as_float32(checkpoint, scale_name)
    if not np.isfinite(scales).all():
        raise NonFiniteError(f"tensor {scale_name}: NaN or infinity; the weights are damaged")
    if codes.ndim != 2:
        raise CheckpointError(f"the tensor {name} is F8_E4M3 and no matrix")
    values: np.ndarray = e4m3_values()[codes.view(np.uint8)]
    if np.isnan(values).any():
        raise NonFiniteError(f"tensor {name}: NaN; the weights are damaged, get them again")
    for axis, n_scales in enumerate(_blocks(scales.shape, name)):
        _check_blocks(codes.shape[axis], n_scales, name)
    rows, columns = _blocks(scales.shape, name)
    grid = scales.reshape(rows, columns)
    row_of = _block_of(codes.shape[0], rows)
    column_of = _block_of(codes.shape[1], columns)
    values *= grid[row_of][:, column_of]
    return values


def _as_float32(checkpoint: Any, name: str) -> np.ndarray:
    """Scales as float32, whatever float type they have."""
    weight = checkpoint.read(name)
    return as_float32(weight.array, weight.dtype)


def _blocks(shape: tuple[int, ...], name: str) -> tuple[int, int]:
    """Blocks of rows and of columns that scales of a shape belong to."""
    if len(shape) == 2:
        return shape[0], shape[1]
    if len(shape) <= 1 and int(np.prod(shape)) >= 1:
        return int(np.prod(shape)), 1
    raise CheckpointError(f"the scales of {name} have shape {shape}; expected one, rows or blocks")


def _check_blocks(n: int, n_blocks: int, name: str) -> None:
    """Require blocks that cover an axis: all as long as the first, but for a shorter last one."""
    size = _block_size(n, n_blocks)
    if not 1 <= n_blocks <= n or -(-n // size) != n_blocks:
        raise CheckpointError(f"the scales of {name} do not divide it: {n_blocks} for {n}")


def _block_size(n: int, n_blocks: int) -> int:
    """Length of a block: the power of two that gives so many, else equal shares."""
    size = 1 << max(0, (max(n, 1) - 1).bit_length())
    while size > 1 and -(-n // size) < n_blocks:
        size //= 2
    return size if -(-n // size) == n_blocks else -(-n // max(n_blocks, 1))


def _block_of(n: int, n_blocks: int) -> np.ndarray:
    """Which block each place of an axis belongs to."""
    return np.arange(n) // _block_size(n, n_blocks)
