"""A worker process: JSON lines in, JSON lines out (``python -m qbench._worker``).

A line asks for one call of a module-level function; the answer holds its result or its error. What
anything prints goes to standard error, so that it cannot get between the answers. When the input
ends the process ends at once, also in the middle of a job: nobody is left to take the answer.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import sys
import threading
import traceback
import warnings
from typing import IO, Any

from qbench.errors import QbenchWarning


def main() -> None:
    """Serve until the input ends."""
    warnings.formatwarning = _one_line
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, lines), daemon=True).start()
    while True:
        answers.write(json.dumps(_answer(lines.get())).encode() + b"\n")
        answers.flush()


def _one_line(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> str:
    """Write a warning as the command line does, without the line of code that gave it."""
    name = "" if issubclass(category, QbenchWarning) else f"{category.__name__}: "
    return f"qbench: warning: {name}{message}\n"


def _listen(source: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    """Pass lines on; leave the process when there are no more."""
    for line in source:
        lines.put(line)
    os._exit(0)


def _answer(line: bytes) -> dict[str, Any]:
    """Make one call."""
    try:
        call = json.loads(line)
        module, _, name = call["function"].partition(":")
        function = getattr(importlib.import_module(module), name)
        result = function(*call["args"], **call["kwargs"])
        json.dumps(result, allow_nan=False)
        return {"result": result}
    except Exception as error:
        return {
            "error": type(error).__name__,
            "message": str(error),
            "trace": "".join(traceback.format_exception(error)),
        }


if __name__ == "__main__":
    main()
