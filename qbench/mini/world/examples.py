"""The two things that training is made of, and how they are written down.

A document is text that is learned whole. An exercise is a prompt, of which nothing is learned, and
an answer. A chat exercise is written in ChatML, one user turn after an optional system prompt.
"""

from __future__ import annotations

from typing import NamedTuple

SYSTEM = "You are a helpful assistant."
START, END = "<|im_start|>", "<|im_end|>"


class Document(NamedTuple):
    """Text to be learned from its first token to its last; ``keys``: see Exercise."""

    text: str
    keys: tuple[str, ...] = ()


class Exercise(NamedTuple):
    """A prompt and its answer.

    ``prompt`` is what the user says if ``chat``, else plain text that the answer continues (the
    answer then begins with its space). ``keys`` are the fingerprints of the items inside: what must
    not be met again in a test. ``letter`` marks answers whose whole content is an option's letter.
    """

    prompt: str
    answer: str
    chat: bool
    keys: tuple[str, ...] = ()
    letter: bool = False


Example = Document | Exercise


def chat_prompt(text: str, system: str | None = SYSTEM) -> str:
    """Write one user turn and the opening of the assistant's, in ChatML."""
    first = f"{START}system\n{system}{END}\n" if system is not None else ""
    return f"{first}{START}user\n{text}{END}\n{START}assistant\n"
