"""Think blocks: what a reasoning model writes before its answer.

Qwen3, DeepSeek-R1 and their like answer ``<think>…</think>`` and then the answer proper. Two places
must not see the reasoning. Where answers are judged: a letter weighed on the way is not the one
chosen; `qbench.study.execute` strips before any task scores, and stores the whole text. And where a
previous turn is put back into a conversation: templates of reasoning models drop it themselves, for
any other template the caller strips the answer before it becomes the assistant's message.
"""

from __future__ import annotations

OPEN = "<think>"
CLOSE = "</think>"


def strip_thinking(answer: str, opened: bool = False) -> str:
    """Return what follows the reasoning of an answer.

    Parameters
    ----------
    answer
        Generated text.
    opened
        Whether the prompt itself ended inside a think block (see `opens_thinking`).

    Returns
    -------
    str
        The text behind the last ``</think>``, without leading white space. Reasoning that never
        ended has no answer behind it: the result is empty. A text without think marks comes back
        as it is.
    """
    if CLOSE in answer:
        return answer.rsplit(CLOSE, 1)[1].lstrip()
    if opened or answer.lstrip().startswith(OPEN):
        return ""
    return answer


def opens_thinking(prompt: str) -> bool:
    """Whether a rendered prompt leaves a think block open, as the templates of R1 do."""
    return prompt.rstrip().endswith(OPEN)
