from __future__ import annotations

import pytest

from qbench.errors import RequestError
from qbench.models.tokenizer import PAIR_POLICIES
from qbench.tasks import get_task, list_tasks, parse_task


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("mmlu", "mmlu:lm-eval@5"),
        ("mmlu@0", "mmlu:lm-eval@0"),
        ("mmlu:lm-eval", "mmlu:lm-eval@5"),
        ("mmlu:lm-eval@3", "mmlu:lm-eval@3"),
        ("mmlu:official", "mmlu:official@5"),
        ("mmlu:paper", "mmlu:paper@0"),
        ("snli", "snli:words@0"),
        (" snli:paper@0 ", "snli:paper@0"),
        ("perplexity", "perplexity:gptq"),
        ("perplexity:windows", "perplexity:windows"),
    ],
)
def test_expansion(text: str, canonical: str) -> None:
    spec = parse_task(text)
    assert spec.canonical == canonical
    assert parse_task(spec.canonical) == spec


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("mmmlu", "unknown task 'mmmlu'; did you mean mmlu?"),
        ("gsm8k", "unknown task 'gsm8k'; known: mmlu, perplexity, snli"),
        ("mmlu:oficial", "unknown preset of mmlu 'oficial'; did you mean official?"),
        ("mmlu:x", "known: lm-eval, official, paper"),
        ("mmlu@6", "mmlu:lm-eval takes at most 5 shots, not 6"),
        ("mmlu:paper@1", "mmlu:paper takes no shots, not 1"),
        ("snli@5", "snli:words takes no shots, not 5"),
        ("perplexity@1", "perplexity:gptq takes no shots"),
        ("mmlu@-1", "is no task"),
        ("mmlu@", "is no task"),
        ("mmlu:", "is no task"),
        ("", "is no task"),
        ("a:b:c", "is no task"),
    ],
)
def test_refusals(text: str, fragment: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_task(text)
    assert fragment in str(caught.value)


def test_shots_of_perplexity_mean_nothing() -> None:
    assert parse_task("perplexity@0") == parse_task("perplexity")


@pytest.mark.parametrize("name", list_tasks())
def test_every_task_is_whole(name: str) -> None:
    task = get_task(name)
    assert task is get_task(name)
    assert task.name == name
    assert task.metric_defs
    for key, preset in task.presets.items():
        assert key == preset.name
        assert preset.kind in ("choice", "chat", "perplexity")
        assert preset.overflow in ("cut-left", "drop-shots", "skip")
        assert preset.boundary in PAIR_POLICIES
        assert preset.chat is (preset.kind == "chat")
        assert preset.version >= 1
        assert preset.description
        assert (preset.default_shots or 0) <= preset.max_shots
