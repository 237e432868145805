"""What a running study tells: small frozen events, and the score so far.

The study renders nothing; whoever passes ``on_progress`` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qbench.study.records import CellFacts, ItemRecord
from qbench.study.scores import observations
from qbench.tasks import get_task


@dataclass(frozen=True)
class Progress:
    """One event.

    ``phase`` is ``load`` (a model is being opened; task is empty), ``run`` (items were stored),
    ``done`` (a cell is complete) or ``failed``. ``done`` of ``total`` items are in the store, those
    of earlier runs included; ``tokens`` and ``seconds`` count this run only. ``score`` is the first
    metric over the items so far. ``cell`` numbers the cells of ``n_cells`` from 1.
    """

    phase: str
    model: str
    recipe: str
    task: str
    cell: int
    n_cells: int
    done: int = 0
    total: int = 0
    tokens: int = 0
    seconds: float = 0.0
    metric: str = ""
    score: float | None = None
    message: str = ""


OnProgress = Callable[[Progress], None]


class RunningScore:
    """First metric of a task over the items seen so far."""

    def __init__(self, facts: CellFacts) -> None:
        self._metric = get_task(facts.task).metric_defs[0]
        self._x = self._w = 0.0
        self.name = self._metric.name

    def add(self, records: Iterable[ItemRecord]) -> None:
        """Take more items in."""
        for observed in observations(self._metric, records):
            self._x += observed.x
            self._w += observed.w

    @property
    def value(self) -> float | None:
        """The score, None before the first item or when it is not finite."""
        if not self._w > 0.0:
            return None
        ratio = self._x / self._w
        if self._metric.kind == "exp-ratio":
            ratio = math.exp(ratio) if ratio < 709.0 else math.inf
        return ratio if math.isfinite(ratio) else None
