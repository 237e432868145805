"""Every target of the engine in one table: floor, aim, what this machine gives, and the bound.

    python -m benchmarks.reach [--parts kernels,attention,models,documents,small,packing]
        [--quick] [--json FILE]

Shares are of peaks measured between the rounds of the same figure; ratios are medians over
interleaved rounds. The bound says what the line cannot exceed on this machine: instructions of the
kernel (engines.md 2.4), bytes over bandwidth, or the peak itself. A part whose peer is missing says
so by name. All parts take about half an hour on two cores, most of it lm-eval.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import qbench
from benchmarks import bench_documents, bench_kernels, bench_models, bench_packing, contest, shapes
from benchmarks.harness import machine
from qbench import core
from qbench.engine.cost import linear_products
from qbench.models.checkpoint import SINGLE

FORMATS = ("q4s32", "q8s32", "q3s32", "q2s32", "bf16")
MORE_FORMATS = ("q4a32", "q4s128", "f16")
SMALL_MODEL = shapes.SHARED / "models" / "babyllama-tok105" / "hf"
SMALL_TEXT = shapes.SHARED / "data" / "wikitext2" / "wiki.test.raw"
SMALL_TOKENS = 60_000
ATTENTION = (2048, 32, 8, 64)
WARM_TRIALS = 30


@dataclass(frozen=True)
class Line:
    """One target. ``found``, ``floor``, ``aim`` and ``bound`` have the unit of the line."""

    what: str
    unit: str
    floor: float
    aim: float
    found: float
    bound: float | None = None
    note: str = ""

    def text(self) -> str:
        """The line as it is printed."""
        bound = "" if self.bound is None else f"{self.bound:.4g}"
        mark = "aim" if self.found >= self.aim else "floor" if self.found >= self.floor else "BELOW"
        return (
            f"{self.what:58}{self.floor:>8.4g}{self.aim:>8.4g}{self.found:>9.4g}{bound:>9}  "
            f"{self.unit:15}{mark:6}{self.note}"
        )


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    threads: int
    rounds: int
    documents: int | None


def cached_rate(fmt: bench_kernels.Format, mode: str, threads: int) -> float:
    """GB/s of one token on weights that stay in the third-level cache: what instructions allow."""
    tensor = fmt.tensor(np.random.default_rng(0), (2048, 4096))
    best = min(
        core.time_products([[tensor]], 1, mode=mode, threads=threads) for _ in range(WARM_TRIALS)
    )
    return tensor.nbytes / best * 1e-9


def kernels(effort: Effort) -> Iterator[Line]:
    """Products of many, of eight and of one token."""
    targets = {
        ("q4s32", "fast", 512): (68, 80),
        ("q4s32", "faithful", 512): (34, 42),
        ("q4s32", "fast", 8): (50, 60),
        ("q4s32", "faithful", 8): (30, 40),
        ("q8s32", "fast", 512): (60, 75),
        ("q3s32", "fast", 512): (60, 75),
        ("q2s32", "fast", 512): (60, 75),
        ("bf16", "fast", 512): (85, 95),
    }
    for name in (*FORMATS, *MORE_FORMATS):
        fmt = bench_kernels.Format(name)
        tokens = sorted({1, *(n for other, _, n in targets if other == name)})
        timings, ceilings, products, n_bytes = bench_kernels.measure_format(
            fmt, tokens, effort.threads, effort.rounds
        )
        peaks = ceilings.own
        for (mode, n), timing in timings.items():
            if n == 1:
                warm = cached_rate(fmt, mode, effort.threads)
                yield Line(
                    f"matrix x vector, {name}, {mode}", "% of read", 85, 95,
                    100 * n_bytes / timing.least * 1e-9 / peaks.read_gbs,
                    100 * min(1.0, warm / peaks.read_gbs),
                    f"read {peaks.read_gbs:.1f}, the kernel from the cache {warm:.0f} GB/s",
                )  # fmt: skip
            elif (name, mode, n) in targets:
                floor, aim = targets[name, mode, n]
                peak, rate = fmt.peak(n, ceilings), products * n / timing.least * 1e-9
                bound = 100 * fmt.bound(mode, n, ceilings) / peak
                note = f"{rate:.0f} of {peak:.0f} GMAC/s"
                if fmt.by_tiles(n):
                    vector = bench_kernels.vector_peak(fmt, ceilings)
                    note += f" by tiles; {100 * rate / vector:.0f} % of {vector:.0f} by vectors"
                if bound < floor:
                    note += "; the floor is beyond the bound of this instruction"
                yield Line(
                    f"product, {name}, {n} tokens, {mode}", "% of peak", floor, aim,
                    100 * rate / peak, bound, note,
                )  # fmt: skip


def attention(effort: Effort) -> Iterator[Line]:
    """Attention over a prompt, causal products alone."""
    n, heads, _, dim = ATTENTION
    best = 0.0
    ceilings = bench_kernels.Ceilings.measure(effort.threads)
    for _ in range(effort.rounds):
        ceilings = ceilings.best(bench_kernels.Ceilings.measure(effort.threads))
        for _ in range(3):
            seconds = core.time_attention(*ATTENTION, mode="fast", threads=effort.threads)
            best = max(best, heads * dim * n * (n + 1) / seconds * 1e-9)
    peak, vector = ceilings.own.bf16_gmacs, ceilings.vector.bf16_gmacs
    if peak:
        note = f"{best:.0f} of {peak:.0f} GMAC/s"
        if peak > vector:
            note += f" by tiles; {100 * best / vector:.0f} % of {vector:.0f} by vectors"
        yield Line(
            f"attention, {n:,} tokens, bf16 cache, fast", "% of peak", 52, 70, 100 * best / peak,
            100, note,
        )  # fmt: skip


def models(effort: Effort) -> Iterator[Line]:
    """Prefill of the 1B shape beside OpenVINO and transformers."""
    before = core.measure_peaks(effort.threads)
    seconds = bench_models.measure("1b", 512, effort.rounds, effort.threads)
    products = bench_models.products_per_token("1b") * 512
    for name, peer, floor, aim, peak in (
        (bench_models.FAST, bench_models.OPENVINO, 1.4, 1.8, before.int_gmacs),
        (bench_models.FAITHFUL, bench_models.TRANSFORMERS, 1.0, 1.15, before.int_gmacs / 2),
    ):
        if peer not in seconds or name not in seconds:
            continue
        least = products / (peak * 1e9)
        yield Line(
            f"1B shape, 512 tokens, {name}", f"x {peer.split()[0]}", floor, aim,
            contest.ratio(seconds[name], seconds[peer]),
            statistics.median(seconds[peer]) / least,
            f"{512 / min(seconds[name]):.0f} tokens/s, {512 / min(seconds[peer]):.0f} theirs",
        )  # fmt: skip
    others = [f"{name} {512 / min(taken):.0f}" for name, taken in seconds.items()]
    print("  (tokens/s: " + ", ".join(others) + ")")


def documents(effort: Effort) -> Iterator[Line]:
    """MMLU 5-shot beside lm-eval's own backend."""
    subjects = bench_documents.SUBJECTS.split(",")
    found = bench_documents.measure(subjects, effort.documents, 3, effort.threads)
    n, seconds = found["documents"], found["seconds"]
    slow = seconds.get(bench_documents.LM_EVAL)
    for name, floor, aim in ((bench_documents.FAITHFUL, 10, 16), (bench_documents.FAST, 18, 28)):
        if slow:
            usual = statistics.median(seconds[name])
            yield Line(
                f"MMLU 5-shot, {n} documents, 0.5B shape, {name}", "x lm-eval", floor, aim,
                slow[0] / usual, None, f"{n / usual:.2f} documents/s, {n / slow[0]:.2f} theirs",
            )  # fmt: skip


def small(effort: Effort) -> Iterator[Line]:
    """Perplexity of a small model."""
    if not SMALL_MODEL.exists():
        print(f"skipped: {SMALL_MODEL.name} is not there")
        return
    loaded = {
        mode: qbench.load(SMALL_MODEL, "rtn-w4g32", mode=mode, threads=effort.threads)
        for mode in ("faithful", "fast")
    }
    ids = loaded["fast"].tokenizer.encode(SMALL_TEXT.read_text()[: 2 * SMALL_TOKENS])
    ids = ids[:SMALL_TOKENS]
    best, peak = dict.fromkeys(loaded, 0.0), 0.0
    for _ in range(effort.rounds):
        peak = max(peak, core.measure_peaks(effort.threads).int_gmacs)
        for mode, model in loaded.items():
            start = time.perf_counter()
            model.perplexity(ids)
            taken = time.perf_counter() - start
            best[mode] = max(best[mode], len(ids) / taken * 1e-3)
    spec = loaded["fast"].spec
    products = linear_products(spec) + spec.vocab_size * spec.hidden_size
    for mode, floor, aim, share in (("faithful", 60, 120, 0.5), ("fast", 100, 250, 1.0)):
        yield Line(
            f"babyllama-tok105, rtn-w4g32, WikiText-2 perplexity, {mode}", "k tokens/s", floor, aim,
            best[mode], share * peak * 1e6 / products, "bound: products alone",
        )  # fmt: skip


def packing(effort: Effort) -> Iterator[Line]:
    """Rounding and packing."""
    folder = shapes.folder("1b")
    size = (folder / SINGLE).stat().st_size * 1e-9
    best = min(bench_packing.pack_seconds(folder, "rtn-w4g32") for _ in range(3))
    hashing = bench_packing.hash_seconds(folder)
    read = core.measure_peaks(effort.threads).read_gbs
    yield Line(
        "rounding and packing bf16 to rtn-w4g32, 1B shape", "GB/s", 0.5, 1.0, size / best,
        read / 1.3, f"with the hash {size / (best + hashing):.2f}; bound: read once, write 0.3",
    )  # fmt: skip


PARTS: dict[str, Callable[[Effort], Iterator[Line]]] = {
    "kernels": kernels,
    "attention": attention,
    "small": small,
    "packing": packing,
    "models": models,
    "documents": documents,
}


def main() -> None:
    """Print the table, part by part."""
    parser = argparse.ArgumentParser(description="Every target of the engine.")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--threads", type=int, default=core.default_threads())
    parser.add_argument("--quick", action="store_true", help="fewer rounds, fewer documents")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    effort = Effort(options.threads, 2 if options.quick else 7, 20 if options.quick else None)
    print(machine(), f"tier {core.isa_tier()}, {options.threads} threads")
    print(f"{'':58}{'floor':>8}{'aim':>8}{'found':>9}{'bound':>9}")
    lines, failed = [], {}
    for name in options.parts.split(","):
        try:
            for line in PARTS[name](effort):
                lines.append(line)
                print(line.text(), flush=True)
        except Exception as error:  # the other parts are worth their half hour all the same
            failed[name] = f"{type(error).__name__}: {error}"
            print(f"left out: the rest of {name} ({failed[name]})", flush=True)
    if options.json:
        record = {
            "machine": machine(),
            "lines": [asdict(line) for line in lines],
            "left_out": failed,
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
