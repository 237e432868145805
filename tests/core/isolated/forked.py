"""Forks after a forward on several threads: a child with one thread must work, and agree."""

from __future__ import annotations

import os

import numpy as np
from core.builders import build, logits_of


def main() -> None:
    built = build(np.random.default_rng(0))
    ids = list(range(50))
    expected = logits_of(built, ids, threads=2)
    for _ in range(20):
        child = os.fork()
        if child == 0:
            same = np.array_equal(logits_of(built, ids, threads=1), expected)
            os._exit(0 if same else 1)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        assert np.array_equal(logits_of(built, ids, threads=2), expected)


main()
