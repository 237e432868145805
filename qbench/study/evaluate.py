"""Evaluate a model that is already in memory: tasks in, results out, no store.

The model is ours or any object with ``loglikelihood_tokens`` or ``generate``, a ``tokenizer`` and a
``context_length``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qbench.errors import RequestError
from qbench.study.cells import check_model
from qbench.study.jobs import Session
from qbench.study.plan import data_folder
from qbench.study.records import ItemRecord, cell_key, finite
from qbench.study.results import CellView, Results
from qbench.study.scores import Cell

CHUNK_ITEMS = 64


def evaluate(
    model: Any,
    tasks: str | Sequence[str],
    limit: int | None = None,
    data: str | Path | None = None,
    seed: int = 0,
    *,
    name: str | None = None,
    window: int | None = None,
    stride: int | None = None,
) -> Results:
    """Score a loaded model on some tasks.

    Parameters
    ----------
    model
        From ``qbench.load``, or any object with ``loglikelihood_tokens`` (lists of token ids) or
        ``generate``, ``tokenizer`` and ``context_length``.
    tasks
        One task or several, e.g. ``["mmlu:lm-eval@5", "perplexity"]``.
    limit
        Items per task, None for all; a seeded, stratified, nested sample.
    data
        Folder of the benchmark files; None: ``$QBENCH_DATA``.
    seed
        Of the sample and of sampled generation.
    name
        Name of the model in the table; None: its own, else that of its class.
    window, stride
        Of perplexity, in tokens.

    Returns
    -------
    Results
        One row per task x metric x subset, with interval and counts.

    Raises
    ------
    RequestError
        An unknown task, a missing data folder, or an object that cannot be scored.
    """
    check_model(model)
    folder = data_folder(data)
    wanted = [tasks] if isinstance(tasks, str) else list(tasks)
    if not wanted:
        raise RequestError("evaluate needs at least one task")
    label = name or str(getattr(model, "name", "") or type(model).__name__)
    session = Session(lambda *_, **__: model)
    job = {
        "name": label,
        "path": None,
        "recipe": None,
        "mode": None,
        "threads": None,
        "memory": None,
        "chat_template": None,
        "data": str(folder),
        "limit": limit,
        "seed": seed,
        "window": window,
        "stride": stride,
        "repeat": 0,
    }
    keeps = getattr(model, "keep_prefix", None)
    try:
        return Results([_evaluate_task(session, job | {"task": text}) for text in wanted])
    finally:
        if keeps is not None:  # the session switched it on
            model.keep_prefix = keeps


def _evaluate_task(session: Session, job: dict[str, Any]) -> CellView:
    """Score one task in chunks and keep its items in memory."""
    facts, n_total, ids = session.facts(job)
    records: list[ItemRecord] = []
    for start in range(0, len(ids), CHUNK_ITEMS):
        shard = session.run_shard(job | {"item_ids": ids[start : start + CHUNK_ITEMS]})
        records += [finite(ItemRecord(**content)) for content in shard["records"]]
    records.sort(key=lambda record: record.item_id)
    cell = Cell(cell_key(facts), facts, n_total, len(ids), "")
    return CellView(cell, lambda: records, time.time())
