"""Which parts of a rendered conversation are the template's own text, and which came from outside.

A conversation is rendered a second time with unguessable placeholders in place of what came from
outside; the two renderings are then laid upon each other. Contents of messages always become
placeholders. Other texts (tools, documents, tool calls, reasoning) often steer a template, so only
those that could make a control token do. Ids are not known here.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from qbench.errors import TemplateError
from qbench.models.chat.messages import Message

Render = Callable[[Sequence[Message], Mapping[str, Any]], str]

_THINK_MARKS = re.compile(r"(\n*<think>\n*|\n*</think>\n*)")


class Piece(NamedTuple):
    """A part of a rendering: the template's own text, or what came from outside."""

    text: str
    is_mark: bool


class Borders:
    """Finds control tokens in a text, whole or begun at one of its ends.

    Parameters
    ----------
    tokens
        Texts of the control tokens.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        longest_first = sorted(tokens, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._heads = {text[:end] for text in longest_first for end in range(1, len(text))}
        self._tails = {text[begin:] for text in longest_first for begin in range(1, len(text))}
        self._longest = max(map(len, longest_first), default=0)

    def in_danger(self, text: str) -> bool:
        """Whether a text holds a control token, or could make one with what stands beside it."""
        lengths = range(1, min(self._longest, len(text) + 1))
        return self.pattern.search(text) is not None or any(
            text[-n:] in self._heads or text[:n] in self._tails for n in lengths
        )


def split_rendering(
    render: Render,
    messages: Sequence[Message],
    borders: Borders,
    variables: Mapping[str, Any] | None = None,
) -> list[Piece]:
    """Render a conversation and tell the template's text from what came from outside.

    Parameters
    ----------
    render
        Renders messages and variables with the template.
    messages
        The conversation.
    borders
        Finds control tokens.
    variables
        The template's variables.

    Returns
    -------
    list of Piece
        Their texts concatenated are the rendering of the conversation, byte for byte.

    Raises
    ------
    TemplateError
        If the template fails, or rewrites the conversation so that the two cannot be told apart
        although control tokens hang on it.

    Notes
    -----
    A template may trim a text, write it as JSON, or keep only what follows ``</think>``; these
    forms are tried in turn. It may also take an assistant's turn apart at its think marks; then
    what stands between them is hidden instead of the whole. If nothing fits, the rendering counts
    as one mark, provided that it holds the same control tokens in the same order as the rendering
    with placeholders, where what came from outside contributes none.
    """
    given = dict(variables or {})
    text = render(messages, given)
    seen: list[str | None] = []
    for keep_think_marks in (False, True):
        hiding = _Hiding(borders, keep_think_marks)
        hidden = [hiding.message(message) for message in messages], hiding.value(given)
        if keep_think_marks and not hiding.kept:
            break
        try:
            skeleton = render(*hidden)
        except TemplateError:
            seen.append(None)
            continue
        seen.append(skeleton)
        parts = re.split(hiding.pattern, skeleton)
        pieces = _align(text, parts[::2], [hiding.texts[int(i)] for i in parts[1::2]])
        if pieces is not None:
            return pieces
    found = borders.pattern.findall(text)
    if any(s is not None and borders.pattern.findall(s) == found for s in seen):
        return [Piece(text, True)]
    forged = next((f for t in hiding.texts for f in borders.pattern.findall(t)), None)
    if seen[0] is None and forged is None:
        return [Piece(text, True)]
    raise TemplateError(
        "the chat template rewrites the messages, so that its control tokens cannot be told from "
        f"the text of a message{f' ({forged!r})' if forged else ''}; remove such text or use "
        "another template"
    )


class _Hiding:
    """Replaces texts by placeholders and remembers them.

    ``kept`` says whether any think mark was left visible.
    """

    def __init__(self, borders: Borders, keep_think_marks: bool) -> None:
        nonce = secrets.token_hex(8)
        self.texts: list[str] = []
        self.kept = False
        self.pattern = f"qb{nonce}x([0-9]+)x"
        self._nonce = nonce
        self._borders = borders
        self._keep_think_marks = keep_think_marks

    def message(self, message: Message) -> dict[str, Any]:
        """Hide the content of a message, and what else in it is in danger."""
        hidden: dict[str, Any] = self.value({k: v for k, v in message.items() if k != "content"})
        content = message.get("content")
        if content is None:
            return hidden
        if message["role"] == "assistant" and self._keep_think_marks and "</think>" in content:
            self.kept = True
            parts = _THINK_MARKS.split(content)
            parts[::2] = [self._hide(part) for part in parts[::2]]
            return {**hidden, "content": "".join(parts)}
        return {**hidden, "content": self._hide(content)}

    def value(self, value: Any) -> Any:
        """Hide the texts of any JSON that are in danger."""
        if isinstance(value, str):
            return self._hide(value) if self._borders.in_danger(value) else value
        if isinstance(value, Mapping):
            for key in value:
                if self._borders.pattern.search(str(key)):
                    raise TemplateError(f"the key {key!r:.80} holds a control token; rename it")
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def _hide(self, text: str) -> str:
        """Return the placeholder of a text; nothing stands for nothing."""
        if not text:
            return ""
        self.texts.append(text)
        return f"qb{self._nonce}x{len(self.texts) - 1}x"


def _forms(text: str) -> tuple[str, ...]:
    """What templates make of a text: itself, trimmed, what follows the reasoning, JSON."""
    tail = text.rsplit("</think>", 1)[-1]
    trimmed = (text, text.strip(), text.lstrip(), text.rstrip(), text.strip("\n"))
    forms = (*trimmed, text.lstrip("\n"), tail, tail.lstrip("\n"), tail.strip())
    escaped = (json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1])
    return tuple(dict.fromkeys((*forms, *escaped)))


def _align(text: str, marks: Sequence[str], contents: Sequence[str]) -> list[Piece] | None:
    """Find forms of the contents that, put between the marks, give the text."""
    if not text.startswith(marks[0]):
        return None
    # Every reachable position with the way there; few contents have more than one form. A way is
    # a chain of (piece, piece, rest), which positions share.
    reached: dict[int, Any] = {len(marks[0]): None}
    for content, mark in zip(contents, marks[1:], strict=True):
        following: dict[int, Any] = {}
        forms = _forms(content)
        for position, path in reached.items():
            for form in forms:
                end = position + len(form) + len(mark)
                if end not in following and text.startswith(form + mark, position):
                    following[end] = (Piece(form, False), Piece(mark, True), path)
        reached = following
    if len(text) not in reached:
        return None
    pieces: list[Piece] = []
    path = reached[len(text)]
    while path is not None:
        form, mark, path = path
        pieces += [mark, form]
    return [Piece(marks[0], True), *reversed(pieces)]
