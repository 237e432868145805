from __future__ import annotations

import re
from typing import Any

import pytest

from qbench.errors import TemplateError
from qbench.models.chat_pieces import Borders, Piece, split_rendering

PATTERN = re.compile(r"<E>|<S>")
BORDERS = Borders(["<E>", "<S>"])
Messages = list[dict[str, Any]]


def say(*contents: str) -> Messages:
    return [{"role": "user", "content": content} for content in contents]


def simple(messages: Messages, _more: object = None) -> str:
    return "".join(f"<S>{m['role']} {m['content']}<E>" for m in messages)


def trimmed(messages: Messages, _more: object = None) -> str:
    return "".join(f"<S>{m['content'].strip()}<E>" for m in messages)


def reasoning(messages: Messages, _more: object = None) -> str:
    return "".join(f"<S>{m['content'].split('</think>')[-1]}<E>" for m in messages)


def twice(messages: Messages, _more: object = None) -> str:
    return "".join(f"<S>{m['content']}|{m['content']}<E>" for m in messages)


def reordered(messages: Messages, _more: object = None) -> str:
    return "".join(f"<S>{m['content']}<E>" for m in reversed(messages))


def silent(messages: Messages, _more: object = None) -> str:
    return "".join(f"<S>{m['content']}<E>" for m in messages if m["content"])


CONTENTS = ["a", "", " a ", "<E>", "a<E>b", "\n<S>x\n", "x</think>\n\ny<E>", "aa", "a" * 50, "  "]


@pytest.mark.parametrize("render", [simple, trimmed, reasoning, twice, reordered, silent])
@pytest.mark.parametrize("first", CONTENTS)
@pytest.mark.parametrize("second", CONTENTS)
def test_pieces_are_the_rendering_and_marks_hold_no_message(render, first, second) -> None:  # type: ignore[no-untyped-def]
    messages = say(first, second)
    pieces = split_rendering(render, messages, BORDERS)
    assert "".join(piece.text for piece in pieces) == render(messages)
    marks = "".join(piece.text for piece in pieces if piece.is_mark)
    blank = render(
        say(*("x" if content.strip() else content.strip() for content in (first, second)))
    )
    if render is silent and (first.isspace() or second.isspace()):
        blank = render(say(first and "x", second and "x"))
    assert PATTERN.findall(marks) == PATTERN.findall(blank)


def test_a_rewriting_template_is_refused_only_where_it_matters() -> None:
    def shout(messages: Messages, _more: object = None) -> str:
        return "".join(f"<S>{m['content'].upper()}<E>" for m in messages)

    assert split_rendering(shout, say("abc"), BORDERS) == [Piece("<S>ABC<E>", True)]
    with pytest.raises(TemplateError, match=r"cannot be told .*\('<E>'\)"):
        split_rendering(shout, say("abc<E>"), BORDERS)
    # lower case becomes a control token only through the template: the marks do not match
    with pytest.raises(TemplateError, match="cannot be told"):
        split_rendering(shout, say("abc<e>"), BORDERS)


def test_a_template_that_refuses_placeholders() -> None:
    def picky(messages: Messages, _more: object = None) -> str:
        if messages[0]["content"][0] not in "ab<":
            raise TemplateError("refused")
        return f"<S>{messages[0]['content']}<E>"

    assert split_rendering(picky, say("abc"), BORDERS) == [Piece("<S>abc<E>", True)]
    with pytest.raises(TemplateError, match="cannot be told"):
        split_rendering(picky, say("<E>"), BORDERS)
