"""What every contestant shares: a process that is told by lines of JSON what to do next.

A contestant runs in its own process, perhaps under another Python with other packages, and does
nothing between two requests. Its script calls `serve` with a function that loads the model and
returns what can be asked by name. Knows nothing of any engine; needs only the standard library.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

Functions = dict[str, Callable[..., Any]]


def serve(load: Callable[..., Functions]) -> None:
    """Load with the settings of the command line, say so, and answer until the input ends.

    Parameters
    ----------
    load
        Takes the settings (a JSON object, the first argument of the script) by name.
    """
    # Whatever the engine prints goes to the error stream: the replies have the pipe alone.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(**content: Any) -> None:
        replies.write(json.dumps(content) + "\n")
        replies.flush()

    try:
        functions = load(**json.loads(sys.argv[1]))
    except Exception as error:
        reply(error=f"{type(error).__name__}: {error}")
        return
    reply(ready=True)
    for line in sys.stdin:
        request = json.loads(line)
        name = request.pop("do")
        try:
            reply(value=functions[name](**request))
        except Exception as error:
            reply(error=f"{type(error).__name__}: {error}")
