"""Results made from item records alone: two models, some recipes, three tasks, one failure."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from qbench.study.records import CellFacts, Failure, ItemRecord
from qbench.study.results import CellView, Results
from qbench.study.rows import StoredRun
from qbench.study.scores import Cell

RECIPES = {"f32": (32.0, 0.0), "rtn-w8g32": (8.75, 0.001), "rtn-w2g32": (2.75, 1.5)}
MODELS = ("small", "large")
HOSTILE = "</script><img src=x onerror=alert(1)>\u202e\x1b[31m\x00'\"&<!--"


def facts(model: str, recipe: str, task: str, preset: str, shots: int | None) -> CellFacts:
    bits = RECIPES[recipe][0]
    return CellFacts(
        model=model,
        weights_sha256="w" + model,
        spec_sha256="s",
        tokenizer_sha256="t" + model,
        recipe=recipe,
        bits_per_weight=bits,
        model_bits=bits + 1.0,
        mode="faithful",
        kv_format="bf16",
        context_length=512,
        engine_version="1",
        isa_tier="scalar",
        task=task,
        preset=preset,
        shots=shots,
        version=1,
        prompt_sha256="a" * 64,
        data_sha256="b" * 64,
        template_sha256="",
        seed=0,
        window=None,
        stride=None,
    )


def item(name: str, parts: dict[str, Any], **more: Any) -> ItemRecord:
    values = {"cluster": name, "stratum": "", "status": "scored", "cut": False}
    values |= {"n_tokens": 40, "n_unk": 0, "response": {}}
    return ItemRecord(item_id=name, parts=parts, **(values | more))


def cell_view(about: CellFacts, records: list[ItemRecord], n_total: int = 1000) -> CellView:
    key = f"{about.model}|{about.recipe}|{about.task}|{about.mode}"
    return CellView(Cell(key, about, n_total, len(records), ""), lambda: records, 1.0)


def perplexity_items(model: str, recipe: str, n: int = 30) -> list[ItemRecord]:
    shared, own = random.Random(model), random.Random(model + recipe)
    damage = RECIPES[recipe][1]
    records = []
    for number in range(n):
        tokens = 100 + shared.randrange(20)
        nll = tokens * (1.5 + shared.gauss(0, 0.05) + damage) + own.gauss(0, damage)
        parts = {"nll": nll, "bits": nll / 0.6931471805599453, "n_tokens": tokens}
        words = tokens // (2 if model == MODELS[0] else 3)
        records.append(item(f"w{number:03}", parts | {"n_words": words, "n_bytes": 4 * tokens}))
    return records


def choice_items(model: str, recipe: str, n: int = 120, skipped: int = 0) -> list[ItemRecord]:
    shared, own = random.Random(model), random.Random(model + recipe)
    records = []
    for number in range(n):
        right = shared.random() < 0.55
        if own.random() < RECIPES[recipe][1] / 2:
            right = own.random() < 0.3
        subject = ("anatomy", "virology")[number % 2]
        name = f"{subject}/{number:04}"
        if number < skipped:
            records.append(item(name, {}, status="skipped", stratum=subject))
        else:
            parts = {"correct": int(right), "pred": int(right), "gold": 1}
            records.append(item(name, parts, stratum=subject, cut=number % 4 == 0, n_unk=1))
    return records


def results(models: tuple[str, str] = MODELS, recipes: tuple[str, ...] = tuple(RECIPES)) -> Results:
    """MMLU of the first model has no score, that of the second under rtn-w2g32 has failed."""
    views = []
    for model in models:
        for recipe in recipes:
            about = facts(model, recipe, "perplexity", "gptq", None)
            views.append(cell_view(about, perplexity_items(model, recipe)))
            about = facts(model, recipe, "snli", "words", 0)
            views.append(cell_view(about, choice_items(model, recipe)))
            if (model, recipe) == (models[1], "rtn-w2g32"):
                continue
            about = facts(model, recipe, "mmlu", "lm-eval", 0)
            skipped = 70 if model == models[0] else 10
            views.append(cell_view(about, choice_items(model, recipe, skipped=skipped)))
    failure = Failure(models[1], "rtn-w2g32", "mmlu:lm-eval@0", "layer 3 gave <b>NaN</b>", "trace")
    return Results(views, [failure])


def runs() -> list[StoredRun]:
    spec = {"limit": 120, "threads": None}
    return [StoredRun(1, 10.0, 20.0, "done", "0.1.0", "a-host", spec, ())]


def with_mode(view: CellView, mode: str) -> CellView:
    about = replace(view.cell.facts, mode=mode)
    return cell_view(about, list(view.load()))
