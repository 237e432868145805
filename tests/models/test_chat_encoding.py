from __future__ import annotations

import pytest

from qbench.errors import TemplateError
from qbench.models.chat.encoding import ChatEncoder, control_tokens
from qbench.models.chat.pieces import Piece


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
