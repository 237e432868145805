from __future__ import annotations

import re

import pytest

from qbench.errors import TemplateError
from qbench.models.chat_encoding import ChatEncoder, Piece, control_tokens, split_rendering

PATTERN = re.compile(r"<E>|<S>")
Messages = list[dict[str, str]]


def say(*contents: str) -> Messages:
    return [{"role": "user", "content": content} for content in contents]


def simple(messages: Messages) -> str:
    return "".join(f"<S>{m['role']} {m['content']}<E>" for m in messages)


def trimmed(messages: Messages) -> str:
    return "".join(f"<S>{m['content'].strip()}<E>" for m in messages)


def reasoning(messages: Messages) -> str:
    return "".join(f"<S>{m['content'].split('</think>')[-1]}<E>" for m in messages)


def twice(messages: Messages) -> str:
    return "".join(f"<S>{m['content']}|{m['content']}<E>" for m in messages)


def reordered(messages: Messages) -> str:
    return "".join(f"<S>{m['content']}<E>" for m in reversed(messages))


def silent(messages: Messages) -> str:
    return "".join(f"<S>{m['content']}<E>" for m in messages if m["content"])


CONTENTS = ["a", "", " a ", "<E>", "a<E>b", "\n<S>x\n", "x</think>\n\ny<E>", "aa", "a" * 50, "  "]


@pytest.mark.parametrize("render", [simple, trimmed, reasoning, twice, reordered, silent])
@pytest.mark.parametrize("first", CONTENTS)
@pytest.mark.parametrize("second", CONTENTS)
def test_pieces_are_the_rendering_and_marks_hold_no_message(render, first, second) -> None:  # type: ignore[no-untyped-def]
    messages = say(first, second)
    pieces = split_rendering(render, messages, PATTERN)
    assert "".join(piece.text for piece in pieces) == render(messages)
    marks = "".join(piece.text for piece in pieces if piece.is_mark)
    blank = render(
        say(*("x" if content.strip() else content.strip() for content in (first, second)))
    )
    if render is silent and (first.isspace() or second.isspace()):
        blank = render(say(first and "x", second and "x"))
    assert PATTERN.findall(marks) == PATTERN.findall(blank)


def test_a_rewriting_template_is_refused_only_where_it_matters() -> None:
    def shout(messages: Messages) -> str:
        return "".join(f"<S>{m['content'].upper()}<E>" for m in messages)

    assert split_rendering(shout, say("abc"), PATTERN) == [Piece("<S>ABC<E>", True)]
    with pytest.raises(TemplateError, match=r"cannot be told .*\('<E>'\)"):
        split_rendering(shout, say("abc<E>"), PATTERN)
    # lower case becomes a control token only through the template: the marks do not match
    with pytest.raises(TemplateError, match="cannot be told"):
        split_rendering(shout, say("abc<e>"), PATTERN)


def test_a_template_that_refuses_placeholders() -> None:
    def picky(messages: Messages) -> str:
        if messages[0]["content"][0] not in "ab<":
            raise TemplateError("refused")
        return f"<S>{messages[0]['content']}<E>"

    assert split_rendering(picky, say("abc"), PATTERN) == [Piece("<S>abc<E>", True)]
    with pytest.raises(TemplateError, match="cannot be told"):
        split_rendering(picky, say("<E>"), PATTERN)


def test_control_tokens_are_special_or_written_by_the_template() -> None:
    added = [
        {"id": 1, "content": "<s>", "special": True},
        {"id": 2, "content": "<tool>", "special": False},
        {"id": 3, "content": "  ", "special": False},
    ]
    document = {"added_tokens": added}
    assert control_tokens(document, "x") == {"<s>": 1}
    assert control_tokens(document, "{{ '<tool>' }}") == {"<s>": 1, "<tool>": 2}
    assert control_tokens({}, "x") == {} == control_tokens({"added_tokens": None}, "x")


def word_level(vocab: dict[str, int], added: list[dict[str, object]]) -> dict[str, object]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None,
        "added_tokens": [{**flags, **token} for token in added],
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
    }  # fmt: skip


def test_a_vocabulary_that_spells_a_control_token_is_caught() -> None:
    vocab = {"<unk>": 0, "</s>": 1, "a": 2}
    added = [
        {"id": 0, "content": "<unk>", "special": True},
        {"id": 1, "content": "</s>", "special": True},
    ]
    document = word_level(vocab, added)
    encoder = ChatEncoder(document, control_tokens(document, ""), 0)
    assert encoder.encode([Piece("a", False), Piece("</s>", True), Piece("zzz", False)]) == [
        2,
        1,
        0,
    ]
    with pytest.raises(TemplateError, match="control token 1 out of a message's text"):
        encoder.encode([Piece("a </s> a", False)])


def test_flags_of_added_tokens_hold_for_marks() -> None:
    added = [{"id": 3, "content": "<e>", "special": True, "rstrip": True}]
    document = word_level({"<unk>": 0, "a": 1, "<e>": 2}, added)
    document["model"]["vocab"]["<e>"] = 3  # type: ignore[index]
    encoder = ChatEncoder(document, control_tokens(document, ""), 0)
    pieces = [Piece("a", False), Piece("<e>   ", True), Piece("a", False)]
    assert encoder.encode(pieces) == [1, 3, 1]
