"""Reading an answer out of generated text, by the rules of the code of arXiv 2402.16775.

MMLU: the regular expressions of Qwen's ``evaluate_chat_mmlu.py`` in their order, then a fuzzy match
with the texts of the choices. SNLI: the first occurrence of the gold word must be delimited. The
rules are kept as they are, weaknesses included, because a preset called ``paper`` promises them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from qbench.metrics.fuzzy import best_match

LETTERS = ("A", "B", "C", "D")

# In order: "answer is A, choose A", "A is correct", "A." at the start, any free-standing letter.
LETTER_RULES = (
    (
        "answer-is",
        re.compile(
            r"(?:(?:[Cc]hoose)|(?:(?:[Aa]nswer|[Cc]hoice)(?![^ABCD]{0,20}?(?:n't|not))"
            r"[^ABCD]{0,10}?\b(?:|is|:|be))\b)[^ABCD]{0,20}?\b(A|B|C|D)\b"
        ),
    ),
    (
        "is-correct",
        re.compile(
            r"\b(A|B|C|D)\b(?![^ABCD]{0,8}?(?:n't|not)[^ABCD]{0,5}?(?:correct|right))"
            r"[^ABCD]{0,10}?\b(?:correct|right)\b"
        ),
    ),
    ("straight", re.compile(r"^(A|B|C|D)(?:\.|,|:|$)")),
    ("first-letter", re.compile(r"(?<![a-zA-Z])(A|B|C|D)(?![a-zA-Z=])")),
)


class Extracted(NamedTuple):
    """Index of the choice that a response names, None if it names none; and by which rule."""

    choice: int | None
    rule: str


def mmlu_choice(response: str, choices: Sequence[str]) -> Extracted:
    """Read the choice out of a response.

    Parameters
    ----------
    response
        Generated text.
    choices
        Texts of the four choices.

    Returns
    -------
    Extracted
        ``rule`` is one of the LETTER_RULES, ``fuzzy``, or ``none`` for a response that resembles
        no choice at all (the original takes the first choice then, which scores silence as A).
    """
    text = _letters_for_choices(response, choices)
    for rule, pattern in LETTER_RULES:
        found = pattern.search(text)
        if found:
            return Extracted(LETTERS.index(found.group(1)), rule)
    match = best_match(text, choices)
    return Extracted(match.choice, "fuzzy") if match.score > 0.0 else Extracted(None, "none")


def _letters_for_choices(response: str, choices: Sequence[str]) -> str:
    """Replace each choice's text by its letter, longest first, whatever the case."""
    pairs = sorted(zip(LETTERS, choices, strict=True), key=lambda p: len(p[1]), reverse=True)
    for letter, text in pairs:
        if bare := text.rstrip("."):  # an empty pattern would match between all characters
            response = re.compile(re.escape(bare), re.IGNORECASE).sub(letter, response)
    return response


def says_word(response: str, word: str) -> bool:
    """Whether the first occurrence of a lower-case word in a response is delimited.

    Delimited: on each side the end of the text, white space or punctuation. Later occurrences do
    not count: "not no" is a miss for "no".
    """
    text = response.lower()
    left = text.find(word)
    if left < 0:
        return False
    right = left + len(word)
    before = text[left - 1] if left else " "
    after = text[right] if right < len(text) else " "
    return _delimits(before) and _delimits(after)


def _delimits(char: str) -> bool:
    """White space, ASCII that is neither letter, digit nor control, or Unicode punctuation."""
    category = unicodedata.category(char)
    if char in " \t\n\r" or category == "Zs" or category.startswith("P"):
        return True
    return char.isascii() and char.isprintable() and not char.isalnum()
