"""The records of a study, as plain data: what one item gave, what a cell was, what a table shows.

This is the seam of the package: everything to the right of it (analysis, report, export) reads
these records and cannot run a model. They hold JSON-able values only, floats are finite or None,
and their canonical JSON is what every hash in the store is taken over.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

STATUSES = ("scored", "unparsed", "skipped", "nonfinite")
LABELS_ONLY = ("model", "bits_per_weight", "model_bits")


@dataclass(frozen=True)
class ItemRecord:
    """What one item gave: its counts, the model's response, and the parts its scores are made of.

    ``status`` is ``scored``, ``unparsed`` (answered, but no answer was found: it counts as wrong),
    ``skipped`` (did not fit the context) or ``nonfinite`` (NaN or infinity in the scores).
    ``n_tokens`` counts the tokens of the request, ``n_unk`` those among them that are ``<unk>``.
    """

    item_id: str
    cluster: str
    stratum: str
    status: str
    cut: bool
    n_tokens: int
    n_unk: int
    parts: dict[str, Any]
    response: dict[str, Any]

    @property
    def counts(self) -> bool:
        """Whether the item enters a score."""
        return self.status in ("scored", "unparsed")


@dataclass(frozen=True)
class CellFacts:
    """Everything that was fixed while the items of one cell were scored.

    All but ``model`` (a display name), ``bits_per_weight`` and ``model_bits`` (they follow from
    weights and recipe) enter the cell key.
    """

    model: str
    weights_sha256: str
    spec_sha256: str
    tokenizer_sha256: str
    recipe: str
    bits_per_weight: float | None
    model_bits: float | None
    mode: str
    kv_format: str
    context_length: int
    engine_version: str
    isa_tier: str
    task: str
    preset: str
    shots: int | None
    version: int
    prompt_sha256: str
    data_sha256: str
    template_sha256: str
    seed: int
    window: int | None
    stride: int | None

    @property
    def task_label(self) -> str:
        """Task, preset and shots as the grammar writes them: ``mmlu:lm-eval@5``."""
        preset = f":{self.preset}" if self.preset else ""
        return f"{self.task}{preset}" + ("" if self.shots is None else f"@{self.shots}")


@dataclass(frozen=True)
class ResultRow:
    """One line of a result table: model x recipe x task x metric x subset.

    ``n_items`` = ``n_scored`` + ``n_unparsed`` + ``n_skipped`` + ``n_nonfinite``; ``n_cut`` items
    were shortened and are among the scored. ``value`` is None where there is no score, and
    ``reason`` says why. ``state`` is ``done``, ``partial`` (fewer items stored than were asked for)
    or ``failed``. ``value``, ``low`` and ``high`` are fractions for accuracies.
    """

    model: str
    recipe: str
    task: str
    preset: str
    shots: int | None
    metric: str
    subset: str
    value: float | None
    low: float | None
    high: float | None
    ci_method: str
    n_scored: int
    n_skipped: int
    n_cut: int
    n_unparsed: int
    n_nonfinite: int
    n_items: int
    n_total: int
    unk_share: float
    chance: float | None
    higher_is_better: bool
    bits_per_weight: float | None
    model_bits: float | None
    mode: str
    kv_format: str
    state: str
    reason: str
    cell_key: str


@dataclass(frozen=True)
class Failure:
    """A cell, or a whole model under a recipe, that could not be computed, with its reason."""

    model: str
    recipe: str
    task: str
    reason: str
    trace: str = field(default="", repr=False)


def canonical_json(value: Any) -> str:
    """Write JSON in the one form that is hashed: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_of(value: Any) -> str:
    """SHA-256 (hex) over the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def cell_key(facts: CellFacts) -> str:
    """Return the identity of a cell: a hash of everything that can change one of its scores.

    Not in it, because they cannot: limit, threads, workers, host, time, path and name of the model.
    """
    content = asdict(facts)
    for name in LABELS_ONLY:
        del content[name]
    return sha256_of(content)


def finite(record: ItemRecord) -> ItemRecord:
    """Replace NaN and infinity by None; a scored item that held one becomes ``nonfinite``."""
    parts, lost_part = _plain(record.parts)
    response, lost_response = _plain(record.response)
    lost = lost_part or lost_response
    status = "nonfinite" if lost and record.status == "scored" else record.status
    return replace(record, parts=parts, response=response, status=status)


def _plain(value: Any) -> tuple[Any, bool]:
    """Return a value as JSON holds it (NumPy scalars unwrapped), and whether a float was lost."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return (float(value), False) if math.isfinite(value) else (None, True)
    if isinstance(value, Mapping):
        pairs = {str(key): _plain(item) for key, item in value.items()}
        return {k: v for k, (v, _) in pairs.items()}, any(lost for _, lost in pairs.values())
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in value]
        return [v for v, _ in items], any(lost for _, lost in items)
    return value, False


def facts_from_json(content: Mapping[str, Any]) -> CellFacts:
    """Rebuild facts from their JSON; KeyError or TypeError when a field is missing or unknown."""
    names = {entry.name for entry in fields(CellFacts)}
    if names != set(content):
        raise KeyError(f"cell facts differ in {sorted(names ^ set(content))}")
    return CellFacts(**content)
