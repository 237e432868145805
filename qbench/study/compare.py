"""Two runs over the same items: what changed, by how much, which way, and is it shown.

Items are paired by id, so the difficulty of the items drops out. Accuracies are compared by their
difference, perplexities by the difference of their logarithms. A verdict needs the paired 95 %
interval to exclude zero and, for 0/1 scores, the exact McNemar test to agree; "no difference shown"
is not "equal". Nothing is compared across modes or KV formats unless asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from qbench.errors import RecipeError
from qbench.metrics.values import MetricDef
from qbench.quant.recipe import Recipe
from qbench.stats import (
    Interval,
    discordant,
    mcnemar_exact,
    paired_interval,
    paired_ratio_interval,
)
from qbench.study.records import CellFacts, ItemRecord
from qbench.study.scores import (
    LEVEL,
    Cell,
    Observation,
    by_subset,
    count,
    no_score,
    observations,
)
from qbench.study.tables import Table, number
from qbench.tasks import get_task

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.05


@dataclass(frozen=True)
class ComparisonRow:
    """One metric of one task under ``a`` and ``b``; all numbers are over the paired items only.

    ``delta`` is ``value_b - value_a`` (``scale`` "difference") or ``ln(value_b / value_a)``
    ("ln ratio"). Flips, changed answers and ``mcnemar_p`` are None where a score is not 0/1 or no
    answer was stored. ``n_only_a`` and ``n_only_b`` items have no partner, ``n_unscored`` have one
    but were not scored on both sides.
    """

    model: str
    task: str
    metric: str
    subset: str
    a: str
    b: str
    value_a: float | None
    value_b: float | None
    delta: float | None
    low: float | None
    high: float | None
    ci_method: str
    scale: str
    n_paired: int
    n_only_a: int
    n_only_b: int
    n_unscored: int
    right_to_wrong: int | None
    wrong_to_right: int | None
    changed: int | None
    mcnemar_p: float | None
    verdict: str
    higher_is_better: bool
    mode: str
    kv_format: str
    reason: str


@dataclass(frozen=True)
class Flip:
    """An item that is right on one side only; ``direction`` is "lost" or "gained"."""

    model: str
    task: str
    metric: str
    item_id: str
    stratum: str
    direction: str


class Side(NamedTuple):
    """One of two compared cells with its items and its name in the table."""

    label: str
    cell: Cell
    records: Sequence[ItemRecord]


class Comparison(Table[ComparisonRow]):
    """Result of a comparison: rows, and the items that flipped."""

    title = "comparison"

    def __init__(self, rows: Sequence[ComparisonRow], flips: Sequence[Flip]) -> None:
        self._rows = tuple(rows)
        self.flips = tuple(flips)

    def rows(self) -> list[ComparisonRow]:
        """All rows: model x task x metric x subset."""
        return list(self._rows)

    def flips_to_pandas(self) -> pd.DataFrame:
        """Flipped items as a frame: model, task, metric, item_id, stratum, direction."""
        import pandas as pd

        columns = list(Flip.__dataclass_fields__)
        return pd.DataFrame([[getattr(f, c) for c in columns] for f in self.flips], columns=columns)

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """Head and lines of the short text table."""
        head = ["model", "task", "metric", "a", "b", "delta", "95 % interval", "lost", "gained"]
        lines = [
            [
                row.model,
                row.task,
                row.metric + (" (ln)" if row.scale == "ln ratio" else ""),
                f"{row.a} {number(row.value_a)}",
                f"{row.b} {number(row.value_b)}",
                number(row.delta, signed=True),
                f"[{number(row.low, signed=True)}, {number(row.high, signed=True)}]",
                "" if row.right_to_wrong is None else str(row.right_to_wrong),
                "" if row.wrong_to_right is None else str(row.wrong_to_right),
                "" if row.mcnemar_p is None else f"{row.mcnemar_p:.2g}",
                str(row.n_paired),
                row.verdict + (f": {row.reason}" if row.reason else ""),
            ]
            for row in self._rows
            if not row.subset
        ]
        return [*head, "p", "paired", "verdict"], lines


def incomparable(a: CellFacts, b: CellFacts) -> str:
    """Say why two cells must not be compared unless asked, or nothing.

    A KV format that one of the recipes states (``+kv8``) is what is being studied; one that neither
    states came with the mode or the model.
    """
    if a.mode != b.mode:
        return f"modes {a.mode} and {b.mode}"
    if a.kv_format != b.kv_format and not (_states_kv(a.recipe) or _states_kv(b.recipe)):
        return f"KV formats {a.kv_format} and {b.kv_format}, which neither recipe states"
    return ""


def _states_kv(recipe: str) -> bool:
    """Whether a recipe names its KV format; a foreign label names none."""
    try:
        return Recipe.parse(recipe).kv_bits is not None
    except RecipeError:
        return False


def compare_cells(a: Side, b: Side) -> tuple[list[ComparisonRow], list[Flip]]:
    """Compare two cells of one task, metric by metric and subset by subset."""
    task = get_task(a.cell.facts.task)
    rows: list[ComparisonRow] = []
    flips: list[Flip] = []
    for metric in (m for m in task.metric_defs if m.of_model):
        groups_a = by_subset(task, metric, a.records)
        groups_b = by_subset(task, metric, b.records)
        for subset in [name for name in groups_a if name in groups_b]:
            row, found = _compare_metric(
                metric,
                subset,
                a._replace(records=groups_a[subset]),
                b._replace(records=groups_b[subset]),
            )
            rows.append(row)
            flips += [] if subset else found
    return rows, flips


def _unpairable(metric: MetricDef, a: CellFacts, b: CellFacts) -> str:
    """Say why items of equal id are not the same item, or nothing."""
    if a.data_sha256 != b.data_sha256:
        return "the data differ"
    if metric.kind != "mean" and a.tokenizer_sha256 != b.tokenizer_sha256:
        return "the tokenizers differ, so do the windows"
    if (a.window, a.stride) != (b.window, b.stride):
        return "window or stride differ"
    return ""


def _compare_metric(
    metric: MetricDef, subset: str, a: Side, b: Side
) -> tuple[ComparisonRow, list[Flip]]:
    """Pair the items of one metric and judge the change."""
    facts = a.cell.facts
    ids_a, ids_b = ({r.item_id for r in side.records} for side in (a, b))
    both = ids_a & ids_b
    kept = [[r for r in side.records if r.item_id in both] for side in (a, b)]
    found_a, found_b = ({o.item_id: o for o in observations(metric, records)} for records in kept)
    paired = [i for i in found_a if i in found_b]
    reason = _unpairable(metric, facts, b.cell.facts) or next(
        (why for records in kept if (why := no_score(metric, count(records), len(paired)))),
        "",
    )
    pairs = [] if reason else [(found_a[i], found_b[i]) for i in paired]
    change = _change(metric, pairs)
    binary = metric.kind == "mean" and all(o.x in (0.0, 1.0) for pair in pairs for o in pair)
    lost_gained = (
        discordant([p.x for p, _ in pairs], [q.x for _, q in pairs]) if pairs and binary else None
    )
    p_value = None if lost_gained is None else mcnemar_exact(*lost_gained)
    models = [facts.model, b.cell.facts.model]
    row = ComparisonRow(
        model=" / ".join(dict.fromkeys(models)),
        task=facts.task_label,
        metric=metric.name,
        subset=subset,
        a=a.label,
        b=b.label,
        value_a=change.value_a,
        value_b=change.value_b,
        delta=change.interval.value if pairs else None,
        low=change.interval.low,
        high=change.interval.high,
        ci_method=change.interval.method,
        scale="ln ratio" if metric.kind == "exp-ratio" else "difference",
        n_paired=len(pairs),
        n_only_a=len(ids_a - both),
        n_only_b=len(ids_b - both),
        n_unscored=len(both) - len(pairs),
        right_to_wrong=lost_gained.lost if lost_gained else None,
        wrong_to_right=lost_gained.gained if lost_gained else None,
        changed=_changed(kept, paired) if pairs else None,
        mcnemar_p=p_value,
        verdict=_verdict(change.interval, p_value, metric.higher_is_better, bool(pairs)),
        higher_is_better=metric.higher_is_better,
        mode=" / ".join(dict.fromkeys([facts.mode, b.cell.facts.mode])),
        kv_format=" / ".join(dict.fromkeys([facts.kv_format, b.cell.facts.kv_format])),
        reason=reason,
    )
    return row, _flips(row, pairs, kept[0]) if lost_gained else []


class _Change(NamedTuple):
    """Both values over the pairs and the interval of their change."""

    value_a: float | None
    value_b: float | None
    interval: Interval


def _change(metric: MetricDef, pairs: Sequence[tuple[Observation, Observation]]) -> _Change:
    """Estimate the change of a metric over paired observations."""
    if not pairs:
        return _Change(None, None, Interval(math.nan, None, None, ""))
    clusters = [p.cluster for p, _ in pairs]
    xs = [[p.x for p, _ in pairs], [q.x for _, q in pairs]]
    ws = [[p.w for p, _ in pairs], [q.w for _, q in pairs]]
    value_a, value_b = (math.fsum(x) / math.fsum(w) for x, w in zip(xs, ws, strict=True))
    if metric.kind == "mean":
        return _Change(value_a, value_b, paired_interval(xs[0], xs[1], clusters, LEVEL))
    interval = paired_ratio_interval((xs[0], ws[0]), (xs[1], ws[1]), clusters, LEVEL)
    if metric.kind == "exp-ratio":
        return _Change(_exp(value_a), _exp(value_b), interval)
    return _Change(value_a, value_b, interval)


def _exp(x: float) -> float | None:
    """Exponential, None on overflow."""
    return math.exp(x) if x < 709.0 else None


def _verdict(interval: Interval, p: float | None, higher_is_better: bool, paired: bool) -> str:
    """Judge in words, at 95 %."""
    if not paired:
        return "not compared"
    if interval.low is None or interval.high is None:
        return "no interval"
    if interval.low <= 0.0 <= interval.high or (p is not None and p >= ALPHA):
        return "no difference shown"
    return "better" if (interval.value > 0.0) == higher_is_better else "worse"


def _changed(kept: Sequence[Sequence[ItemRecord]], paired: Sequence[str]) -> int | None:
    """Count the paired items whose answer differs, right or wrong; None if no answers are kept."""
    answers = [{r.item_id: r.parts["pred"] for r in side if "pred" in r.parts} for side in kept]
    known = [i for i in paired if i in answers[0] and i in answers[1]]
    return sum(answers[0][i] != answers[1][i] for i in known) if known else None


def _flips(
    row: ComparisonRow,
    pairs: Sequence[tuple[Observation, Observation]],
    records: Sequence[ItemRecord],
) -> list[Flip]:
    """List the items that are right on one side only."""
    strata = {r.item_id: r.stratum for r in records}
    return [
        Flip(
            row.model,
            row.task,
            row.metric,
            p.item_id,
            strata[p.item_id],
            "lost" if p.x > q.x else "gained",
        )
        for p, q in pairs
        if p.x != q.x
    ]
