from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
from task_material import ToyModel, ToyTokenizer, write_mmlu, write_snli

from qbench.data import Corpus
from qbench.errors import RequestError
from qbench.study.execute import run_items
from qbench.study.records import ItemRecord
from qbench.tasks import Prepared, get_task, parse_task
from qbench.tasks.perplexity import prepare_corpus


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_mmlu(tmp_path)
    write_snli(tmp_path / "snli", "snli_test.csv")
    return tmp_path


def prepare(data: Path, text: str, model: ToyModel) -> Prepared:
    spec = parse_task(text)
    return get_task(spec.task).prepare(
        spec,
        data,
        tokenizer=model.tokenizer,
        context_length=model.context_length,
        limit=None,
        seed=0,
    )


def run(data: Path, text: str, model: ToyModel, **given: Any) -> list[ItemRecord]:
    prepared = prepare(data, text, model)
    return run_items(model, prepared, prepared.items, **({"seed": 0} | given))


def test_one_call_holds_all_requests_and_scores_are_the_models(data: Path) -> None:
    model = ToyModel(ToyTokenizer())
    prepared = prepare(data, "mmlu@1", model)
    records = run_items(model, prepared, prepared.items, seed=0)
    (pairs,) = model.calls
    assert len(pairs) == 4 * len(prepared.items) == 52
    for number, (record, item) in enumerate(zip(records, prepared.items, strict=True)):
        text = item.request.prompt.text()
        ids = model.tokenizer.encode(text)
        expected = []
        for letter in "ABCD":
            space = model.logprob(ids, ord(" "))
            expected.append(space + model.logprob([*ids, ord(" ")], ord(letter)))
            assert pairs[4 * number + "ABCD".index(letter)] == (ids, [ord(" "), ord(letter)])
        assert record.response == {"logprobs": expected}
        assert record.parts["pred"] == max(range(4), key=expected.__getitem__)
        assert record.parts["correct"] == (record.parts["pred"] == item.gold)
        assert (record.item_id, record.cluster, record.stratum) == (
            item.id,
            item.cluster,
            item.stratum,
        )
        assert (record.status, record.cut) == ("scored", False)
        assert (record.n_tokens, record.n_unk) == (len(ids) + 8, 0)


def test_order_and_company_do_not_matter(data: Path) -> None:
    model = ToyModel(ToyTokenizer())
    prepared = prepare(data, "mmlu@2", model)
    whole = {r.item_id: r for r in run_items(model, prepared, prepared.items, seed=0)}
    shuffled = list(prepared.items)
    random.Random(1).shuffle(shuffled)
    records = run_items(model, prepared, shuffled, seed=0)
    assert [r.item_id for r in records] == [item.id for item in shuffled]
    assert all(record == whole[record.item_id] for record in records)
    for item in prepared.items[:3]:
        assert run_items(model, prepared, [item], seed=0) == [whole[item.id]]
    assert run_items(model, prepared, [], seed=0) == []


def prompt_length(data: Path, text: str, index: int = 1) -> int:
    """Tokens of the prompt of an item, BOS included."""
    model = ToyModel(ToyTokenizer())
    request = prepare(data, text, model).items[index].request
    return 1 + len(request.prompt.text())


def test_cut_left_drops_bos_and_first_tokens_as_lm_eval_does(data: Path) -> None:
    n = prompt_length(data, "mmlu@1")
    # The last token of a request is only predicted: n + 1 tokens are read.
    fits = run(data, "mmlu@1", ToyModel(ToyTokenizer(), n + 1))[1]
    assert (fits.status, fits.cut, fits.n_tokens) == ("scored", False, n + 8)
    model = ToyModel(ToyTokenizer(), n)
    tight = run(data, "mmlu@1", model)[1]
    assert (tight.status, tight.cut, tight.n_tokens) == ("scored", True, n - 1 + 8)
    context, continuation = model.calls[0][4]
    assert context[0] == ord("T")
    assert len(context) + len(continuation) == n + 1
    small = ToyModel(ToyTokenizer(), 3)
    assert all(r.cut and r.status == "scored" for r in run(data, "mmlu@1", small))
    assert {len(c) for c, _ in small.calls[0]} == {2}


def test_context_too_small_for_the_answer_itself(data: Path) -> None:
    records = run(data, "mmlu@1", ToyModel(ToyTokenizer(), 1))
    assert {(r.status, r.cut, r.response["reason"]) for r in records} == {
        ("skipped", False, "context")
    }
    assert all(r.parts == {} for r in records)


def test_drop_shots_drops_whole_shots_from_the_end(data: Path) -> None:
    lengths = [prompt_length(data, f"mmlu:official@{n}") for n in range(6)]
    for wanted in (5, 3, 0):
        for spare in (0, 5):
            model = ToyModel(ToyTokenizer(), lengths[wanted] + 1 + spare)
            record = run(data, "mmlu:official", model)[1]
            assert (record.status, record.cut) == ("scored", wanted < 5)
            assert record.n_tokens == lengths[wanted] + 8
    record = run(data, "mmlu:official", ToyModel(ToyTokenizer(), lengths[0]))[1]
    assert (record.status, record.cut, record.parts) == ("skipped", False, {})


def test_skip_skips(data: Path) -> None:
    n = prompt_length(data, "snli", 0)
    longest = len(" Maybe")
    assert run(data, "snli", ToyModel(ToyTokenizer(), n + longest - 1))[0].status == "scored"
    record = run(data, "snli", ToyModel(ToyTokenizer(), n + longest - 2))[0]
    assert (record.status, record.response) == ("skipped", {"reason": "context"})


def test_unknown_characters_are_counted_over_prompt_and_choices(data: Path) -> None:
    records = run(data, "snli", ToyModel(ToyTokenizer()))
    assert [r.n_unk for r in records] == [0, 0, 0, 2, 0]


def test_non_finite_scores_are_neither_right_nor_wrong(data: Path) -> None:
    model = ToyModel(ToyTokenizer(), broken=ord("B"))
    for record in run(data, "mmlu@0", model):
        assert (record.status, record.parts) == ("nonfinite", {})
        assert record.response["logprobs"][1] is None
        assert isinstance(record.response["logprobs"][0], float)


@pytest.mark.parametrize("letter", "ABCD")
def test_a_model_that_likes_a_letter_chooses_it(data: Path, letter: str) -> None:
    model = ToyModel(ToyTokenizer(), favourite=ord(letter))
    records = run(data, "mmlu", model)
    assert {r.parts["pred"] for r in records} == {"ABCD".index(letter)}
    right = [r.parts["correct"] for r in records]
    assert right == [int(r.parts["gold"] == "ABCD".index(letter)) for r in records]


def test_windows_are_scored_and_summed() -> None:
    text = "some words, and some more; the end"
    model = ToyModel(ToyTokenizer(), 16)
    prepared = prepare_corpus(
        Corpus("c", (text,), "0" * 64),
        tokenizer=model.tokenizer,
        context_length=16,
        window=8,
        stride=3,
    )
    records = run_items(model, prepared, prepared.items, seed=0)
    ids = model.tokenizer.encode(text)
    assert sum(len(continuation) for _, continuation in model.calls[0]) == len(ids) - 1
    seen = [[*context, *continuation] for context, continuation in model.calls[0]]
    assert all(any(ids[i : i + len(s)] == s for i in range(len(ids))) for s in seen)
    for record, (context, continuation) in zip(records, model.calls[0], strict=True):
        row = model.loglikelihood_tokens([(context, continuation)])[0]
        assert record.parts["nll"] == -row["logprob"]
        assert record.parts["bits"] == pytest.approx(-row["logprob"] / math.log(2))
        assert record.parts["n_tokens"] == row["n_tokens"]
        assert record.n_tokens == len(context) + len(continuation)
    assert sum(r.parts["n_words"] for r in records) == 7


def test_chat_answers_are_generated_and_read(data: Path) -> None:
    answers = ["A", "The answer is B.", "", "D"] + ["C"] * 9
    model = ToyModel(ToyTokenizer("template"), answers=answers)
    records = run(data, "mmlu:paper", model, seed=7, repeat=2)
    (call,) = model.generated
    ids = [item.id for item in prepare(data, "mmlu:paper", model).items]
    assert (call["seed"], call["repeat"], call["item_ids"]) == (7, 2, ids)
    assert (call["temperature"], call["max_new_tokens"], call["top_k"]) == (0.0, 512, 0)
    assert "<|im_end|>" in call["stop"]
    assert [r.parts["pred"] for r in records[:4]] == [0, 1, None, 3]
    assert [r.status for r in records[:4]] == ["scored", "scored", "unparsed", "scored"]
    assert records[1].response == {"text": "The answer is B.", "n_new": 16}
    assert records[1].n_tokens == len(call["prompts"][1])
    assert not any(r.cut for r in records)


def test_reasoning_is_stored_and_not_judged(data: Path) -> None:
    answers = ["<think>\nA? No.\n</think>\n\nB", "<think>\nA? Perhaps", "The answer is D."]
    model = ToyModel(ToyTokenizer("template"), answers=answers + ["C"] * 10)
    records = run(data, "mmlu:paper", model)
    assert [r.parts["pred"] for r in records[:4]] == [1, None, 3, 2]
    assert records[1].status == "unparsed"
    assert [r.response["text"] for r in records[:3]] == answers


def test_a_prompt_can_open_the_reasoning(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apply_chat = ToyTokenizer.apply_chat
    opened = ToyTokenizer("template").encode("<think>\n", bos=False)
    monkeypatch.setattr(ToyTokenizer, "apply_chat", lambda *a, **k: [*apply_chat(*a, **k), *opened])
    model = ToyModel(ToyTokenizer("template"), answers=["A? Perhaps", "A?\n</think>B"] + ["C"] * 11)
    records = run(data, "mmlu:paper", model)
    assert [r.parts["pred"] for r in records[:3]] == [None, 1, None]


def test_sampled_settings_reach_the_model(data: Path) -> None:
    model = ToyModel(ToyTokenizer("template"), answers=["Yes."] * 5)
    records = run(data, "snli:paper", model)
    assert (model.generated[0]["temperature"], model.generated[0]["top_p"]) == (1.0, 0.8)
    assert [r.parts["correct"] for r in records] == [1, 0, 0, 1, 1]


def test_an_answer_ended_by_the_context_is_cut(data: Path) -> None:
    model = ToyModel(ToyTokenizer("template"), answers=["B" * 600] * 13)
    prompts = [
        len(model.tokenizer.apply_chat([{"role": r, "content": c} for r, c in i.request.messages]))
        for i in prepare(data, "mmlu:paper", model).items
    ]
    model.context_length = max(prompts) - 1  # leaves the longest prompt nothing
    records = run(data, "mmlu:paper", model)
    for record, n in zip(records, prompts, strict=True):
        if n > model.context_length:
            assert (record.status, record.cut) == ("skipped", False)
        else:
            assert record.cut
            assert record.response["n_new"] == model.context_length - n + 1
    assert {r.status for r in records} == {"scored", "skipped"}
    model = ToyModel(ToyTokenizer("template"), min(prompts) + 600, answers=["B"] * 13)
    assert not any(r.cut for r in run(data, "mmlu:paper", model))


class Foreign:
    """A model from elsewhere: pairs (logprob, is_greedy) in a list."""

    context_length = 4096
    tokenizer = ToyTokenizer()

    def __init__(self, extra: int = 0) -> None:
        self.extra = extra

    def loglikelihood_tokens(self, pairs: list[Any]) -> list[tuple[float, bool]]:
        return [(-float(t[-1]), True) for _, t in pairs] + [(0.0, True)] * self.extra


def test_foreign_models(data: Path) -> None:
    foreign: Any = Foreign()
    assert {r.parts["pred"] for r in run(data, "mmlu@0", foreign)} == {0}
    with pytest.raises(RequestError, match="returned 53 results for 52 requests"):
        run(data, "mmlu@0", Foreign(1))  # type: ignore[arg-type]
    foreign.tokenizer = ToyTokenizer("template")
    with pytest.raises(RequestError, match="Foreign has no generate"):
        run(data, "mmlu:paper", foreign)


class GluingTokenizer(ToyTokenizer):
    """One token holds the colon and the answer, so that nothing is left to score."""

    def encode_pair(self, context: str, continuation: str, policy: str = "whole") -> Any:
        return self.encode(context), []


def test_a_continuation_without_tokens_is_skipped(data: Path) -> None:
    records = run(data, "mmlu@0", ToyModel(GluingTokenizer()))
    assert {(r.status, r.response["reason"]) for r in records} == {("skipped", "empty")}
