"""Item records to scores: the value, interval and counts of each metric of a cell.

A metric is data (``MetricDef``): which parts of an item are summed, and how. An item that was
skipped or gave non-finite numbers is in no score and in every count; a cell of which less than half
was scored has no score, because the half that fitted is no sample of the task.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from qbench.metrics.values import MetricDef
from qbench.stats import Interval, exp_ratio_interval, mean_interval, ratio_interval
from qbench.study.records import CellFacts, ItemRecord, ResultRow
from qbench.tasks import Task, get_task

LEVEL = 0.95
LEAST_SHARE = 0.5


class Counts(NamedTuple):
    """How many items ended how; the first four statuses exclude each other."""

    scored: int
    unparsed: int
    skipped: int
    nonfinite: int
    cut: int
    n_tokens: int
    n_unk: int

    @property
    def items(self) -> int:
        """All items."""
        return self.scored + self.unparsed + self.skipped + self.nonfinite

    @property
    def unk_share(self) -> float:
        """Share of ``<unk>`` among the tokens of the requests."""
        return self.n_unk / self.n_tokens if self.n_tokens else 0.0


class Observation(NamedTuple):
    """What one item contributes to one metric."""

    item_id: str
    cluster: str
    x: float
    w: float


class Cell(NamedTuple):
    """What a result table needs to know of a cell besides its items."""

    key: str
    facts: CellFacts
    n_total: int
    n_wanted: int
    reason: str

    def state(self, n_items: int) -> str:
        """Return ``failed``, ``partial`` or ``done``."""
        if self.reason:
            return "failed"
        return "partial" if n_items < self.n_wanted else "done"


def count(records: Iterable[ItemRecord]) -> Counts:
    """Count statuses, shortened requests and tokens."""
    tally = {"scored": 0, "unparsed": 0, "skipped": 0, "nonfinite": 0}
    cut = n_tokens = n_unk = 0
    for record in records:
        tally[record.status] += 1
        cut += record.cut and record.counts
        n_tokens += record.n_tokens
        n_unk += record.n_unk
    return Counts(**tally, cut=cut, n_tokens=n_tokens, n_unk=n_unk)


def observations(metric: MetricDef, records: Iterable[ItemRecord]) -> list[Observation]:
    """Return the contributions of the items that enter a metric.

    An unparsed answer contributes 0 to a mean for which it has no part, and nothing to a ratio. An
    item whose part is None or
    absent is one to which the metric does not apply (an unambiguous item in an ambiguity score).
    """
    found = []
    for record in records:
        unparsed = record.status == "unparsed" and metric.kind == "mean"
        if not (unparsed or record.status == "scored"):
            continue
        x = record.parts.get(metric.numerator, 0.0 if unparsed else None)
        w = 1.0 if metric.denominator is None else record.parts.get(metric.denominator)
        if x is not None and w is not None:
            found.append(Observation(record.item_id, record.cluster, float(x), float(w)))
    return found


def no_score(metric: MetricDef, counts: Counts, n_observed: int) -> str:
    """Say why there is no score, or nothing when there is one."""
    if counts.items == 0:
        return "no items"
    if metric.kind != "mean" and counts.nonfinite:
        return f"non-finite scores in {counts.nonfinite} of {counts.items}"
    usable = counts.scored + counts.unparsed
    if usable < LEAST_SHARE * counts.items:
        return f"only {usable} of {counts.items} items scored, under half"
    return "" if n_observed else "no item to which it applies"


def estimate(metric: MetricDef, found: Sequence[Observation]) -> Interval:
    """Value and 95 % interval of a metric over its observations."""
    x = [o.x for o in found]
    w = [o.w for o in found]
    clusters = [o.cluster for o in found]
    if metric.kind == "mean":
        return mean_interval(x, clusters, LEVEL)
    if not math.fsum(w) > 0.0:
        return Interval(math.nan, None, None, "none: nothing to divide by")
    if metric.kind == "exp-ratio":
        return exp_ratio_interval(x, w, clusters, LEVEL)
    if metric.kind == "ratio":
        return ratio_interval(x, w, clusters, LEVEL)
    raise ValueError(f"metric {metric.name!r} is of unknown kind {metric.kind!r}")


def by_subset(
    task: Task, metric: MetricDef, records: Sequence[ItemRecord]
) -> dict[str, list[ItemRecord]]:
    """Return all items under "", then, where the metric is split, the items of each subset."""
    groups: dict[str, list[ItemRecord]] = {}
    if metric.by_stratum:
        for record in records:
            for name in task.subsets(record.stratum):
                groups.setdefault(name, []).append(record)
    return {"": list(records), **{name: groups[name] for name in sorted(groups)}}


def result_rows(cell: Cell, records: Sequence[ItemRecord]) -> list[ResultRow]:
    """Return one row per metric and subset of a cell.

    Parameters
    ----------
    cell
        Facts and counts of the cell.
    records
        Its items in a fixed order.

    Returns
    -------
    list of ResultRow
        For each metric the whole first, then its subsets by name.
    """
    task = get_task(cell.facts.task)
    rows = []
    for metric in task.metric_defs:
        for subset, group in by_subset(task, metric, records).items():
            rows.append(_row(cell, task, metric, subset, group, cell.state(len(records))))
    return rows


def _row(
    cell: Cell, task: Task, metric: MetricDef, subset: str, group: list[ItemRecord], state: str
) -> ResultRow:
    """One line of the table."""
    facts, counts, found = cell.facts, count(group), observations(metric, group)
    reason = no_score(metric, counts, len(found))
    interval = Interval(math.nan, None, None, "") if reason else estimate(metric, found)
    value, low, high = map(_finite, interval[:3])
    return ResultRow(
        model=facts.model,
        recipe=facts.recipe,
        task=facts.task,
        preset=facts.preset,
        shots=facts.shots,
        metric=metric.name,
        subset=subset,
        value=value,
        low=low,
        high=high,
        ci_method=interval.method,
        n_scored=counts.scored,
        n_skipped=counts.skipped,
        n_cut=counts.cut,
        n_unparsed=counts.unparsed,
        n_nonfinite=counts.nonfinite,
        n_items=counts.items,
        n_total=cell.n_total,
        unk_share=counts.unk_share,
        chance=task.chance if metric.kind == "mean" else None,
        higher_is_better=metric.higher_is_better,
        bits_per_weight=facts.bits_per_weight,
        model_bits=facts.model_bits,
        mode=facts.mode,
        kv_format=facts.kv_format,
        state=state,
        reason=cell.reason or reason or ("" if value is not None else "overflow"),
        cell_key=cell.key,
    )


def _finite(x: float | None) -> float | None:
    """None in place of NaN and infinity."""
    return x if x is not None and math.isfinite(x) else None
