"""The C core as Python sees it; `qbench.core`, its only importer, holds the contract."""

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

@final
class PackedTensor:
    """A packed weight matrix; immutable."""

    @classmethod
    def from_dense(
        cls, array: NDArray[np.generic], format: str, n_threads: int, /
    ) -> PackedTensor: ...
    @classmethod
    def from_codes(
        cls,
        codes: NDArray[np.uint8],
        scales: NDArray[np.float32],
        zeros: NDArray[np.uint8] | None,
        bits: int,
        group: int,
        scale_type: str,
        n_threads: int,
        /,
    ) -> PackedTensor: ...
    def codes(self) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8] | None]: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def format(self) -> str: ...
    @property
    def group(self) -> int: ...
    @property
    def scale_type(self) -> str | None: ...
    @property
    def nbytes(self) -> int: ...

@final
class KVCache:
    """Keys and values of many sequences, in pages of 32 tokens."""

    def __new__(
        cls,
        format: str,
        n_layers: int,
        n_kv_heads: int,
        head_dim: int,
        capacity_pages: int,
        value_dim: int = -1,
    ) -> KVCache: ...
    def new_sequence(self, rotation: int = 0, /) -> int: ...
    def fork(self, parent: int, n_tokens: int, /) -> int: ...
    def truncate(self, sequence: int, n_tokens: int, /) -> None: ...
    def release(self, sequence: int, /) -> None: ...
    def length(self, sequence: int, /) -> int: ...
    def rotation_used(self, rotation: int, /) -> bool: ...
    @property
    def pages_used(self) -> int: ...
    @property
    def page_bytes(self) -> int: ...

@final
class Decoder:
    """A decoder-only transformer over packed weights."""

    def __new__(
        cls,
        spec: dict[str, Any],
        weights: dict[str, Any],
        layers: tuple[dict[str, Any], ...],
        rotations: tuple[tuple[NDArray[np.float32], float], ...],
        mode: str,
        isa: str | None = None,
    ) -> Decoder: ...
    def set_rotations(
        self, set: int, rotations: tuple[tuple[NDArray[np.float32], float], ...], /
    ) -> None: ...
    def forward(
        self,
        cache: KVCache,
        sequences: NDArray[np.int32],
        lengths: NDArray[np.int32],
        tokens: NDArray[np.int32],
        rows: NDArray[np.int32],
        first_target: NDArray[np.int32],
        targets: NDArray[np.int32],
        want_logits: bool,
        n_threads: int,
        n_top: int = 0,
        base: NDArray[np.float32] | None = None,
        /,
    ) -> tuple[
        NDArray[np.float64],
        NDArray[np.int32],
        NDArray[np.int32],
        NDArray[np.float32] | None,
        NDArray[np.int32] | None,
        NDArray[np.float64] | None,
        NDArray[np.float64] | None,
    ]: ...
    def generate(
        self,
        cache: KVCache,
        sequences: NDArray[np.int32],
        last_tokens: NDArray[np.int32],
        keys: NDArray[np.uint64],
        steps: NDArray[np.uint32],
        left: NDArray[np.uint32],
        end_ids: NDArray[np.int32],
        n_steps: int,
        temperature: float,
        top_k: int,
        top_p: float,
        n_threads: int,
        /,
    ) -> NDArray[np.int32]: ...

def formats() -> list[tuple[str, int, str]]: ...
def isa_tiers() -> list[tuple[str, bool]]: ...
def default_isa() -> str: ...
def matmul(
    x: NDArray[np.float32], tensor: PackedTensor, mode: str, isa: str | None, n_threads: int, /
) -> NDArray[np.float32]: ...
def round_nearest(
    values: NDArray[np.generic],
    format: str,
    bits: int,
    group: int,
    symmetric: bool,
    scale_type: str,
    n_threads: int,
    /,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8] | None]: ...
def row_operation(
    name: str, x: NDArray[np.float32], y: NDArray[np.float32], eps: float, isa: str | None, /
) -> object: ...
def sample(
    logits: NDArray[np.float32], temperature: float, top_k: int, top_p: float, u: float, /
) -> int: ...
def uniform(key: int, counter: int, /) -> float: ...
def measure_peaks(isa: str | None, n_threads: int, /) -> tuple[float, float, float, float]: ...
def time_products(
    groups: tuple[tuple[PackedTensor, ...], ...],
    n_tokens: int,
    mode: str,
    isa: str | None,
    n_threads: int,
    /,
) -> float: ...
def time_attention(
    n_tokens: int,
    n_heads: int,
    n_kv_heads: int,
    dim: int,
    kv_format: str,
    mode: str,
    isa: str | None,
    n_threads: int,
    /,
) -> float: ...
def build_info() -> tuple[str, bool]: ...
