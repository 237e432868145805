"""Rendering a conversation as a model's chat template says, without trusting the template.

The built-in ``chatml`` is plain Python. Every other template is somebody's program: it runs in the
immutable sandbox of jinja2 inside a child process with limits on processor time, memory, wall time
and output (`qbench.models._render`). One child serves one template until it fails or is dropped.
The date that a template can ask for is frozen, so that prompts do not change overnight. Tokens are
not known here.
"""

from __future__ import annotations

import importlib.util
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qbench.errors import RequestError, TemplateError
from qbench.models.files import existing_path, read_bytes
from qbench.models.strict_json import loads
from qbench.registry import unknown_name

TEMPLATE_LIMIT = 1 << 20
WALL_SECONDS = 5.0
ANSWER_LIMIT = 8 << 20
START_SECONDS = 20.0
FROZEN_DATE = "2024-07-26"
ROLES = ("system", "user", "assistant", "tool")

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The ChatML layout of Qwen, without a default system message."""

BUILTIN = {"chatml": CHATML}

Message = Mapping[str, str]


def check_messages(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Copy a conversation and check its form.

    Parameters
    ----------
    messages
        Mappings with exactly ``role`` (system, user, assistant, tool) and ``content`` (text).

    Raises
    ------
    RequestError
        For anything else. A role is part of the template's marks, so free text is refused there.
    """
    checked = []
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
            raise RequestError(f"message {index}: expected exactly the keys role and content")
        role, content = message["role"], message["content"]
        if role not in ROLES:
            raise RequestError(f"message {index}: " + unknown_name("role", str(role), ROLES))
        if not isinstance(content, str):
            raise RequestError(f"message {index}: content is no text but {type(content).__name__}")
        if any("\ud800" <= char <= "\udfff" for char in content):
            raise RequestError(f"message {index}: content holds half of a surrogate pair")
        checked.append({"role": role, "content": content})
    if not checked:
        raise RequestError("a conversation needs at least one message")
    return checked


def load_template(name_or_path: str) -> str:
    """Find a template by built-in name or file.

    Parameters
    ----------
    name_or_path
        ``chatml``, or the path of a Jinja file of at most 1 MiB. A file wins over a name.

    Raises
    ------
    RequestError
        If it is neither; near names are suggested.
    TemplateError
        If the file cannot be read or is no UTF-8.
    """
    path = existing_path(name_or_path, RequestError)
    if path is not None:
        return decode_template(read_bytes(path, TEMPLATE_LIMIT, TemplateError), str(path))
    if name_or_path in BUILTIN:
        return BUILTIN[name_or_path]
    message = unknown_name("chat template", name_or_path, BUILTIN)
    raise RequestError(f"{message} (or the path of a Jinja file)")


def decode_template(data: bytes, where: str) -> str:
    """Turn a template file's bytes into text."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise TemplateError(f"{where}: no UTF-8 at byte {exc.start}") from None


def render_chatml(messages: Sequence[Message], add_generation_prompt: bool) -> str:
    """Render the built-in ChatML layout."""
    turns = [f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages]
    return "".join(turns) + ("<|im_start|>assistant\n" if add_generation_prompt else "")


class Renderer:
    """Renders one template.

    Parameters
    ----------
    source
        The template's text.
    variables
        Further variables, such as ``bos_token``.

    Raises
    ------
    TemplateError
        If the template is longer than 1 MiB.
    """

    def __init__(self, source: str, variables: Mapping[str, str] | None = None) -> None:
        if len(source.encode("utf-8", "surrogatepass")) > TEMPLATE_LIMIT:
            raise TemplateError(f"the chat template is longer than {TEMPLATE_LIMIT} bytes")
        self.source = source
        self._variables = dict(variables or {})
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
        """Render a conversation.

        Returns
        -------
        str
            At most 1 MiB of text.

        Raises
        ------
        RequestError
            If a message has the wrong form.
        TemplateError
            If the template fails, refuses the conversation, or exceeds a limit.
        """
        checked = check_messages(messages)
        if self.source == CHATML:
            return render_chatml(checked, add_generation_prompt)
        request: dict[str, Any] = {
            **self._variables,
            "messages": checked,
            "tools": None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        with self._lock:
            if self._child is None:
                self._child = _Child(self.source)
            try:
                answer = self._child.ask(request)
            except BaseException:
                self._drop()
                raise
            if "fatal" in answer:
                self._drop()
        if "text" not in answer:
            raise TemplateError(
                f"the chat template failed: {answer.get('error') or answer['fatal']}"
            )
        return answer["text"]

    def close(self) -> None:
        """End the child process, if there is one."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def __del__(self) -> None:
        child = getattr(self, "_child", None)
        if child is not None:
            child.kill()


class _Child:
    """The process that holds one compiled template."""

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
            # Loading jinja2 is not the template's doing, so the first answer has longer to come.
            answer = self._exchange(source, START_SECONDS)
        except BaseException:
            self.kill()
            raise
        if "fatal" in answer:
            self.kill()
            raise TemplateError(f"the chat template does not compile: {answer['fatal']}")

    def ask(self, request: Mapping[str, Any]) -> dict[str, str]:
        """Send one request and wait for its answer."""
        return self._exchange(request, WALL_SECONDS)

    def _exchange(self, message: Any, seconds: float) -> dict[str, str]:
        """Write one line, read one line, within a time and a size."""
        assert self._process.stdin is not None and self._process.stdout is not None
        data = memoryview(json.dumps(message).encode() + b"\n")
        received, deadline = bytearray(), time.monotonic() + seconds
        inward, outward = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(inward, False)
        with selectors.DefaultSelector() as selector:
            selector.register(outward, selectors.EVENT_READ)
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
        cause = {-24: "more than 2 s of processor time", -9: "killed by the system"}.get(code)
        return f"the chat template's process ended: {cause or f'exit status {code}'}"

    def kill(self) -> None:
        """End the process and free its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


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
