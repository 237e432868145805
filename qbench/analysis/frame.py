"""The frame behind "does perplexity predict the rest": one point per model, recipe and score.

A point joins the perplexity and a score of one model under one recipe in one mode. Perplexity
enters as its logarithm, since its damage is multiplicative. Rows without a value make no point.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from qbench.study.records import ResultRow

# Two tokenizers agree about words, but not about tokens.
PERPLEXITIES = ("word_ppl", "ppl")


@dataclass(frozen=True)
class Point:
    """Perplexity and a score of one model under one recipe.

    ``log_perplexity`` is in nats per word or token, as ``perplexity_metric`` says; ``score``
    with ``low`` and ``high`` is in the unit of its metric.
    """

    model: str
    recipe: str
    mode: str
    kv_format: str
    bits_per_weight: float | None
    perplexity_task: str
    perplexity_metric: str
    log_perplexity: float
    task: str
    metric: str
    score: float
    low: float | None
    high: float | None
    chance: float | None


def task_label(row: ResultRow) -> str:
    """Task, preset and shots as the grammar writes them: ``mmlu:lm-eval@5``."""
    preset = f":{row.preset}" if row.preset else ""
    return f"{row.task}{preset}" + ("" if row.shots is None else f"@{row.shots}")


def perplexity_points(
    rows: Iterable[ResultRow], perplexity_metric: str | None = None
) -> list[Point]:
    """Join perplexities and scores.

    Parameters
    ----------
    rows
        Rows of a result table; rows of a subset are left out.
    perplexity_metric
        Which perplexity; None: the one of words if there is one, else of tokens.

    Returns
    -------
    list of Point
        In the order of the score rows, one per perplexity task that fits.
    """
    whole = [row for row in rows if not row.subset and row.value is not None]
    metrics = {row.metric for row in whole}
    chosen = perplexity_metric or next((m for m in PERPLEXITIES if m in metrics), "")
    perplexities = [row for row in whole if row.metric == chosen]
    scores = [row for row in whole if row.higher_is_better]
    return [
        _point(across, score)
        for score in scores
        for across in perplexities
        if _place(across) == _place(score) and across.value is not None and across.value > 0.0
    ]


def _place(row: ResultRow) -> tuple[str, str, str, str]:
    """What both rows of a point share."""
    return (row.model, row.recipe, row.mode, row.kv_format)


def _point(across: ResultRow, score: ResultRow) -> Point:
    """Make a point of two rows that have values."""
    assert across.value is not None and score.value is not None
    return Point(
        model=score.model,
        recipe=score.recipe,
        mode=score.mode,
        kv_format=score.kv_format,
        bits_per_weight=score.bits_per_weight,
        perplexity_task=task_label(across),
        perplexity_metric=across.metric,
        log_perplexity=math.log(across.value),
        task=task_label(score),
        metric=score.metric,
        score=score.value,
        low=score.low,
        high=score.high,
        chance=score.chance,
    )
