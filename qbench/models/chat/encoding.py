"""Token ids of a rendered conversation, in which no message can forge a control token.

A template's marks (``<|im_end|>`` and the like) must become control tokens; the same text inside a
message, a tool or a document must not. So the conversation is rendered twice, once with unguessable
placeholders (`qbench.models.chat.pieces`): what stands between the placeholders is the template's
own text. In that text the control tokens are renamed to unguessable names, and one tokenizer that
knows only the renamed tokens encodes the whole. Where no message holds such text, the ids are
exactly those of encoding the rendering with all tokens recognized, as transformers does.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from qbench.errors import TemplateError
from qbench.models.chat.pieces import Borders, Piece
from qbench.models.faults import tokenizer_faults


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
        self.borders = Borders(control)

    def encode(self, pieces: Sequence[Piece]) -> list[int]:
        """Encode the concatenation of pieces.

        Raises
        ------
        TemplateError
            If the tokenizer makes a control token out of ordinary text.
        """
        text = "".join(
            self.borders.pattern.sub(lambda match: self._names[match[0]], piece.text)
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
