"""Makes, uses, breaks and drops every object of the core, over and over.

Prints the growth of the process in KiB, of Python's blocks, and whether an argument's reference
count changed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from core.builders import INTEGER_FORMATS, Shape, assemble, forward, pack_codes, random_weights

from qbench import core

RNG = np.random.default_rng(0)
SHAPE = Shape(n_layers=1, context=200)
WEIGHTS = random_weights(RNG, SHAPE)
CODES = np.ones((200, 200), np.uint8)
SCALES = np.ones((200, 2), np.float32)
X = np.ones((3, 200), np.float32)
WATCHED = [CODES, SCALES, X, *WEIGHTS.values(), core.Cache, core.RawDecoder]


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4


def refused(call: Any, *arguments: Any, **named: Any) -> None:
    with contextlib.suppress(ValueError, TypeError, MemoryError, ArithmeticError):
        call(*arguments, **named)
        raise AssertionError("this call must fail")


def tensors() -> None:
    for zeros in (None, np.ones((200, 2), np.uint8)):
        how: dict[str, Any] = {"bits": 4, "group": 100, "scale_type": "bf16"}
        tensor = core.PackedTensor.from_codes(CODES, SCALES, zeros, **how)
        tensor.codes()
        core.matmul(X, tensor)
        refused(core.matmul, X[:, :5], tensor)
        refused(core.PackedTensor.from_codes, CODES * 16, SCALES, zeros, **how)
        refused(core.PackedTensor.from_codes, CODES, SCALES * np.float32(np.nan), zeros, **how)
        refused(core.PackedTensor.from_codes, CODES, SCALES[:, :1], zeros, **how)
        refused(core.PackedTensor.from_codes, CODES, SCALES, zeros, **{**how, "bits": 9})
    dense = core.PackedTensor.from_dense(X, "f32")
    refused(dense.codes)
    refused(core.PackedTensor.from_dense, X, "f16")
    refused(core.PackedTensor.from_dense, X[:0], "f32")


def decoders() -> None:
    built = assemble(WEIGHTS, SHAPE)
    cache = built.cache(pages=8)
    one = cache.new_sequence()
    forward(built, cache, [(one, [1] * 40)], targets=[[2]] * 40)
    two = cache.fork(one, 35)
    forward(built, cache, [(two, [1] * 9)], threads=2)
    for runs in (
        [(one, [99])],
        [(5, [1])],
        [(one, [1] * 161)],
        [(two, [1] * 150), (one, [1] * 150)],
        [(one, [])],
    ):
        refused(forward, built, cache, runs)
    refused(forward, built, cache, [(one, [1])], targets=[[99]])
    refused(built.decoder.forward, cache, X, X, X, X, X, X, False, 1)
    refused(built.decoder.forward, cache, X)
    number = np.ones(1, np.int32)
    rest: tuple[Any, ...] = (number, number.astype(np.uint64), number.astype(np.uint32))
    built.decoder.generate(
        cache, np.array([two], np.int32), *rest, np.array([6], np.uint32), number[:0], 6, 1.0, 5,
        0.9, 1,
    )  # fmt: skip
    refused(built.decoder.generate, cache, number * 9, *rest, rest[2], number, 6, 0.0, 0, 1.0, 1)
    refused(assemble, WEIGHTS, Shape(n_layers=1, n_heads=2))
    refused(assemble, {**WEIGHTS, "model.norm.weight": X[0]}, SHAPE)
    refused(core.Cache, "f32", 1, 1, 8, 0)
    cache.release(one)
    refused(cache.release, one)


def probes() -> None:
    core.formats()
    core.isa_tiers()
    core.row_operation("rmsnorm", X[0], X[1])
    core.row_operation("logsumexp", X[0], X[1])
    core.sample(X[0], 0.5, temperature=1.0)
    refused(core.row_operation, "what", X[0], X[1])
    refused(core.row_operation, "rmsnorm", X[0], X[0, :5])
    refused(core.sample, X, 0.5, temperature=1.0)
    for fmt in INTEGER_FORMATS:
        pack_codes(RNG, fmt, (33, 50), 20)


def main() -> None:
    counts, blocks, size = [], [], []
    for repeat in range(3):
        for _ in range(60):
            tensors()
            decoders()
            probes()
        counts.append([sys.getrefcount(thing) for thing in WATCHED])
        gc.collect()
        blocks.append(sys.getallocatedblocks())
        size.append(resident())
        del repeat
    print(json.dumps({"kib": size[-1] - size[-2], "blocks": blocks[-1] - blocks[-2],
                      "references": counts[-1] == counts[0]}))  # fmt: skip


main()
