"""Rendering a conversation as a model's chat template says, without trusting the template.

The built-in ChatML templates are plain Python. Every other template is somebody's program: it runs
in the immutable sandbox of jinja2 inside a child process with limits on processor time, memory,
wall time and output (`qbench.models.chat._render`). One child serves one template, request after
request, until it fails or is dropped; one that was killed in between is replaced. The date that a
template can ask for is frozen and part of the template's hash, so that prompts do not change
overnight. Tokens are not known here.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qbench.errors import RequestError, TemplateError
from qbench.models.chat.messages import Message, check_messages, check_variables
from qbench.models.chat.process import FROZEN_DATE, TemplateProcess
from qbench.models.files import existing_path, read_bytes
from qbench.models.strict_json import read_object
from qbench.registry import unknown_name

TEMPLATE_LIMIT = 1 << 20

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The ChatML layout of Qwen, without a default system message."""

QWEN = CHATML.replace(
    "{% for message",
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helpful "
    "assistant.<|im_end|>\\n' }}{% endif %}{% for message",
    1,
)
"""ChatML as Qwen-1's own code writes it: with a default system message where there is none."""

BUILTIN = {"chatml": CHATML, "qwen": QWEN}

END_OF_TURN = {CHATML: "<|im_end|>", QWEN: "<|im_end|>"}
"""What ends the assistant's turn, for the built-in templates."""


def load_template(name_or_path: str) -> str:
    """Find a template by built-in name or file.

    Parameters
    ----------
    name_or_path
        ``chatml``, ``qwen`` (ChatML with a default system message), or the path of a Jinja file of
        at most 1 MiB. A file wins over a name.

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


def template_by_rule(architecture: str, model_type: str, folder: Path) -> str | None:
    """Return the template of a model that has one although its files do not hold it.

    That is Qwen-1 alone, whose own code writes ChatML. Its base models say ``"chat_format": "raw"``
    in ``generation_config.json``.

    Raises
    ------
    CheckpointError
        If ``generation_config.json`` is broken.
    """
    if model_type != "qwen" and architecture != "QWenLMHeadModel":
        return None
    path = folder / "generation_config.json"
    raw = path.exists() and read_object(path).get("chat_format") == "raw"
    return None if raw else QWEN


def template_hash(source: str) -> str:
    """SHA-256 of a template; one that asks for the date is hashed together with the frozen one."""
    dated = f"\0{FROZEN_DATE}" if "strftime_now" in source else ""
    return hashlib.sha256((source + dated).encode("utf-8", "surrogatepass")).hexdigest()


def render_chatml(messages: Sequence[Message], add_generation_prompt: bool, system: str) -> str:
    """Render the built-in ChatML layout, with ``system`` in front where a conversation has none."""
    if system and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system}, *messages]
    turns = [f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages]
    return "".join(turns) + ("<|im_start|>assistant\n" if add_generation_prompt else "")


class Renderer:
    """Renders one template.

    Parameters
    ----------
    source
        The template's text.
    special
        Texts of the special tokens that a template may name, such as ``bos_token``.

    Raises
    ------
    TemplateError
        If the template is longer than 1 MiB.
    """

    def __init__(self, source: str, special: Mapping[str, str] | None = None) -> None:
        if len(source.encode("utf-8", "surrogatepass")) > TEMPLATE_LIMIT:
            raise TemplateError(f"the chat template is longer than {TEMPLATE_LIMIT} bytes")
        self.source = source
        self._special = dict(special or {})
        self._child: TemplateProcess | None = None
        self._lock = threading.Lock()

    @property
    def variables(self) -> frozenset[str]:
        """Names that the template reads and does not set itself."""
        if self.source in END_OF_TURN:
            return frozenset(("messages", "add_generation_prompt"))
        with self._lock:
            return self._living_child().variables

    def render(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool = True,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """Render a conversation.

        Parameters
        ----------
        messages
            See `qbench.models.chat.messages.check_messages`.
        add_generation_prompt
            Whether the assistant's turn is opened at the end.
        variables
            Further variables of the template: ``tools``, ``documents``, ``enable_thinking`` and
            whatever else it reads. ``enable_thinking=False`` suits every template: one that does
            not know it does not think.

        Returns
        -------
        str
            At most 1 MiB of text.

        Raises
        ------
        RequestError
            If a message or variable has the wrong form, or the template has no such variable.
        TemplateError
            If the template fails, refuses the conversation, or exceeds a limit.
        """
        checked = check_messages(messages)
        given = check_variables(variables or {})
        self._check_known(given)
        if self.source in END_OF_TURN:
            if any("tool_calls" in message for message in checked):
                raise TemplateError("the built-in chat template knows no tool_calls")
            system = "You are a helpful assistant." if self.source == QWEN else ""
            return render_chatml(checked, add_generation_prompt, system)
        request: dict[str, Any] = {
            "tools": None,
            "documents": None,
            **self._special,
            **given,
            "messages": checked,
            "add_generation_prompt": add_generation_prompt,
        }
        with self._lock:
            child = self._living_child()
            try:
                answer = child.ask(request)
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

    def _check_known(self, given: Mapping[str, Any]) -> None:
        """Refuse variables that the template would silently ignore."""
        asked = [name for name, value in given.items() if value is not None]
        if not asked or (asked == ["enable_thinking"] and given["enable_thinking"] is False):
            return
        known = self.variables
        for name in asked:
            if name not in known and not (name == "enable_thinking" and given[name] is False):
                own = known - self._special.keys() - {"messages", "add_generation_prompt"}
                raise RequestError(
                    f"{unknown_name('variable of the chat template', name, own)}; it would be "
                    "without effect"
                )

    def close(self) -> None:
        """End the child process, if there is one."""
        with self._lock:
            self._drop()

    def _living_child(self) -> TemplateProcess:
        """Return the child; one that somebody killed since the last request is replaced."""
        if self._child is not None and not self._child.alive:
            self._drop()
        if self._child is None:
            self._child = TemplateProcess(self.source)
        return self._child

    def _drop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def __del__(self) -> None:
        child = getattr(self, "_child", None)
        if child is not None:
            child.kill()
