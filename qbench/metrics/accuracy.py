"""Choosing among scored alternatives: the pick and how clear it was."""

from __future__ import annotations

from collections.abc import Sequence


def pick(scores: Sequence[float]) -> int:
    """Index of the largest score; of equal ones the first, as lm-eval's ``acc`` has it.

    Parameters
    ----------
    scores
        Finite, at least one; log-probabilities in nats for the choice tasks.
    """
    return max(range(len(scores)), key=lambda i: (scores[i], -i))


def margin(scores: Sequence[float], gold: int) -> float:
    """Score of the gold alternative minus the best of the others; positive where gold wins.

    Parameters
    ----------
    scores
        Finite, at least two.
    gold
        Index of the right one.
    """
    return scores[gold] - max(score for i, score in enumerate(scores) if i != gold)
