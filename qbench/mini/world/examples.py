"""The two things that training is made of, and how they are written down.

A document is text that is learned whole. An exercise is a prompt, of which nothing is learned, and
an answer. A chat exercise is written in ChatML, one user turn after an optional system prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SYSTEM = "You are a helpful assistant."
START, END = "<|im_start|>", "<|im_end|>"


class Hint(NamedTuple):
    """A word to have in mind where ``end`` characters have been read: a step on the way.

    The middle of a model is taught to say it there, and its end what comes next in the text. So a
    value is known before its letter is looked for, and words are compared before sentences are.
    """

    end: int
    word: str

    def moved(self, n: int) -> Hint:
        """Return the hint where ``n`` more characters stand before its text."""
        return Hint(self.end + n, self.word)


class Document(NamedTuple):
    """Text to be learned from its first token to its last; other fields: see Exercise."""

    text: str
    keys: tuple[str, ...] = ()
    hints: tuple[Hint, ...] = ()


class Exercise(NamedTuple):
    """A prompt and its answer.

    ``prompt`` is what the user says if ``chat``, else plain text that the answer continues (the
    answer then begins with its space). ``keys`` are the fingerprints of the items inside: what must
    not be met again in a test. ``letter`` marks answers whose whole content is an option's letter;
    ``spans`` are the places in the answer that alone are learned, if the rest is no answer.
    ``hints`` count characters from the start of the prompt, and on into the answer.
    """

    prompt: str
    answer: str
    chat: bool
    keys: tuple[str, ...] = ()
    letter: bool = False
    spans: tuple[tuple[int, int], ...] = ()
    hints: tuple[Hint, ...] = ()


Example = Document | Exercise


class Turn(NamedTuple):
    """One question of several and its answer, of which the last ``n_learned`` characters count.

    ``hints`` count characters from the start of ``question``, on into the answer.
    """

    question: str
    answer: str
    n_learned: int
    hints: tuple[Hint, ...] = ()


def in_turn(
    text: str, turns: Sequence[Turn], keys: tuple[str, ...] = (), hints: Sequence[Hint] = ()
) -> Exercise:
    """Ask several questions about a text one after another, each after the answers before it.

    The prompt ends with the first question; the others are parts of the answer, and not learned.
    ``hints`` are those of the text.
    """
    start = len(text) + len(turns[0].question)
    hints, spans = list(hints), list[tuple[int, int]]()
    for turn in turns:
        hints += (hint.moved(len(text)) for hint in turn.hints)
        text += turn.question + turn.answer
        spans.append((len(text) - turn.n_learned - start, len(text) - start))
    return Exercise(text[:start], text[start:], False, keys, hints=tuple(hints), spans=tuple(spans))


def chat_prompt(text: str, system: str | None = SYSTEM) -> str:
    """Write one user turn and the opening of the assistant's, in ChatML."""
    first = f"{START}system\n{system}{END}\n" if system is not None else ""
    return f"{first}{START}user\n{text}{END}\n{START}assistant\n"
