from __future__ import annotations

from pathlib import Path

import pytest
from task_material import ToyTokenizer, write_snli

from qbench.errors import RequestError
from qbench.tasks import ChatRequest, ChoiceRequest, Prepared, get_task, parse_task

SNLI = get_task("snli")


def prepare(data: Path, text: str, **given: object) -> Prepared:
    write_snli(data / "snli", "snli_1.0_test.jsonl")
    settings = {"tokenizer": None, "context_length": 64, "limit": None, "seed": 0} | given
    return SNLI.prepare(parse_task(text), data, **settings)  # type: ignore[arg-type]


def test_words_prompt_by_hand(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, "snli")
    item = prepared.items[1]
    assert isinstance(item.request, ChoiceRequest)
    assert item.request.prompt.text() == (
        "A man eats.\n"
        'Question: Does this imply that "Nobody, ever, eats."? Yes, no, or maybe?\n'
        "Answer:"
    )
    assert item.request.choices == (" Yes", " No", " Maybe")
    assert prepared.n_total == 5
    assert prepared.notes == (
        "data: snli_1.0_test.jsonl",
        "1 rows without a gold label dropped",
    )
    assert [i.cluster for i in prepared.items[:3]] == [item.cluster] * 3


def test_paper_prompt_by_hand(tmp_path: Path) -> None:
    item = prepare(tmp_path, "snli:paper").items[0]
    assert isinstance(item.request, ChatRequest)
    assert item.request.messages[1] == (
        "user",
        'A man eats.\n\nQuestion: Does this imply that "Someone eats."? Yes, no, or maybe?',
    )
    with pytest.raises(RequestError, match="--chat-template chatml"):
        prepare(tmp_path, "snli:paper", tokenizer=ToyTokenizer())


@pytest.mark.parametrize(
    ("row", "right"), [(0, 0), (1, 1), (2, 2)], ids=["entailment", "contradiction", "neutral"]
)
def test_each_label_has_its_word(tmp_path: Path, row: int, right: int) -> None:
    item = prepare(tmp_path, "snli").items[row]
    for chosen in range(3):
        logprobs = [-1.0 if i == chosen else -2.0 for i in range(3)]
        score = SNLI.score(item, {"logprobs": logprobs})
        assert score.status == "scored"
        assert score.parts["correct"] == (chosen == right)
        assert score.parts["majority"] == (right == 0)
    assert SNLI.score(item, {"logprobs": [-1.0] * 3}).parts["pred"] == 0
    chat = prepare(tmp_path, "snli:paper").items[row]
    for i, word in enumerate(("yes", "no", "maybe")):
        assert SNLI.score(chat, {"text": f"{word.title()}."}).parts["correct"] == (i == right)


def test_a_text_without_an_answer_is_unparsed(tmp_path: Path) -> None:
    item = prepare(tmp_path, "snli:paper").items[0]
    score = SNLI.score(item, {"text": "It is unknown."})
    assert score == ("unparsed", {"correct": 0, "pred": None, "gold": 0, "majority": 1})


def test_an_answer_of_two_words_satisfies_either(tmp_path: Path) -> None:
    # The paper's rule asks for the gold word alone.
    first, second = prepare(tmp_path, "snli:paper").items[:2]
    for item, pred in ((first, 0), (second, 1)):
        score = SNLI.score(item, {"text": "yes or no"})
        assert (score.parts["correct"], score.parts["pred"]) == (1, pred)


def test_limit_is_stratified_by_label(tmp_path: Path) -> None:
    some = prepare(tmp_path, "snli", limit=4)
    assert sorted(item.stratum for item in some.items) in (
        ["contradiction", "entailment", "entailment", "neutral"],
        ["contradiction", "entailment", "entailment", "entailment"],
        ["entailment", "entailment", "entailment", "neutral"],
    )
