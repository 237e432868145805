from __future__ import annotations

import pytest

from qbench.metrics.thinking import opens_thinking, strip_thinking

ANSWERS = [
    # answer, whether the prompt opened the block, what is judged
    ("The answer is B.", False, "The answer is B."),
    ("  The answer is B.\n", False, "  The answer is B.\n"),
    ("<think>\nA or B?\n</think>\n\nB", False, "B"),
    ("<think>\n\n</think>\n\nB", False, "B"),
    ("A or B?\n</think>\n\nB", True, "B"),
    ("A or B?\n</think>\n\nB", False, "B"),
    ("<think>A</think>B<think>C</think> D", False, "D"),
    ("<think>say </think> now</think>B", False, "B"),
    ("<think>\nA, no, B, no", False, ""),
    ("\n<think>\nA, no, B, no", False, ""),
    ("A, no, B, no", True, ""),
    ("I <think> it is B", False, "I <think> it is B"),
    ("<think>x</think>", False, ""),
    ("", False, ""),
    ("", True, ""),
    ("<thinking>B</thinking>", False, "<thinking>B</thinking>"),
]


@pytest.mark.parametrize(("answer", "opened", "judged"), ANSWERS)
def test_strip_thinking(answer: str, opened: bool, judged: str) -> None:
    assert strip_thinking(answer, opened) == judged
    # stripping what is stripped changes nothing more
    assert strip_thinking(strip_thinking(answer, opened)) == judged


def test_prompts_that_leave_a_block_open() -> None:
    assert opens_thinking("<｜Assistant｜><think>\n")
    assert opens_thinking("x<think>")
    assert not opens_thinking("<think>\n\n</think>\n\n")
    assert not opens_thinking("<|im_start|>assistant\n")
