from __future__ import annotations

import json
import re
from typing import Any

import pytest

from qbench.errors import TemplateError
from qbench.models.chat.pieces import Borders, Piece, split_rendering

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


def with_tools(messages: Messages, more: dict[str, Any]) -> str:
    tools = "".join(
        f"<S>{t['name']}: {json.dumps(t, ensure_ascii=False)}<E>" for t in more["tools"]
    )
    return tools + simple(messages)


@pytest.mark.parametrize("text", ["<E>", 'a"<S>\n', "<E>é", "x<", "E>", "<E", "S>x<S", "\\<E>"])
def test_texts_of_tools_are_no_marks(text: str) -> None:
    tools = [{"name": "f", "about": text}, {"name": text, "more": {"list": [text, "plain"]}}]
    pieces = split_rendering(with_tools, say("hi"), BORDERS, {"tools": tools})
    assert "".join(piece.text for piece in pieces) == with_tools(say("hi"), {"tools": tools})
    marks = "".join(piece.text for piece in pieces if piece.is_mark)
    assert PATTERN.findall(marks) == ["<S>", "<E>"] * 3
    # harmless texts stay visible: a template may ask for them
    assert '"plain"' in marks and '{"name": "f"' in marks


def test_a_key_cannot_be_hidden_and_is_refused() -> None:
    with pytest.raises(TemplateError, match="the key 'a<E>' holds a control token; rename it"):
        split_rendering(with_tools, say("hi"), BORDERS, {"tools": [{"name": "f", "a<E>": 1}]})


def test_other_parts_of_a_message_are_no_marks() -> None:
    def calls(messages: Messages, _more: object = None) -> str:
        said = (f"{m.get('content', '')}{m.get('tool_calls', '')}" for m in messages)
        return "".join(f"<S>{text}<E>" for text in said)

    for text in ("<E>", "x<S>"):
        messages = [{"role": "assistant", "tool_calls": [{"arguments": {"a": text}}]}]
        pieces = split_rendering(calls, messages, BORDERS)
        assert Piece(text, False) in pieces
        marks = "".join(piece.text for piece in pieces if piece.is_mark)
        assert PATTERN.findall(marks) == ["<S>", "<E>"]


def test_think_marks_of_an_assistant_may_be_taken_apart() -> None:
    thinks = Borders(["<E>", "<S>", "<think>", "</think>"])

    def rebuilt(messages: Messages, _more: object = None) -> str:
        """Like Qwen3 with its last turn."""
        text = ""
        for m in messages:
            reason, _, answer = m["content"].rpartition("</think>")
            reason = reason.split("<think>")[-1].strip("\n")
            text += f"<S><think>\n{reason}\n</think>\n\n{answer.lstrip()}<E>"
        return text

    content = "<think>\nwhy <E> not\n</think>\n\nso <S>"
    messages = [{"role": "assistant", "content": content}]
    pieces = split_rendering(rebuilt, messages, thinks)
    assert "".join(piece.text for piece in pieces) == rebuilt(messages)
    marks = "".join(piece.text for piece in pieces if piece.is_mark)
    assert thinks.pattern.findall(marks) == ["<S>", "<think>", "</think>", "<E>"]
    # the same text from a user is nobody's reasoning
    with pytest.raises(TemplateError, match="cannot be told"):
        split_rendering(rebuilt, say(content), thinks)


def test_danger_is_a_token_or_the_beginning_of_one_at_a_border() -> None:
    for text in ("<E>", "a<S>b", "x<", "<", "E>x", ">", "S", "<S"):
        assert BORDERS.in_danger(text) == (text != "S"), text
    for text in ("", "a", "< a", "a E > b", "string"):
        assert not BORDERS.in_danger(text)
    assert not Borders([]).in_danger("<E>")
