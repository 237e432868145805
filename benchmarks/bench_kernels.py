"""Matrix products of every weight format, as shares of the peaks that this run measured.

    python -m benchmarks.bench_kernels [--formats q4s32,bf16] [--tokens 1,8,512] [--json FILE]

Weights are those of some layers of the Llama-3.2-1B shape (at least 100 MB, so that no cache holds
them); a figure counts the quantization of the activations and the barriers. The *bound* is what the
instructions of the kernel allow: integer products and one fused product of floats per group, token
and sixteen rows (engines.md 2.4), or for one token the bytes of the weights.
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

    def bound(self, mode: str, peaks: core.Peaks) -> float:
        """Most GMAC/s of many tokens."""
        if self.is_float:
            return peaks.bf16_gmacs if self.name == "bf16" and mode == "fast" else peaks.float_gmacs
        products = self.group / 4 * (2 if mode == "faithful" else 1)
        others = 1 + self.group / 128 + (1 if self.name[2] == "a" else 0)
        return peaks.int_gmacs * self.group / 4 / (products + others)


def weights(fmt: Format) -> list[list[core.PackedTensor]]:
    """Layers of random weights, together at least 100 MB."""
    rng = np.random.default_rng(0)
    groups: list[list[core.PackedTensor]] = []
    while sum(tensor.nbytes for group in groups for tensor in group) < LEAST_BYTES:
        groups += [[fmt.tensor(rng, shape) for shape in group] for group in LAYER]
    return groups


def best_peaks(before: core.Peaks, threads: int) -> core.Peaks:
    """Measure again; a peak is the best that was seen."""
    return core.Peaks(*map(max, before, core.measure_peaks(threads)))


def measure_format(
    fmt: Format, tokens: Sequence[int], threads: int, rounds: int
) -> tuple[dict[tuple[str, int], Timing], core.Peaks, float, int]:
    """Time all modes and numbers of tokens in turns, and the peaks between the rounds."""
    groups = weights(fmt)
    taken: dict[tuple[str, int], list[float]] = {}
    peaks = core.Peaks(0.0, 0.0, 0.0, 0.0)
    for _ in range(rounds):
        peaks = best_peaks(peaks, threads)
        for n in tokens:
            for mode in ("fast", "faithful"):
                for _ in range(1 if n > 64 else 3):
                    seconds = core.time_products(groups, n, mode=mode, threads=threads)
                    taken.setdefault((mode, n), []).append(seconds)
    timings = {key: Timing(min(s), float(np.median(s)), len(s)) for key, s in taken.items()}
    tensors = [tensor for group in groups for tensor in group]
    products = float(sum(tensor.shape[0] * tensor.shape[1] for tensor in tensors))
    return timings, peaks, products, sum(tensor.nbytes for tensor in tensors)


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
        timings, peaks, products, n_bytes = measure_format(
            fmt, tokens, options.threads, options.rounds
        )
        print(
            f"\n{name}: {n_bytes / 1e6:.0f} MB; peaks now: int8 {peaks.int_gmacs:.0f}, bf16 "
            f"{peaks.bf16_gmacs:.0f}, float32 {peaks.float_gmacs:.0f} GMAC/s, "
            f"read {peaks.read_gbs:.1f} GB/s"
        )
        peak = peaks.int_gmacs if not fmt.is_float else peaks.bf16_gmacs or peaks.float_gmacs
        for (mode, n), timing in timings.items():
            rate = products * n / timing.least * 1e-9
            read = n_bytes / timing.least * 1e-9
            bound = min(fmt.bound(mode, peaks), products * n / n_bytes * peaks.read_gbs)
            print(
                f"  {mode:9}{n:5} tokens {rate:7.0f} GMAC/s {rate / peak:6.1%} of peak "
                f"(bound {bound / peak:5.1%}) {read:6.1f} GB/s {read / peaks.read_gbs:6.1%} of read"
            )
            found[f"{name} {mode} {n}"] = timing
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
