from __future__ import annotations

from pathlib import Path

import pytest
from task_material import ToyTokenizer, write_mmlu

from qbench.errors import RequestError
from qbench.tasks import ChatRequest, ChoiceRequest, Prepared, get_task, parse_task
from qbench.tasks.mmlu import AREA_OF, AREAS

MMLU = get_task("mmlu")


def prepare(data: Path, text: str, **given: object) -> Prepared:
    settings = {"tokenizer": None, "context_length": 64, "limit": None, "seed": 0} | given
    return MMLU.prepare(parse_task(text), data, **settings)  # type: ignore[arg-type]


def first_prompt(data: Path, text: str, item_id: str) -> str:
    item = next(i for i in prepare(data, text).items if i.id == item_id)
    assert isinstance(item.request, ChoiceRequest)
    assert item.request.choices == (" A", " B", " C", " D")
    return item.request.prompt.text()


def test_areas_are_the_official_ones() -> None:
    assert {area: len(subjects.split()) for area, subjects in AREAS.items()} == {
        "stem": 18,
        "humanities": 13,
        "social_sciences": 12,
        "other": 14,
    }
    assert len(AREA_OF) == 57


OFFICIAL_TWO_SHOTS = """\
The following are multiple choice questions (with answers) about  us foreign policy.

 us_foreign_policy "dev",
number 0? 
A. a0, yes
B. b0, yes
C. c0, yes
D. d0, yes
Answer: A

us_foreign_policy dev 1?
A. a1, yes
B. b1, yes
C. c1, yes
D. d1, yes
Answer: B

us_foreign_policy test 1?
A. a1, yes
B. b1, yes
C. c1, yes
D. d1, yes
Answer:"""  # noqa: W291 (the authors do not strip the question)


def test_official_prompt_by_hand(tmp_path: Path) -> None:
    write_mmlu(tmp_path)
    text = first_prompt(tmp_path, "mmlu:official@2", "us_foreign_policy/0001")
    assert text == OFFICIAL_TWO_SHOTS


def test_lm_eval_prompt_differs_in_two_places(tmp_path: Path) -> None:
    write_mmlu(tmp_path)
    text = first_prompt(tmp_path, "mmlu:lm-eval@2", "us_foreign_policy/0001")
    expected = OFFICIAL_TWO_SHOTS.replace("about  us", "about us")
    assert text == expected.replace(' us_foreign_policy "', 'us_foreign_policy "').replace(
        "0? \n", "0?\n"
    )


def test_paper_prompt_by_hand(tmp_path: Path) -> None:
    write_mmlu(tmp_path)
    item = prepare(tmp_path, "mmlu:paper").items[1]
    assert isinstance(item.request, ChatRequest)
    assert item.request.messages == (
        ("system", "You are a helpful assistant."),
        (
            "user",
            "The following is a multiple-choice question. Please choose the most suitable one "
            "among A, B, C and D as the answer to this question.\n\nastronomy test 1?\n"
            "A. a1, yes\nB. b1, yes\nC. c1, yes\nD. d1, yes\n",
        ),
    )
    assert (item.request.temperature, item.request.max_new_tokens) == (0.0, 512)


def test_paper_needs_a_template(tmp_path: Path) -> None:
    write_mmlu(tmp_path)
    with pytest.raises(RequestError, match=r"mmlu:paper@0 .*--chat-template chatml"):
        prepare(tmp_path, "mmlu:paper", tokenizer=ToyTokenizer())
    prepare(tmp_path, "mmlu:paper", tokenizer=ToyTokenizer("{{ messages }}"))
    prepare(tmp_path, "mmlu", tokenizer=ToyTokenizer())


def test_missing_shots_are_an_error_only_where_they_are_used(tmp_path: Path) -> None:
    folder = write_mmlu(tmp_path, n_dev=3)
    assert prepare(tmp_path, "mmlu@3").n_total == 13
    with pytest.raises(RequestError, match=r"mmlu:lm-eval@4: astronomy_dev.csv holds 3 shots"):
        prepare(tmp_path, "mmlu@4")
    (folder / "dev" / "virology_dev.csv").unlink()
    with pytest.raises(RequestError, match=r"virology_dev.csv holds 0 shots"):
        prepare(tmp_path, "mmlu@1")
    assert prepare(tmp_path, "mmlu@0").n_total == 13


def test_hashes_and_limit(tmp_path: Path) -> None:
    write_mmlu(tmp_path)
    full = prepare(tmp_path, "mmlu@0")
    some = prepare(tmp_path, "mmlu@0", limit=6, seed=3)
    assert (some.n_total, len(some.items)) == (13, 6)
    assert some.prompt_sha256 == full.prompt_sha256
    assert some.data_sha256 == full.data_sha256
    assert [i for i in full.items if i in some.items] == list(some.items)
    assert sorted({i.stratum for i in some.items}) == ["astronomy", "us_foreign_policy", "virology"]
    prompts = [prepare(tmp_path, t).prompt_sha256 for t in ("mmlu", "mmlu@0", "mmlu:official")]
    assert len(set(prompts)) == 3
    assert len({item.id for item in full.items}) == 13
    assert [item.id for item in full.items] == sorted(item.id for item in full.items)


def test_scores_of_choices(tmp_path: Path) -> None:
    write_mmlu(tmp_path)
    item = prepare(tmp_path, "mmlu@0").items[2]  # the answer is C
    score = MMLU.score(item, {"logprobs": [-3.0, -2.0, -1.0, -4.0]})
    assert score == ("scored", {"correct": 1, "pred": 2, "gold": 2, "margin": 1.0})
    tied = MMLU.score(item, {"logprobs": [-3.0, -1.0, -1.0, -4.0]})
    assert tied.parts == {"correct": 0, "pred": 1, "gold": 2, "margin": 0.0}


@pytest.mark.parametrize("gold", range(4))
def test_gold_is_right_and_everything_else_is_wrong(tmp_path: Path, gold: int) -> None:
    write_mmlu(tmp_path)
    item = prepare(tmp_path, "mmlu:paper").items[gold]
    for letter in "ABCD":
        score = MMLU.score(item, {"text": f"The answer is {letter}."})
        assert score.status == "scored"
        assert score.parts["correct"] == ("ABCD"[gold] == letter)
    silent = MMLU.score(item, {"text": ""})
    assert (silent.status, silent.parts["correct"]) == ("unparsed", 0)


def test_rendering_shows_prompt_choices_and_gold(tmp_path: Path) -> None:
    write_mmlu(tmp_path)
    lines = prepare(tmp_path, "mmlu@0").items[1].render()
    assert lines[0].endswith("Answer:")
    assert lines[1:] == ['" A"', '" B"', '" C"', '" D"', "gold: 1"]
