"""The overlap check finds a test item in whatever frame it stands, and nothing else."""

from __future__ import annotations

import csv
import io
import json

import pytest

from qbench.mini import packs
from qbench.mini.draws import Draws
from qbench.mini.world import corpus, families, overlap
from qbench.mini.world.examples import Document, Example, Exercise
from qbench.mini.world.facts import world
from qbench.mini.world.overlap import Index, Item, check, items


def _csv(*rows: list[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _json_lines(*rows: dict[str, object]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


FILES = {
    "mmlu/data/test/towns_test.csv": _csv(
        [
            "What is the river of Koford?",
            "Miru River",
            "Kave River",
            "Sato River",
            "Gemo River",
            "A",
        ]
    ),
    "mmlu/data/dev/towns_dev.csv": _csv(["A shot that may be anywhere?", "a", "b", "c", "d", "A"]),
    "ceval/val/law_val.csv": _csv(
        ["id", "question", "A", "B", "C", "D", "answer"],
        [0, "卡洛米的家乡是哪里？", "科津", "拉镇", "米港", "托堡", "A"],
    ),
    "gsm8k/test.jsonl": _json_lines(
        {"question": "Kalomi has 12 pears and buys 7.", "answer": "#### 19"}
    ),
    "gsm8k/train.jsonl": _json_lines(
        {"question": "Not a test problem at all.", "answer": "#### 1"}
    ),
    "snli/snli_1.0_test.jsonl": _json_lines(
        {"sentence1": "The baker sleeps in the tower.", "sentence2": "The baker sleeps."}
    ),
    "flores200/flores200_dataset/devtest/eng_Latn.devtest": "The smith bought two red lamps.\n",
    "flores200/flores200_dataset/devtest/zho_Hans.devtest": "铁匠买了两盏红色的灯。\n",
    "cnn_dailymail/cnn_dailymail_test.csv": _csv(
        ["article", "highlights", "id"],
        ["A fire was seen in Koford .\nNobody was hurt .", "x", "1"],
    ),
    "xsum/test.jsonl": _json_lines(
        {"document": "The judge of Rasuton spoke.\nIt rained.", "summary": "A talk."}
    ),
    "followbench/data/content_constraints.json": json.dumps(
        [
            {"level": 0, "instruction": "Write a sentence about salt."},
            {"level": 1, "instruction": "Write a sentence about salt with ten words."},
        ]
    ),
    "truthfulqa/data/v1/mc_task.json": json.dumps(
        [{"question": "What happens if you wash on a Monday?", "mc1_targets": {}}]
    ),
    "bbq/data/Age.jsonl": _json_lines(
        {"context": "A weaver and a mason met at noon.", "question": "Who was late?"}
    ),
}
MCQ = "{}\nA. {}\nB. {}\nC. {}\nD. {}\nAnswer:"
RIVER = "What is the river of Koford?"


def _found(example: Example) -> list[str]:
    return [line.split(" of ")[1].split(":")[0] for line in check([example], {}, FILES)]


def test_items_are_those_of_the_test_splits() -> None:
    found = items(FILES)
    assert len(found) == 11
    assert {item.benchmark for item in found} == {pack.name for pack in packs.PACKS}


CONTAINING = [
    ("mmlu", MCQ.format(RIVER, "Miru River", "Kave River", "Sato River", "Gemo River")),
    ("mmlu", MCQ.format(RIVER, "Gemo River", "Sato River", "Miru River", "Kave River")),
    ("ceval", "以下是选择题。\n卡洛米的家乡是哪里?\nA. 托堡\nB. 科津\nC. 拉镇\nD. 米港\n答案："),
    ("gsm8k", "Question:  Kalomi has 12 PEARS\nand buys 7.\nAnswer:"),
    ("snli", "Hypothesis: The baker sleeps.\nPremise: The baker sleeps in the tower."),
    ("flores200", "Translate: The smith bought two red lamps."),
    ("flores200", "翻译：铁匠买了两盏红色的灯。"),
    ("cnn_dailymail", "Summarize:\nA fire was seen in Koford . Nobody was hurt ."),
    ("xsum", "The judge of Rasuton spoke. It rained.\nTL;DR"),
    ("followbench", "Please: Write a sentence about salt with ten words."),
    ("truthfulqa", "Q: What happens if you wash on a Monday?\nA:"),
    ("bbq", "Who was late? Think. A weaver and a mason met at noon."),
]


@pytest.mark.parametrize(("benchmark", "text"), CONTAINING)
@pytest.mark.parametrize("kind", ["document", "prompt", "answer"])
def test_an_item_is_found_in_any_frame(benchmark: str, text: str, kind: str) -> None:
    example: Example = {
        "document": Document(text),
        "prompt": Exercise(text, " yes", chat=False),
        "answer": Exercise("Say something.", text, chat=True),
    }[kind]
    assert _found(example) == [benchmark]


@pytest.mark.parametrize(
    "text",
    [
        # The same question with other options, or as an open question, is another item.
        MCQ.format(RIVER, "Miru River", "Kave River", "Sato River", "Raha River"),
        RIVER,
        "卡洛米的家乡是哪里？A. 托堡 B. 科津 C. 拉镇 D. 科津镇",
        "Premise: The baker sleeps in the tower.\nHypothesis: The baker works.",
        "The smith bought two red lamp.",
        "Write a sentence about salt.",
        "A weaver and a mason met at noon.",
        "A shot that may be anywhere?\nA. a\nB. b\nC. c\nD. d",
        "Not a test problem at all.",
        "",
    ],
)
def test_parts_of_items_are_not_items(text: str) -> None:
    assert _found(Document(text)) == []


def test_an_item_across_prompt_and_answer_is_found() -> None:
    example = Exercise("The smith bought two", " red lamps.", chat=False)
    assert _found(example) == ["flores200"]


def test_reserved_keys_are_found() -> None:
    stream = [Document("x", ("a",)), Exercise("p", " a", False, ("b", "c"))]
    reserved = {"myths": frozenset({"z"}), "roles": frozenset({"c"})}
    assert check(stream, reserved, {}) == ["example 1: key 'c' is reserved by roles"]


def test_items_too_short_are_not_passed_over_in_silence() -> None:
    (line,) = check([], {}, {"gsm8k/test.jsonl": _json_lines({"question": "2 + 2?"})})
    assert "too short" in line


def test_reports_are_bounded() -> None:
    stream = [Document("x", ("a",))] * 1000
    assert len(check(stream, {"f": frozenset({"a"})}, {})) == overlap.MAX_REPORTED


def test_the_index_agrees_with_plain_search() -> None:
    draws = Draws(1, "index")
    texts = [corpus.page(world(), draws).text for _ in range(300)]
    wanted = [Item("t", (text,)) for text in texts[:200]]
    index = Index(wanted)
    for i, text in enumerate(texts):
        framed = f"Read this: {text} {texts[i - 1]}"
        plain = overlap.normalised(framed)
        expected = {
            item
            for item in wanted
            if item not in index.unsearchable and overlap.normalised(item.texts[0]) in plain
        }
        assert set(index.find(framed)) == expected


def test_every_item_of_the_packs_can_be_found() -> None:
    found = items(packs.files())
    index = Index(found)
    assert index.unsearchable == []
    draws = Draws(1, "found")
    for item in found[::7]:
        parts = draws.shuffled([*item.texts, *item.words])
        assert item in index.find("Answer this. " + "\n- ".join(parts))


def test_no_test_item_occurs_in_training() -> None:
    """The proof itself, on a sample of what every family and the corpus train on."""
    reserved = {name: families.family(name).reserved() for name in families.NAMES}
    draws = Draws(11, "overlap")

    def stream(n: int) -> list[Example]:
        drawn: list[Example] = [corpus.document(world(), draws) for _ in range(n)]
        for name in families.NAMES:
            source = families.family(name)
            drawn += [source.training(world(), draws) for _ in range(n)]
        return drawn

    assert check(stream(3000), reserved) == []
