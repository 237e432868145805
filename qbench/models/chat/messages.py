"""Conversations and template variables, checked before any template sees them.

A template gets plain JSON and nothing else: no object whose methods a template could call, no
half of a surrogate pair, no cycle. The keys are those of the field's common message format. Nothing
is rendered here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qbench.errors import RequestError
from qbench.registry import unknown_name

ROLES = ("system", "developer", "user", "assistant", "tool")
KEYS = ("role", "content", "reasoning_content", "tool_calls", "tool_call_id", "name")
TEXT_KEYS = ("content", "reasoning_content", "tool_call_id", "name")
RESERVED = ("messages", "add_generation_prompt")
"""What a caller says otherwise than by a template variable."""

MAX_DEPTH = 32

Message = Mapping[str, Any]


def check_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Copy a conversation and check its form.

    Parameters
    ----------
    messages
        Mappings with ``role`` (system, developer, user, assistant, tool) and ``content`` (text).
        Where a template supports them: ``reasoning_content`` and ``tool_calls`` of an assistant's
        turn (which may then lack a content), ``tool_call_id`` and ``name`` of a tool's. A key whose
        value is None counts as absent, as in transformers.

    Raises
    ------
    RequestError
        For anything else. A role is part of the template's marks, so free text is refused there.
    """
    checked = [_check_message(message, f"message {i}") for i, message in enumerate(messages)]
    if not checked:
        raise RequestError("a conversation needs at least one message")
    return checked


def _check_message(message: Message, where: str) -> dict[str, Any]:
    """Check one message."""
    if not isinstance(message, Mapping):
        raise RequestError(f"{where}: expected a mapping with the keys role and content")
    present = {key: value for key, value in message.items() if value is not None}
    for key in present:
        if key not in KEYS:
            raise RequestError(f"{where}: " + unknown_name("key", str(key), KEYS))
    role = present.get("role")
    if role not in ROLES:
        raise RequestError(f"{where}: " + unknown_name("role", str(role), ROLES))
    for key in TEXT_KEYS:
        if key in present and not isinstance(present[key], str):
            raise RequestError(f"{where}: {key} is no text but {type(present[key]).__name__}")
    calls = present.get("tool_calls")
    if calls is not None and not _is_list_of_mappings(calls):
        raise RequestError(f"{where}: tool_calls: expected a list of objects")
    if role != "assistant" and ("reasoning_content" in present or calls is not None):
        raise RequestError(f"{where}: only an assistant has reasoning_content and tool_calls")
    if "content" not in present and not calls:
        raise RequestError(f"{where}: expected a content")
    checked: dict[str, Any] = plain(present, where)
    if "reasoning_content" in checked:
        # The other name under which templates look for it; transformers sets both.
        checked["thinking"] = checked["reasoning_content"]
    return checked


def check_variables(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the variables of a template and check their form.

    Parameters
    ----------
    variables
        ``tools`` and ``documents``: lists of objects; everything else any JSON, such as
        ``enable_thinking=False``.

    Raises
    ------
    RequestError
        For a reserved name, a value that is no JSON, or tools that are no JSON schemas.
    """
    for name in RESERVED:
        if name in variables:
            raise RequestError(f"{name} is no template variable that can be set")
    for name in ("tools", "documents"):
        value = variables.get(name)
        if value is not None and not _is_list_of_mappings(value):
            raise RequestError(f"{name}: expected a list of objects (JSON schemas, no functions)")
    return {name: plain(value, name) for name, value in variables.items()}


def _is_list_of_mappings(value: Any) -> bool:
    """Whether a value is a list whose entries are objects."""
    return isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value)


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """Rebuild a value out of JSON's own types.

    Raises
    ------
    RequestError
        If it holds something else, NaN or infinity, half of a surrogate pair, or is nested deeper
        than 32 levels.
    """
    if depth > MAX_DEPTH:
        raise RequestError(f"{where}: nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise RequestError(f"{where}: the text holds half of a surrogate pair") from None
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise RequestError(f"{where}: the keys of an object are texts")
        return {
            plain(key, where): plain(item, f"{where}.{key[:40]}", depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(item, where, depth + 1) for item in value]
    found = f"the number {value}" if isinstance(value, float) else type(value).__name__
    raise RequestError(f"{where}: expected JSON, found {found}")
