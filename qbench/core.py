"""The one door to the C core.

Nothing else imports `_core`. This file gives the core's objects their types and argument checks,
and says what the machine offers: tiers, threads, peaks. It knows no model and no benchmark.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from qbench._version import __version__
from qbench.idle import short_spinning

try:
    with short_spinning():
        from qbench import _core
except ImportError as error:  # pragma: no cover - needs a broken installation
    if "QBENCH_ISA" in str(error):
        raise
    raise ImportError(
        f"qbench's C core is not built ({error}); run `pip install .` or "
        "`python setup.py build_ext --inplace` in the source folder"
    ) from error

KV_FORMATS = ("f32", "bf16")
MODES = ("exact", "faithful", "fast")
PAGE_TOKENS = 32

VALUES_PER_THREAD = 1 << 17
"""Values that a thread must get for a team to pay while weights are rounded or packed."""

Cache = _core.KVCache
RawDecoder = _core.Decoder

_forked = False


def _after_fork() -> None:
    """A child of a process that used OpenMP hangs in its first parallel region: run it alone."""
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class WeightFormat(NamedTuple):
    """A weight format of the core: its name, bits per code, and ``float|symmetric|asymmetric``."""

    name: str
    bits: int
    kind: str


class PackedTensor:
    """A weight matrix in the core's panels; immutable.

    Made by `from_dense` or `from_codes`. Panels pad rows to 32 and groups to 16 inputs; ``nbytes``
    counts that padding, the bits of a recipe do not.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: _core.PackedTensor) -> None:
        self.raw = raw

    @classmethod
    def from_dense(cls, array: NDArray[Any], dtype: str) -> PackedTensor:
        """Pack an unquantized matrix.

        Parameters
        ----------
        array : ndarray, shape (outputs, inputs)
            float32 for ``"f32"``, float16 for ``"f16"``, uint16 raw bits for ``"bf16"``.
        dtype : {"f32", "f16", "bf16"}

        Raises
        ------
        TypeError
            If the array's dtype does not fit.
        FormatError
            If ``dtype`` names no float format.
        """
        values = np.ascontiguousarray(array)
        return cls(_core.PackedTensor.from_dense(values, dtype, _threads_for(values.size)))

    @classmethod
    def from_codes(
        cls,
        codes: NDArray[np.uint8],
        scales: NDArray[np.float32],
        zeros: NDArray[np.uint8] | None,
        *,
        bits: int,
        group: int,
        scale_type: str,
    ) -> PackedTensor:
        """Pack integer codes: ``value = scale * (code - zero)``.

        Parameters
        ----------
        codes : ndarray of uint8, shape (outputs, inputs)
            Each below ``2**bits``.
        scales : ndarray of float32, shape (outputs, groups)
            Finite, and representable in ``scale_type``.
        zeros : ndarray of uint8, shape (outputs, groups), or None
            Zero points; None for symmetric codes, whose zero point is ``2**(bits - 1)``.
        bits : {8, 4, 3, 2}
        group : int
            Consecutive inputs that share a scale; the last group may be shorter.
        scale_type : {"bf16", "f16", "f32"}

        Raises
        ------
        ValueError
            If shapes do not fit, or a code, zero point or scale is out of range.
        FormatError
            If bits or scale type are unknown.
        NonFiniteError
            If a scale is not finite.
        """
        arrays = (np.ascontiguousarray(codes), np.ascontiguousarray(scales))
        packed_zeros = None if zeros is None else np.ascontiguousarray(zeros)
        threads = _threads_for(arrays[0].size)
        return cls(
            _core.PackedTensor.from_codes(*arrays, packed_zeros, bits, group, scale_type, threads)
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(outputs, inputs)."""
        return self.raw.shape

    @property
    def format(self) -> str:
        """Name of the weight format, such as ``"q4a"``."""
        return self.raw.format

    @property
    def group(self) -> int:
        """Consecutive inputs that share a scale; all inputs for float formats."""
        return self.raw.group

    @property
    def scale_type(self) -> str | None:
        """How scales are stored; None for float formats."""
        return self.raw.scale_type

    @property
    def nbytes(self) -> int:
        """Bytes of the panels, padding included."""
        return self.raw.nbytes

    def canonical(
        self,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8] | None]:
        """Return codes, scales and zero points as given; see `from_codes`."""
        return self.raw.codes()

    def codes(self) -> NDArray[np.uint8]:
        """Return the codes as given, shape (outputs, inputs)."""
        return self.raw.codes()[0]

    def scales(self) -> NDArray[np.float32]:
        """Return the scales as given, shape (outputs, groups)."""
        return self.raw.codes()[1]

    def zeros(self) -> NDArray[np.uint8] | None:
        """Return the zero points, shape (outputs, groups), or None for symmetric codes."""
        return self.raw.codes()[2]

    def dequantize(self) -> NDArray[np.float32]:
        """Return the float32 values of an integer tensor, shape (outputs, inputs)."""
        codes, scales, zeros = self.raw.codes()
        bits = next(f.bits for f in formats() if f.name == self.format)
        middle = np.full(scales.shape, 1 << (bits - 1), np.float32)
        zero = middle if zeros is None else zeros.astype(np.float32)
        group_of = np.arange(codes.shape[1]) // self.group
        values = (codes.astype(np.float32) - zero[:, group_of]) * scales[:, group_of]
        return cast("NDArray[np.float32]", values)


class Peaks(NamedTuple):
    """What the machine gave while it was measured, over all threads.

    ``int_gmacs``, ``float_gmacs`` and ``bf16_gmacs`` in 1e9 multiply-accumulates a second (bf16: 0
    without an instruction for it), ``read_gbs`` in 1e9 bytes a second.
    """

    int_gmacs: float
    float_gmacs: float
    bf16_gmacs: float
    read_gbs: float


def formats() -> tuple[WeightFormat, ...]:
    """Return the weight formats of the core, in its own order."""
    return tuple(WeightFormat(*entry) for entry in _core.formats())


def isa_tiers() -> tuple[tuple[str, bool], ...]:
    """Return every tier, ascending, each with whether this machine can run it."""
    return tuple(_core.isa_tiers())


def isa_tier() -> str:
    """Return the tier in use: the machine's best, or the one that ``QBENCH_ISA`` names."""
    return _core.default_isa()


def engine_version() -> str:
    """Return what identifies the arithmetic of the engine in a result's key."""
    return __version__


def build_info() -> dict[str, str | bool]:
    """Return the compiler that built the core, and whether it has OpenMP."""
    compiler, openmp = _core.build_info()
    return {"compiler": compiler, "openmp": openmp, "version": __version__}


def _quota() -> float:
    """CPUs that the control group allows; infinity without a limit."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return float(limit) / float(period)
    except (OSError, ValueError):
        return float("inf")


def default_threads() -> int:
    """Return how many threads to use: CPUs of the affinity mask, bounded by the cgroup quota.

    One in a forked child, and where the core was built without OpenMP.
    """
    if _forked or not _core.build_info()[1]:
        return 1
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(min(affinity or 1, _quota())))


def safe_threads(threads: int) -> int:
    """Return how many of the wanted threads this process may start: one in a forked child."""
    return 1 if _forked else threads


def _threads_for(n_values: int) -> int:
    """As many threads as rounding or packing that many values keeps busy."""
    return max(1, min(default_threads(), n_values // VALUES_PER_THREAD))


def measure_peaks(threads: int | None = None, isa: str | None = None) -> Peaks:
    """Measure the machine's peaks now; takes about a second and 256 MiB.

    Integer products are those of the tier's own instruction: bytes (vpdpbusd) on avx512, 16-bit
    values (vpmaddwd) on avx2.
    """
    return Peaks(*_core.measure_peaks(isa, threads or default_threads()))


def time_products(
    groups: Sequence[Sequence[PackedTensor]],
    n_tokens: int,
    *,
    mode: str = "faithful",
    isa: str | None = None,
    threads: int | None = None,
) -> float:
    """Return the seconds of one pass of random activations over packed weights.

    Parameters
    ----------
    groups : sequence of sequences of PackedTensor
        Matrices of one group read the same input, at most 16; at most 1,024 in all. Together they
        should exceed the caches. The quantization of the activations counts.
    n_tokens : int
    mode : {"exact", "faithful", "fast"}
    isa : str, optional
        A tier by name; the default is the one in use.
    threads : int, optional
        Default: as many as there are (`default_threads`).
    """
    raw = tuple(tuple(tensor.raw for tensor in group) for group in groups)
    return _core.time_products(raw, n_tokens, mode, isa, threads or default_threads())


def time_attention(
    n_tokens: int,
    n_heads: int,
    n_kv_heads: int,
    head_dim: int,
    *,
    kv_format: str = "bf16",
    mode: str = "faithful",
    isa: str | None = None,
    threads: int | None = None,
) -> float:
    """Return the seconds of one layer's causal attention over a random prompt.

    Parameters
    ----------
    n_tokens, n_heads, n_kv_heads, head_dim : int
        Tokens of the prompt and the shape of the layer. Causal products are
        ``n_heads * head_dim * n_tokens * (n_tokens + 1)`` multiply-accumulates.
    kv_format : {"f32", "bf16"}
    mode : {"exact", "faithful", "fast"}
    isa : str, optional
        A tier by name; the default is the one in use.
    threads : int, optional
        Default: as many as there are (`default_threads`).
    """
    shape = (n_tokens, n_heads, n_kv_heads, head_dim)
    return _core.time_attention(*shape, kv_format, mode, isa, threads or default_threads())


def matmul(
    x: NDArray[np.float32],
    tensor: PackedTensor,
    *,
    mode: str = "faithful",
    isa: str | None = None,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Return ``x @ W.T`` through the core's kernels.

    Parameters
    ----------
    x : ndarray of float32, shape (tokens, inputs)
    tensor : PackedTensor, shape (outputs, inputs)
    mode : {"exact", "faithful", "fast"}
    isa : str, optional
        A tier by name; the default is the one in use.
    threads : int

    Returns
    -------
    ndarray of float32, shape (tokens, outputs)
    """
    return _core.matmul(np.ascontiguousarray(x), tensor.raw, mode, isa, threads)


def round_nearest(
    values: NDArray[Any], dtype: str, *, bits: int, group: int, symmetric: bool, scale_type: str
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8] | None]:
    """Round weights to the nearest levels of each group's range; see ``qbench.quant.rtn``.

    Parameters
    ----------
    values : ndarray, shape (outputs, inputs)
        Finite; float32 for ``"f32"``, float16 for ``"f16"``, uint16 raw bits for ``"bf16"``.
    dtype : {"f32", "f16", "bf16"}
    bits : int
        1 to 8.
    group : int
        Consecutive inputs that share a scale; the last group may be shorter.
    symmetric : bool
    scale_type : {"bf16", "f16", "f32"}

    Returns
    -------
    codes : ndarray of uint8, shape (outputs, inputs)
    scales : ndarray of float32, shape (outputs, groups)
        NaN for a group with a weight beyond 2**126, infinity where the scale exceeds its type; the
        codes of such a group mean nothing.
    zeros : ndarray of uint8, shape (outputs, groups), or None if symmetric
    """
    array = np.ascontiguousarray(values)
    threads = _threads_for(array.size)
    return _core.round_nearest(array, dtype, bits, group, symmetric, scale_type, threads)


def row_operation(
    name: str,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    *,
    eps: float = 0.0,
    isa: str | None = None,
) -> Any:
    """Apply one row kernel: ``rmsnorm`` (x, weight), ``silu_mul`` (gate, up), ``logsumexp`` (x)."""
    return _core.row_operation(name, x, y, eps, isa)


def sample(
    logits: NDArray[np.float32], u: float, *, temperature: float, top_k: int = 0, top_p: float = 1.0
) -> int:
    """Return the id that the uniform draw ``u`` in [0, 1) picks from logits, -1 if not finite."""
    return _core.sample(logits, temperature, top_k, top_p, u)


def uniform(key: int, counter: int) -> float:
    """Return the uniform draw in [0, 1) that belongs to (key, counter); Philox-2x32-10."""
    return _core.uniform(key, counter)
