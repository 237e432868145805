"""Matrix products of every weight format, as shares of the peaks that this run measured.

    python -m benchmarks.bench_kernels [--formats q4s32,bf16] [--tokens 1,8,512] [--json FILE]

Weights are those of some layers of the Llama-3.2-1B shape (at least 100 MB, so that no cache holds
them); a figure counts the quantization of the activations and the barriers. The *bound* is what the
instructions of the kernel allow: integer products and one fused product of floats per group, token
and sixteen rows (engines.md 2.4), or for one token the bytes of the weights. By tiles (AMX), a
product of 16 tokens, 16 outputs and up to 64 inputs, and per group the store of its sums.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import Timing, machine, write_json
from qbench import core

HIDDEN, WIDE, KV = 2048, 8192, 512
# Outputs and inputs of a layer; matrices of one group read the same input.
LAYER = (
    ((HIDDEN, HIDDEN), (KV, HIDDEN), (KV, HIDDEN)),
    ((HIDDEN, HIDDEN),),
    ((WIDE, HIDDEN), (WIDE, HIDDEN)),
    ((HIDDEN, WIDE),),
)
LEAST_BYTES = 100e6
FORMATS = "q4s32,q4a32,q4s128,q8s32,q3s32,q2s32,q3s16,bf16,f16"
MANY_TOKENS = 16
"""From how many tokens on the tier amx multiplies integers by tiles (`QB_MANY_TOKENS`)."""
PRODUCT_CYCLES, STORE_CYCLES = 16, 12.5
"""Of the tile unit: one product, and what a store of its sums takes beside it (Sapphire Rapids)."""
FLOATS = {"f32": np.float32, "f16": np.float16, "bf16": np.uint16}


@dataclass(frozen=True)
class Format:
    """A weight format by its short name: ``q4s32`` is 4 bits, symmetric, groups of 32."""

    name: str

    @property
    def is_float(self) -> bool:
        """Whether weights are stored as values."""
        return self.name in FLOATS

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return int(self.name[1])

    @property
    def group(self) -> int:
        """Inputs that share a scale."""
        return int(self.name[3:])

    def tensor(self, rng: np.random.Generator, shape: tuple[int, int]) -> core.PackedTensor:
        """Random weights."""
        if self.is_float:
            array = rng.integers(0x3C00, 0x3C80, shape, dtype=np.uint16)
            wide = array.astype(np.float32) if self.name == "f32" else array
            return core.PackedTensor.from_dense(wide.view(FLOATS[self.name]), self.name)
        codes = rng.integers(0, 1 << self.bits, shape, dtype=np.uint8)
        scales = np.full((shape[0], -(-shape[1] // self.group)), 2.0**-7, np.float32)
        zeros = None
        if self.name[2] == "a":
            zeros = rng.integers(0, 1 << self.bits, scales.shape, dtype=np.uint8)
        return core.PackedTensor.from_codes(
            codes, scales, zeros, bits=self.bits, group=self.group, scale_type="bf16"
        )

    def by_tiles(self, n_tokens: int) -> bool:
        """Whether the tier in use multiplies tiles."""
        many = self.is_float or n_tokens >= MANY_TOKENS
        return core.isa_tier() == "amx" and self.name != "f32" and many

    def peak(self, n_tokens: int, ceilings: Ceilings) -> float:
        """GMAC/s of the instruction that the kernel uses."""
        peaks = ceilings.own if self.by_tiles(n_tokens) else ceilings.vector
        return (peaks.bf16_gmacs or peaks.float_gmacs) if self.is_float else peaks.int_gmacs

    def bound(self, mode: str, n_tokens: int, ceilings: Ceilings) -> float:
        """Most GMAC/s of so many tokens."""
        planes = 2 if mode == "faithful" else 1
        if self.by_tiles(n_tokens):
            if self.is_float:
                return ceilings.own.bf16_gmacs / planes / (2 if self.name == "f16" else 1)
            group = min(self.group, 128)
            cycles = planes * (PRODUCT_CYCLES * -(-group // 64) + STORE_CYCLES)
            return ceilings.own.int_gmacs * group / 64 * PRODUCT_CYCLES / cycles
        peaks = ceilings.vector
        if self.is_float:
            return peaks.bf16_gmacs if self.name == "bf16" and mode == "fast" else peaks.float_gmacs
        others = 1 + self.group / 128 + (1 if self.name[2] == "a" else 0)
        return peaks.int_gmacs * self.group / 4 / (planes * self.group / 4 + others)


@dataclass(frozen=True)
class Ceilings:
    """Peaks of the tier in use, and of its vector instructions where its own are those of tiles."""

    own: core.Peaks
    vector: core.Peaks

    @classmethod
    def measure(cls, threads: int) -> Ceilings:
        """What the machine gives now."""
        own = core.measure_peaks(threads)
        tiles = core.isa_tier() == "amx"
        return cls(own, core.measure_peaks(threads, "avx512bf16") if tiles else own)

    def best(self, other: Ceilings) -> Ceilings:
        """A peak is the best that was seen."""
        return Ceilings(
            core.Peaks(*map(max, self.own, other.own)),
            core.Peaks(*map(max, self.vector, other.vector)),
        )

    def text(self) -> str:
        """The peaks as they are printed."""
        tiles = ""
        if self.own.int_gmacs > self.vector.int_gmacs:
            tiles = f"by tiles int8 {self.own.int_gmacs:.0f}, bf16 {self.own.bf16_gmacs:.0f}; "
        return (
            f"{tiles}int8 {self.vector.int_gmacs:.0f}, bf16 {self.vector.bf16_gmacs:.0f}, float32 "
            f"{self.vector.float_gmacs:.0f} GMAC/s, read {self.own.read_gbs:.1f} GB/s"
        )


def vector_peak(fmt: Format, ceilings: Ceilings) -> float:
    """GMAC/s of the tier's vector instruction for a format."""
    peaks = ceilings.vector
    return (peaks.bf16_gmacs or peaks.float_gmacs) if fmt.is_float else peaks.int_gmacs


def weights(fmt: Format) -> list[list[core.PackedTensor]]:
    """Layers of random weights, together at least 100 MB."""
    rng = np.random.default_rng(0)
    groups: list[list[core.PackedTensor]] = []
    while sum(tensor.nbytes for group in groups for tensor in group) < LEAST_BYTES:
        groups += [[fmt.tensor(rng, shape) for shape in group] for group in LAYER]
    return groups


def measure_format(
    fmt: Format, tokens: Sequence[int], threads: int, rounds: int
) -> tuple[dict[tuple[str, int], Timing], Ceilings, float, int]:
    """Time all modes and numbers of tokens in turns, and the peaks between the rounds."""
    groups = weights(fmt)
    taken: dict[tuple[str, int], list[float]] = {}
    ceilings = Ceilings.measure(threads)
    for _ in range(rounds):
        ceilings = ceilings.best(Ceilings.measure(threads))
        for n in tokens:
            for mode in ("fast", "faithful"):
                for _ in range(1 if n > 64 else 3):
                    seconds = core.time_products(groups, n, mode=mode, threads=threads)
                    taken.setdefault((mode, n), []).append(seconds)
    timings = {key: Timing(min(s), float(np.median(s)), len(s)) for key, s in taken.items()}
    tensors = [tensor for group in groups for tensor in group]
    products = float(sum(tensor.shape[0] * tensor.shape[1] for tensor in tensors))
    return timings, ceilings, products, sum(tensor.nbytes for tensor in tensors)


def main() -> None:
    """Print a table per format."""
    parser = argparse.ArgumentParser(description="Matrix products against the machine's peaks.")
    parser.add_argument("--formats", default=FORMATS)
    parser.add_argument("--tokens", default="1,2,4,8,16,64,512")
    parser.add_argument("--threads", type=int, default=core.default_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tokens = [int(n) for n in options.tokens.split(",")]
    found: dict[str, Timing] = {}
    print(machine(), f"tier {core.isa_tier()}, {options.threads} threads")
    for name in options.formats.split(","):
        fmt = Format(name)
        timings, ceilings, products, n_bytes = measure_format(
            fmt, tokens, options.threads, options.rounds
        )
        print(f"\n{name}: {n_bytes / 1e6:.0f} MB; peaks now: {ceilings.text()}")
        read_peak = ceilings.own.read_gbs
        for (mode, n), timing in timings.items():
            rate = products * n / timing.least * 1e-9
            read = n_bytes / timing.least * 1e-9
            peak = fmt.peak(n, ceilings)
            bound = min(fmt.bound(mode, n, ceilings), products * n / n_bytes * read_peak)
            print(
                f"  {mode:9}{n:5} tokens {rate:7.0f} GMAC/s {rate / peak:6.1%} of {peak:.0f} "
                f"(bound {bound / peak:5.1%}) {read:6.1f} GB/s {read / read_peak:6.1%} of read"
            )
            found[f"{name} {mode} {n}"] = timing
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
