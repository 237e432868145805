"""The facts at the head of a report: what was run, with which engine, and how numbers were made.

Everything comes from the stored cells and runs, so the same store gives the same page anywhere. A
fact that differs between cells is shown with all its values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qbench.report.points import is_perplexity, task_label
from qbench.report.tables import Board, boundary_note
from qbench.study.records import CellFacts
from qbench.study.rows import StoredRun
from qbench.study.scores import LEAST_SHARE

Fact = tuple[str, str]

# How each interval of the statistics is called for a reader; a method not listed shows its name.
INTERVALS = {
    "wilson": "Wilson score",
    "clopper-pearson": "Clopper-Pearson (exact)",
    "t": "Student's t",
    "cluster-t": "Student's t with cluster-robust errors",
    "delta-t": "delta method with Student's t, on the logarithm",
    "cluster-delta-t": "delta method with cluster-robust errors, on the logarithm",
}


def header(board: Board, cells: Sequence[CellFacts], runs: Sequence[StoredRun]) -> list[Fact]:
    """List what a reader must know before believing a number.

    Parameters
    ----------
    board
        The arranged results.
    cells
        Facts of the cells they come from.
    runs
        Runs of the store, oldest first; empty for results from memory.

    Returns
    -------
    list of (name, text)
    """
    facts = [
        ("qbench", _joined(run.version for run in runs)),
        ("Engine", _joined(cell.engine_version for cell in cells)),
        ("Instruction set", _joined(cell.isa_tier for cell in cells)),
        ("Threads", _joined(_of_spec(runs, "threads", "all allowed"))),
        ("Mode", _joined(cell.mode for cell in cells)),
        ("KV cache", _joined(cell.kv_format for cell in cells)),
        ("Seed", _joined(cell.seed for cell in cells)),
        ("Limit", _joined(_of_spec(runs, "limit", "none"))),
        *(("Commit on the hub", f"{name} {commit}") for name, commit in _commits(runs)),
        ("Date in chat prompts", _joined(_chat_dates(cells, runs))),
        *((f"Items, {task}", text) for task, text in _items(board)),
    ]
    return [(name, text) for name, text in facts if text]


def notes(board: Board, cells: Sequence[CellFacts]) -> list[str]:
    """Say, in sentences, how scores, intervals, changes and marks came about.

    Parameters
    ----------
    board, cells
        As for `header`.

    Returns
    -------
    list of str
    """
    rows = [line.row for line in board.headlines]
    told = [_cell_note(task, facts) for task, facts in _by_task(cells)]
    told += filter(None, [boundary_note(board)])
    if any(is_perplexity(row.metric) for row in rows):
        told.append(
            "Perplexity is exp(total negative log-likelihood / tokens); its change is the "
            "difference of natural logarithms (0.01 is about one per cent more). Perplexities per "
            "token of models with different tokenizers are not comparable."
        )
    told += [
        "Intervals are 95 %: " + _joined(_interval_name(row.ci_method) for row in rows) + ".",
        "A change is paired: only items that were scored on both sides enter it, so it may differ "
        "from the difference of the two scores shown.",
        "Counts: scored items enter the score; unparsed answers count as wrong; skipped items did "
        "not fit the model's context; cut ones were shortened and scored; non-finite ones gave NaN "
        f"or infinity. Under {LEAST_SHARE:.0%} scored, a cell has no score.",
        "Bits per weight counts codes, scales and zero points of the quantized layers, without "
        "padding; embeddings, norms and an unquantized head are not in it.",
    ]
    if board.n_compared:
        told.append(
            f"The summary shows {board.n_compared} comparisons, each judged at 95 % on its own: "
            f"about {0.05 * board.n_compared:.2g} of them would be marked by chance if "
            "nothing had changed."
        )
    return [*told, *board.remarks]


def _joined(values: Iterable[object]) -> str:
    """All different values in order, or nothing."""
    return ", ".join(dict.fromkeys(str(v) for v in values if v is not None and v != ""))


def _of_spec(runs: Sequence[StoredRun], name: str, absent: str) -> list[object]:
    """Values of one field of what the runs asked for."""
    found = (run.spec[name] for run in runs if name in run.spec)
    return [absent if value is None else value for value in found]


def _commits(runs: Sequence[StoredRun]) -> list[tuple[str, str]]:
    """Models from the hub, each with its commit."""
    found = [pair for run in runs for pair in run.spec.get("revisions", {}).items()]
    return list(dict.fromkeys((name, commit) for name, commit in found if commit))


def _chat_dates(cells: Sequence[CellFacts], runs: Sequence[StoredRun]) -> list[object]:
    """Date that chat templates saw, where any cell has one."""
    return _of_spec(runs, "chat_date", "") if any(c.template_sha256 for c in cells) else []


def _items(board: Board) -> list[Fact]:
    """Items asked for, of how many, per task."""
    found: dict[str, dict[str, None]] = {}
    for line in board.headlines:
        row = line.row
        text = str(row.n_items) if row.n_items == row.n_total else f"{row.n_items} of {row.n_total}"
        found.setdefault(task_label(row), {})[text] = None
    return [(task, ", ".join(texts)) for task, texts in found.items()]


def _by_task(cells: Sequence[CellFacts]) -> list[tuple[str, list[CellFacts]]]:
    """Group facts by task."""
    groups: dict[str, list[CellFacts]] = {}
    for cell in cells:
        groups.setdefault(cell.task_label, []).append(cell)
    return list(groups.items())


def _cell_note(task: str, cells: Sequence[CellFacts]) -> str:
    """Version, data and prompt identity of one task."""
    windows = _joined(cell.window for cell in cells)
    window = f", windows of {windows} tokens" if windows else ""
    return (
        f"{task}: version {_joined(cell.version for cell in cells)}{window}, "
        f"data {_joined(cell.data_sha256[:12] for cell in cells)}, "
        f"prompts {_joined(cell.prompt_sha256[:12] for cell in cells)} (SHA-256, first 12 digits)."
    )


def _interval_name(method: str) -> str:
    """Name an interval for a reader."""
    return INTERVALS.get(method, method)
