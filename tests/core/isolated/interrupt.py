"""Interrupts a long forward, or a long series of short ones, and says how soon it answered.

    python interrupt.py forward|generate THREADS

Prints the seconds from the signal to the exception, and what became of the cache.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

import numpy as np
from big import big
from core.builders import Built, forward

from qbench import core

sent = [0.0]


def send() -> None:
    sent[0] = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)


def work(built: Built, cache: core.Cache, sequence: int, kind: str, threads: int) -> None:
    """Half a minute of work, if it is allowed to finish."""
    if kind == "forward":
        forward(built, cache, [(sequence, [7] * 2000)], rows=[0], threads=threads)
        return
    one = np.ones(1, np.int32)
    built.decoder.generate(
        cache, np.array([sequence], np.int32), one, one.astype(np.uint64), one.astype(np.uint32),
        np.array([4000], np.uint32), one[:0], 4000, 0.0, 0, 1.0, threads,
    )  # fmt: skip


def main() -> None:
    kind, threads = sys.argv[1], int(sys.argv[2])
    # A job that a shell starts in the background ignores the signal, and so do its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # One step of generation is far below the interval at which signals are looked for.
    built = big(256, context=4096) if kind == "forward" else big(24, context=4096)
    cache = built.cache(pages=200)
    sequence = cache.new_sequence()
    before = forward(built, cache, [(sequence, [1, 2, 3])]).logits
    threading.Timer(0.5, send).start()
    started = time.monotonic()
    answer = -1.0
    try:
        work(built, cache, sequence, kind, threads)
    except KeyboardInterrupt:
        answer = time.monotonic() - sent[0]
    length, pages = cache.length(sequence), cache.pages_used
    again = cache.new_sequence()
    after = forward(built, cache, [(again, [1, 2, 3])], threads=threads).logits
    result = {"answer": answer, "ran": time.monotonic() - started, "length": length,
              "pages": pages, "same": bool((before == after).all())}  # fmt: skip
    print(json.dumps(result))


main()
