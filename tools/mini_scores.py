"""The tasks of the mini family: how each is read, asked and summed up, and scores in training."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import mini_items
import mini_metrics
from mini_engine import Scorer


def _check(instruction: str, response: str) -> Sequence[bool]:
    """Rule check of the followbench pack."""
    from qbench.mini.world import instructions

    met: Sequence[bool] = instructions.check(instruction, response)
    return met


@dataclass(frozen=True)
class Task:
    """How a task is read, asked and summed up; without ``max_new`` it is a choice."""

    read: Callable[..., list[Any]]
    summary: Callable[..., mini_metrics.Summary]
    max_new: int = 0
    stops: tuple[str, ...] = ()
    shots: bool = False


TASKS = {
    "mmlu_letter": Task(mini_items.mmlu_letter, mini_metrics.accuracy, shots=True),
    "mmlu_content": Task(mini_items.mmlu_content, mini_metrics.accuracy),
    "ceval": Task(mini_items.ceval, mini_metrics.accuracy, shots=True),
    "gsm8k": Task(mini_items.gsm8k, mini_metrics.gsm8k, 256, ("Question:",)),
    "snli": Task(mini_items.snli, mini_metrics.accuracy),
    "flores_en_zh": Task(
        partial(mini_items.flores, source="English", target="Chinese"),
        partial(mini_metrics.bleu, tokenize="zh"),
        128,
    ),
    "flores_zh_en": Task(
        partial(mini_items.flores, source="Chinese", target="English"),
        partial(mini_metrics.bleu, tokenize="13a"),
        128,
    ),
    "cnn_dailymail": Task(mini_items.cnn_dailymail, mini_metrics.rouge, 128, ("\n\n",)),
    "xsum": Task(mini_items.xsum, mini_metrics.rouge, 64, ("\n",)),
    "followbench": Task(
        mini_items.followbench, partial(mini_metrics.followbench, check=_check), 128
    ),
    "truthfulqa": Task(mini_items.truthfulqa, mini_metrics.accuracy),
    "bbq": Task(mini_items.bbq, mini_metrics.bbq),
}
TEXTS = "perplexity"
# What `quick_scores` returns by default, and the values that it takes of each task.
QUICK = {
    "mmlu_letter": ("acc",),
    "mmlu_content": ("acc",),
    "ceval": ("acc",),
    "snli": ("acc",),
    "gsm8k": ("strict",),
    "flores_en_zh": ("bleu",),
    "flores_zh_en": ("bleu",),
    "xsum": ("rougeL",),
    "followbench": ("hsr_1", "hsr_3"),
    "bbq": ("acc_ambig", "acc_disambig", "bias_ambig"),
    "truthfulqa": ("acc",),
}


def pack_files() -> dict[str, str]:
    """Official-format files of the mini packs."""
    from qbench.mini import packs

    return dict(packs.files())


def chosen_items(
    name: str, files: Mapping[str, str], limit: int | None, shots: int = 0
) -> list[Any]:
    """Items of a task: the first ``limit`` after a seeded shuffle, or all as they stand."""
    task = TASKS[name]
    items = task.read(files, n_shots=shots) if task.shots else task.read(files)
    if limit is not None and limit < len(items):
        random.Random(f"score/{name}").shuffle(items)
        items = items[:limit]
    return items


def run_task(scorer: Scorer, name: str, items: Sequence[Any]) -> mini_metrics.Summary:
    """Ask a model all items of a task."""
    task = TASKS[name]
    if task.max_new:
        answers = scorer.write([item.prompt for item in items], task.max_new, task.stops)
        return task.summary(items, answers)
    return task.summary(items, scorer.choices([(item.context, item.options) for item in items]))


def run_texts(
    scorer: Scorer, reference: Scorer | None, texts: Mapping[str, str], windows: int | None
) -> mini_metrics.Summary:
    """Perplexity of all texts, and the divergence from a reference on the first."""
    losses = {name: scorer.text_loss(text, windows) for name, text in texts.items()}
    summary = mini_metrics.text_summary(losses)
    if reference is not None and texts:
        name, text = next(iter(texts.items()))
        found = mini_metrics.divergence(scorer.divergence(reference, text, windows))
        summary.values.update({f"{name}/{kind}": value for kind, value in found.items()})
    return summary


def quick_scores(
    model: Any,
    tokenizer: Any,
    limit: int = 100,
    tasks: Sequence[str] = tuple(QUICK),
    files: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Main scores of a model in training, in percent, by ``task`` or ``task/value``.

    Of followbench levels 1 and 3 alone are asked, ``limit`` instructions each.
    """
    given = pack_files() if files is None else files
    scorer, scores = Scorer(model, tokenizer), {}
    for name in tasks:
        if name == "followbench":
            every = chosen_items(name, given, None)
            random.Random("score/quick").shuffle(every)
            items = [
                item
                for level in (1, 3)
                for item in [i for i in every if i.facts["level"] == level][:limit]
            ]
        else:
            items = chosen_items(name, given, limit)
        values = run_task(scorer, name, items).values
        for kind in QUICK[name]:
            key = name if len(QUICK[name]) == 1 else f"{name}/{kind}"
            scores[key] = values[kind][0] if kind in values else float("nan")
    return scores
