"""How long idle threads of the core spin before they sleep.

libgomp reads it from the environment when it is loaded and has no call for it. By default they spin
for milliseconds after every forward: of two processes on the same two cores each kept 22 to 29 % of
its lone speed (babyllama-tok105), with this bound 49 to 54 %. Alone they are as fast. It is the
bound of the core's own barriers (threads.c).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

SPINS = "1500"


@contextmanager
def short_spinning() -> Iterator[None]:
    """Bound the spinning of an OpenMP runtime that is loaded inside.

    Of no effect where the user has decided, or where another package has loaded libgomp before.
    """
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        os.environ.pop("GOMP_SPINCOUNT", None)
