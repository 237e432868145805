"""Says "ready", waits for a line, decodes with two threads on two cores, and prints the seconds.

Single tokens through many layers: some thousand barriers a second, which is where two processes
that spin on the same cores would keep each other from working.
"""

from __future__ import annotations

import os
import sys
import time

from big import big
from core.builders import forward


def main() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    built = big(64)
    cache = built.cache()
    sequence = cache.new_sequence()
    forward(built, cache, [(sequence, [1])], threads=2)
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        for token in range(40):
            forward(built, cache, [(sequence, [token])], threads=2)
        cache.truncate(sequence, 1)
        print(time.perf_counter() - started, flush=True)


main()
