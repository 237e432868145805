"""What is asked of a model: choices after a prompt, a chat turn, or a window of text.

A request holds texts (token ids for windows only), so that it can be shown, hashed and cut without
a model. How it is tokenized and what happens when it is too long is decided where it is executed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True)
class Prompt:
    """A plain-text prompt in parts, so that whole shots can be left out."""

    head: str
    shots: tuple[str, ...]
    tail: str

    def text(self, n_shots: int | None = None) -> str:
        """Return head, the first ``n_shots`` shots (None: all) and tail, joined as they are."""
        return self.head + "".join(self.shots[:n_shots]) + self.tail


@dataclass(frozen=True)
class ChoiceRequest:
    """Continuations of one prompt, of which the likeliest is the answer.

    ``choices`` are given as they are appended, their leading space included; ``policy`` says how
    the boundary is tokenized: ``whole`` (as lm-eval does) or ``separate``.
    """

    prompt: Prompt
    choices: tuple[str, ...]
    policy: str = "whole"

    def canonical(self) -> str:
        """All text of the request in one string, for hashing."""
        return "\0".join((self.policy, self.prompt.text(), *self.choices))

    def render(self, decode: Decode | None = None) -> list[str]:
        """Return the prompt and each continuation (quoted, its spaces visible)."""
        return [self.prompt.text(), *(json.dumps(c, ensure_ascii=False) for c in self.choices)]


@dataclass(frozen=True)
class ChatRequest:
    """A conversation to be answered; ``messages`` are pairs (role, content).

    ``temperature`` 0 is greedy; ``top_k`` 0 and ``top_p`` 1 do not restrict.
    """

    messages: tuple[tuple[str, str], ...]
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0

    def canonical(self) -> str:
        """All text and settings of the request in one string, for hashing."""
        settings = (self.max_new_tokens, self.stop, self.temperature, self.top_p, self.top_k)
        return json.dumps([self.messages, settings])

    def render(self, decode: Decode | None = None) -> list[str]:
        """Return each message under its role, then how the answer is generated."""
        how = "greedy" if self.temperature == 0.0 else f"temperature {self.temperature:g}"
        how += f", top-p {self.top_p:g}" if self.top_p < 1.0 else ""
        how += f", top-k {self.top_k}" if self.top_k else ""
        turns = [f"<{role}>\n{content}" for role, content in self.messages]
        return [*turns, f"<assistant> up to {self.max_new_tokens} tokens, {how}"]


@dataclass(frozen=True)
class WindowRequest:
    """A stretch of token ids to be scored after its context.

    ``n_words`` and ``n_bytes`` are the words and UTF-8 bytes of the text that fall to the scored
    tokens, by their share of all tokens of the document.
    """

    context: tuple[int, ...]
    continuation: tuple[int, ...]
    n_words: int
    n_bytes: int

    def render(self, decode: Decode | None = None) -> list[str]:
        """Return context and scored part, as text where a decoder is given, else as ids."""
        show = decode or (lambda ids: " ".join(map(str, ids)))
        return [show(self.context), show(self.continuation)]


Request = ChoiceRequest | ChatRequest | WindowRequest
