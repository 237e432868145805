"""The process that renders one chat template, seen from the parent.

It gets and answers lines of JSON; `qbench.models.chat._render` is the other end.
Whatever it does, an answer or an error comes back within five seconds. It has no part in the
parent's environment: no tokens, no proxies, no working directory.
"""

from __future__ import annotations

import importlib.util
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qbench.errors import RequestError, TemplateError
from qbench.models.strict_json import loads

WALL_SECONDS = 5.0
START_SECONDS = 20.0
REQUEST_LIMIT = 16 << 20
ANSWER_LIMIT = 8 << 20
FROZEN_DATE = "2024-07-26"
"""What ``strftime_now`` answers, always: the day that the templates of Llama 3.1 fall back to."""


class TemplateProcess:
    """A child process that holds one compiled template.

    Parameters
    ----------
    source
        The template's text.

    Attributes
    ----------
    variables : frozenset of str
        Names that the template reads and does not set itself.

    Raises
    ------
    TemplateError
        If it does not compile within the limits.
    """

    def __init__(self, source: str) -> None:
        folders = {_folder_of("jinja2"), _folder_of("markupsafe")}
        script = Path(__file__).with_name("_render.py")
        # No inherited environment: the child has no business with tokens and proxies.
        kept = {k: os.environ[k] for k in ("LD_LIBRARY_PATH",) if k in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(script), FROZEN_DATE, *sorted(folders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept,
            cwd="/",
        )
        try:
            # Loading jinja2 is not the template's doing, so that has longer to come.
            self._exchange(b"", START_SECONDS)
            answer = self._exchange(_line(source), WALL_SECONDS)
        except BaseException:
            self.kill()
            raise
        if "text" not in answer:
            self.kill()
            raise TemplateError(
                f"the chat template does not compile: {answer.get('fatal')}; mend it, or give "
                "another one (chat_template=, --chat-template)"
            )
        self.variables = frozenset(answer["text"].split())

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def ask(self, request: Mapping[str, Any]) -> dict[str, str]:
        """Send the variables of one rendering and wait for the answer.

        Returns
        -------
        dict
            ``text``; or ``error``, after which the process goes on, or ``fatal``, after which it
            does not.

        Raises
        ------
        RequestError
            If the request is too long.
        TemplateError
            If no answer comes, or one out of form; the process must then be killed.
        """
        data = _line(request)
        if len(data) > REQUEST_LIMIT:
            raise RequestError(f"a conversation of {len(data)} bytes, more than {REQUEST_LIMIT}")
        return self._exchange(data, WALL_SECONDS)

    def _exchange(self, line: bytes, seconds: float) -> dict[str, str]:
        """Write one line, read one line, within a time and a size."""
        assert self._process.stdin is not None and self._process.stdout is not None
        data = memoryview(line)
        received, deadline = bytearray(), time.monotonic() + seconds
        inward, outward = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(inward, False)
        with selectors.DefaultSelector() as selector:
            selector.register(outward, selectors.EVENT_READ)
            if line:
                selector.register(inward, selectors.EVENT_WRITE)
            while not received.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TemplateError(f"the chat template took longer than {seconds:g} s")
                for key, _ in selector.select(left):
                    if key.fd == inward:
                        data = data[self._write(inward, data) :]
                        if not data:
                            selector.unregister(inward)
                        continue
                    chunk = os.read(outward, 1 << 16)
                    received += chunk
                    if not chunk:
                        raise TemplateError(self._cause_of_death())
                    if len(received) > ANSWER_LIMIT:
                        raise TemplateError("the chat template's answer is too long")
        return _checked_answer(bytes(received))

    def _write(self, descriptor: int, data: memoryview) -> int:
        """Write what the pipe takes; a dead child is reported like a closed output."""
        try:
            return os.write(descriptor, data[: 1 << 16])
        except BrokenPipeError:
            raise TemplateError(self._cause_of_death()) from None

    def _cause_of_death(self) -> str:
        """Say which limit ended the process."""
        code = self._process.wait(timeout=WALL_SECONDS)
        cause = {
            -signal.SIGPROF: "more than 2 s of processor time",
            -signal.SIGXCPU: "more than 2 s of processor time",
            -signal.SIGKILL: "it was killed",
        }.get(code)
        return f"the chat template's process ended: {cause or f'exit status {code}'}"

    def kill(self) -> None:
        """End the process and free its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _line(message: Any) -> bytes:
    """One line of JSON."""
    return json.dumps(message).encode() + b"\n"


def _checked_answer(line: bytes) -> dict[str, str]:
    """Require what the child may say; after an escape it may say anything."""
    answer = loads(line, "the chat template's answer", error=TemplateError)
    if not isinstance(answer, dict) or not all(isinstance(v, str) for v in answer.values()):
        raise TemplateError("the chat template's process answered out of form")
    if not answer.keys() & {"text", "error", "fatal"}:
        raise TemplateError("the chat template's process answered out of form")
    return answer


def _folder_of(package: str) -> str:
    """Folder that holds a package, which an isolated interpreter might not search."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise TemplateError(f"chat templates need the package {package}: pip install {package}")
    return str(Path(spec.origin).parent.parent)
