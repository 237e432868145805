"""`qbench show`: the prompt as the task builds it and the tokens as the tokenizer cuts them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.conftest import Qbench

from qbench.cli.reader import Reader
from qbench.tasks import ChoiceRequest, get_task, parse_task


def test_an_item_is_shown_as_it_is_asked(qbench: Qbench, tiny_data: Path) -> None:
    document = qbench("show", "snli:words", "--item", 3, "--data", tiny_data, "--json").json
    spec = parse_task("snli:words")
    prepared = get_task("snli").prepare(
        spec, tiny_data, tokenizer=None, context_length=10, limit=None, seed=0
    )
    item = prepared.items[3]
    assert isinstance(item.request, ChoiceRequest)
    assert document["texts"][0] == item.request.prompt.text()
    assert (document["id"], document["n_total"]) == (item.id, len(prepared.items))
    text = qbench("show", "snli:words", "--item", 3, "--data", tiny_data).out
    assert item.request.prompt.text() in text and '" Yes"' in text and item.id in text
    assert "choice, boundary whole, overflow skip" in text
    chat = qbench("show", "snli:paper", "--item", 3, "--data", tiny_data).out
    assert "chat, overflow skip" in chat and "boundary" not in chat


def test_a_models_tokens_are_those_of_its_tokenizer(
    qbench: Qbench, tiny_data: Path, tiny_model: Path
) -> None:
    line = ("show", "snli:words", "--data", tiny_data, "-m", tiny_model)
    asked = qbench(*line, "--json").json["asked"]
    reader = Reader.open(tiny_model)
    text = qbench(*line, "--json").json["texts"][0]
    for (context, continuation), choice in zip(
        asked["pairs"], (" Yes", " No", " Maybe"), strict=True
    ):
        assert context == reader.tokenizer.encode(text)
        assert context + continuation == reader.tokenizer.encode(text + choice)
    assert f"{len(asked['pairs'][0][0])} + {len(asked['pairs'][0][1])} tokens" in qbench(*line).out


def test_what_does_not_fit_is_told(
    qbench: Qbench, tiny_data: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "context_length", 8)
    line = ("show", "snli:words", "--data", tiny_data, "-m", tiny_model)
    assert "skipped: context" in qbench(*line).out
    assert qbench(*line, "--json").json["asked"]["skipped"] == "context"
    cut = qbench("show", "mmlu@0", "--data", tiny_data, "-m", tiny_model)
    last_eight = Reader.open(tiny_model).tokenizer.decode(
        qbench("show", "mmlu@0", "--data", tiny_data, "-m", tiny_model, "--json").json["asked"][
            "pairs"
        ][0][0]
    )
    assert "cut to fit" in cut.out and f"as sent\n{last_eight}" in cut.out


def test_a_chat_is_shown_as_the_template_renders_it(
    qbench: Qbench, tiny_data: Path, tiny_model: Path
) -> None:
    line = ("show", "mmlu:paper", "--data", tiny_data, "-m", tiny_model)
    refused = qbench(*line)
    assert refused.code == 2
    refused.error("--chat-template chatml")
    shown = qbench(*line, "--chat-template", "chatml").out
    assert "<|im_start|>system\nYou are a helpful assistant.<|im_end|>" in shown


def test_control_characters_of_items_are_dropped(qbench: Qbench, tmp_path: Path) -> None:
    folder = tmp_path / "snli"
    folder.mkdir()
    text = "gold_label,sentence1,sentence2,SET\nneutral,A \x1b[31mman,walks \u202efast.,TEST\n"
    (folder / "snli_test.csv").write_text(text, encoding="utf-8")
    out = qbench("show", "snli:words", "--data", tmp_path).out
    assert "\x1b" not in out and "\u202e" not in out and "A [31mman" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("snly",), "did you mean snli"), (("snli", "--item", 100_000), "has items 0 to"),
        (("perplexity",), "name a model"), (("snli", "-m", "/no/model"), "no model at"),
        (("snli", "--item", "-1"), "'--item'"),
    ],
)  # fmt: skip
def test_wrong_requests_exit_2(
    qbench: Qbench, tiny_data: Path, arguments: tuple[object, ...], said: str
) -> None:
    outcome = qbench("show", *arguments, "--data", tiny_data)
    assert outcome.code == 2
    outcome.error(said)


def test_without_a_data_folder_it_says_how_to_name_one(
    qbench: Qbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QBENCH_DATA", raising=False)
    outcome = qbench("show", "snli")
    assert outcome.code == 2
    outcome.error("--data")
