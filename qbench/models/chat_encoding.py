"""Token ids of a rendered conversation, in which no message can forge a control token.

A template's marks (``<|im_end|>`` and the like) must become control tokens; the same text inside a
message must not. So the conversation is rendered twice, once with unguessable placeholders for the
contents: what stands between the placeholders is the template's own text. In that text the control
tokens are renamed to unguessable names, and one tokenizer that knows only the renamed tokens
encodes the whole. Where no message holds such text, the ids are exactly those of encoding the
rendering with all tokens recognized, as transformers does.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from qbench.errors import TemplateError
from qbench.models.chat_template import Message
from qbench.models.faults import tokenizer_faults


class Piece(NamedTuple):
    """A part of a rendering: the template's own text, or a message's."""

    text: str
    is_mark: bool


def control_tokens(document: Mapping[str, Any], template: str) -> dict[str, int]:
    """Tokens that a message must not be able to forge.

    Parameters
    ----------
    document
        The parsed ``tokenizer.json``.
    template
        The chat template's text.

    Returns
    -------
    dict
        Text to id: all special added tokens, and of the others (Qwen's ``<tool_call>`` is one)
        those that the template writes itself.
    """
    return {
        token["content"]: token["id"]
        for token in document.get("added_tokens") or ()
        if token.get("special") or token["content"] in template
    }


class ChatEncoder:
    """Encodes renderings in which marks and message text are told apart.

    Parameters
    ----------
    document
        The parsed ``tokenizer.json``.
    control
        Control tokens by text.
    unk_id
        The id that ordinary unknown text may become although it is a control token.
    """

    def __init__(
        self, document: Mapping[str, Any], control: Mapping[str, int], unk_id: int | None
    ) -> None:
        import tokenizers

        nonce = secrets.token_hex(8)
        self._names = {
            text: f"{text[0]}qb{nonce}{index:06d}{text[-1]}" for index, text in enumerate(control)
        }
        renamed = {**document, "post_processor": None, "truncation": None, "padding": None}
        renamed["added_tokens"] = [
            {**token, "content": self._names.get(token["content"], token["content"])}
            for token in document.get("added_tokens") or ()
        ]
        with tokenizer_faults("tokenizer.json"):
            self._backend = tokenizers.Tokenizer.from_str(json.dumps(renamed))
        self._original = {
            self._backend.token_to_id(name): control[text] for text, name in self._names.items()
        }
        self._refused = set(control.values()) - {unk_id}
        self.pattern = _any_of(control)

    def encode(self, pieces: Sequence[Piece]) -> list[int]:
        """Encode the concatenation of pieces.

        Raises
        ------
        TemplateError
            If the tokenizer makes a control token out of ordinary text.
        """
        text = "".join(
            self.pattern.sub(lambda match: self._names[match[0]], piece.text)
            if piece.is_mark
            else piece.text
            for piece in pieces
        )
        with tokenizer_faults("the tokenizer"):
            ids = self._backend.encode(text, add_special_tokens=False).ids
        forged = self._refused.intersection(ids).difference(self._original)
        if forged:
            raise TemplateError(
                f"the tokenizer makes the control token {min(forged)} out of a message's text"
            )
        return [self._original.get(index, index) for index in ids]


def _any_of(texts: Mapping[str, int]) -> re.Pattern[str]:
    """Pattern that finds any of the texts, the longest first."""
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def split_rendering(
    render: Callable[[Sequence[Message]], str],
    messages: Sequence[Message],
    pattern: re.Pattern[str],
) -> list[Piece]:
    """Render a conversation and tell the template's text from the messages'.

    Parameters
    ----------
    render
        Renders messages with the template.
    messages
        The conversation.
    pattern
        Finds control tokens.

    Returns
    -------
    list of Piece
        Their texts concatenated are the rendering of the conversation, byte for byte.

    Raises
    ------
    TemplateError
        If the template fails, or rewrites the messages so that the two cannot be told apart
        although control tokens hang on it.

    Notes
    -----
    A template may trim a content or keep only what follows ``</think>``; these forms are tried in
    turn. If none fits, the rendering counts as one mark, provided that it holds the same control
    tokens in the same order as the rendering with placeholders, where messages contribute none.
    """
    text = render(messages)
    nonce = secrets.token_hex(8)
    hidden = [
        {**m, "content": f"qb{nonce}x{i}x" if m["content"] else ""} for i, m in enumerate(messages)
    ]
    try:
        skeleton = render(hidden)
    except TemplateError:
        skeleton = None
    if skeleton is not None:
        parts = re.split(f"qb{nonce}x([0-9]+)x", skeleton)
        pieces = _align(text, parts[::2], [messages[int(i)]["content"] for i in parts[1::2]])
        if pieces is not None:
            return pieces
        if pattern.findall(text) == pattern.findall(skeleton):
            return [Piece(text, True)]
    forged = next((found for m in messages for found in pattern.findall(m["content"])), None)
    if skeleton is None and forged is None:
        return [Piece(text, True)]
    raise TemplateError(
        "the chat template rewrites the messages, so that its control tokens cannot be told from "
        f"the text of a message{f' ({forged!r})' if forged else ''}; remove such text or use "
        "another template"
    )


def _forms(content: str) -> tuple[str, ...]:
    """What templates make of a content: itself, trimmed, or what follows the reasoning."""
    tail = content.rsplit("</think>", 1)[-1]
    forms = (content, content.strip(), content.lstrip(), content.rstrip())
    return tuple(dict.fromkeys((*forms, tail, tail.lstrip("\n"), tail.strip())))


def _align(text: str, marks: Sequence[str], contents: Sequence[str]) -> list[Piece] | None:
    """Find forms of the contents that, put between the marks, give the text."""
    if not text.startswith(marks[0]):
        return None
    # Every reachable position with one way to get there; few contents have more than one form.
    reached: dict[int, list[Piece]] = {len(marks[0]): [Piece(marks[0], True)]}
    for content, mark in zip(contents, marks[1:], strict=True):
        following: dict[int, list[Piece]] = {}
        for position, path in reached.items():
            for form in _forms(content):
                end = position + len(form) + len(mark)
                if end not in following and text.startswith(form + mark, position):
                    following[end] = [*path, Piece(form, False), Piece(mark, True)]
        reached = following
    return reached.get(len(text))
