"""Oracle for MMLU: the answers of Qwen's evaluate_chat_mmlu.py, stored beside this file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qbench.metrics.extraction import LETTERS, mmlu_choice, says_word

GOLDEN = json.loads((Path(__file__).parent / "golden_extraction.json").read_text())
CHOICES = ("a red fox", "the grey wolf.", "two bears", "an owl")


def test_choices_are_those_of_the_original() -> None:
    assert len(GOLDEN["extracted"]) == 330
    rules = set()
    for response, number, letter in GOLDEN["extracted"]:
        found = mmlu_choice(response, GOLDEN["choices"][number])
        if found.choice is None:  # the original takes the first choice when nothing is alike
            assert (found.rule, letter) == ("none", "A")
        else:
            assert LETTERS[found.choice] == letter, (response, number)
        rules.add(found.rule)
    assert rules == {"answer-is", "is-correct", "straight", "first-letter", "fuzzy", "none"}


@pytest.mark.parametrize("gold", range(4))
@pytest.mark.parametrize(
    "form", ["{}", "{}.", "The answer is {}.", "Answer: {}", "{} is correct", "I choose {}", "({})"]
)
def test_plain_answers_are_read(form: str, gold: int) -> None:
    assert mmlu_choice(form.format(LETTERS[gold]), CHOICES).choice == gold


@pytest.mark.parametrize("gold", range(4))
def test_the_text_of_a_choice_counts_as_its_letter(gold: int) -> None:
    assert mmlu_choice(f"it was {CHOICES[gold].upper()}", CHOICES).choice == gold


@pytest.mark.parametrize("response", ["", "   ", "?!", "\n"])
def test_silence_is_no_answer(response: str) -> None:
    assert mmlu_choice(response, CHOICES) == (None, "none")


def test_an_empty_choice_replaces_nothing() -> None:
    assert mmlu_choice("it is D", ("", ".", "x", "y")).choice == 3


@pytest.mark.parametrize(
    ("response", "word", "said"),
    [
        ("Yes.", "yes", True),
        ("(YES)", "yes", True),
        ("well, yes", "yes", True),
        ("yes", "yes", True),
        ("yes\u3000sir", "yes", True),
        ("“yes”", "yes", True),
        ("eyes yes", "yes", False),
        ("not sure, no", "no", False),
        ("no", "no", True),
        ("It is unknown; no", "no", False),
        ("no1", "no", False),
        ("no\x7f", "no", False),
        ("maybe`", "maybe", True),
        ("no+", "no", True),
        ("", "no", False),
    ],
)
def test_the_first_occurrence_must_be_delimited(response: str, word: str, said: bool) -> None:
    assert says_word(response, word) is said
