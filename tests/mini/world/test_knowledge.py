from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from mini.world.knowledge_oracle import OPTIONS, Found, blocks, oracle

from qbench.data import DataFolder, read_mmlu
from qbench.metrics.extraction import mmlu_choice
from qbench.mini.draws import Draws
from qbench.mini.world import knowledge, overlap
from qbench.mini.world.examples import SYSTEM, Exercise
from qbench.mini.world.facts import World, world
from qbench.mini.world.lexicon import LANGUAGES, WEEKDAYS, Language
from qbench.mini.world.names import CODAS, ONSETS
from qbench.tasks.chat import SYSTEM as PAPER_SYSTEM
from qbench.tasks.mmlu import PAPER_PROMPT

FILES_SHA256 = "f16416d01f74ea775c1b7bafbd40c80c0b82e03ce9b014b1cb5ca46bd8173e4f"
BY_LETTER = (knowledge.mcq, knowledge.few_shot, knowledge.binding)


def said_letter(answer: str) -> str:
    match = re.search(r"(?:^|[^A-Za-z])([ABCD])[.。]?$", answer)
    assert match, answer
    return match[1]


def _draw(source: object, language: Language, n: int) -> list[Exercise]:
    assert callable(source)
    draws = Draws(5, f"{source.__name__}/{language}")
    return [source(world(), draws, language) for _ in range(n)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_test_item_has_one_right_option(language: Language) -> None:
    items = knowledge.test_items(language)
    assert len(items) == 1800
    for item in items:
        found = oracle(item.question.text, list(item.options), language)
        assert len(set(item.options)) == 4
        assert item.options[item.answer] == found.answer, item
        assert oracle(item.question.bare, [], language).answer == found.answer


@pytest.mark.parametrize("language", LANGUAGES)
def test_held_facts_are_tested_in_proportion(language: Language) -> None:
    items = knowledge.test_items(language)
    facts = [
        found.facts[0]
        for item in items
        if len((found := oracle(item.question.text, list(item.options), language)).facts) == 1
    ]
    assert len(set(facts)) == len(facts) > 1500
    share = sum(fact.held for fact in world().facts) / len(world().facts)
    assert abs(sum(fact.held for fact in facts) / len(facts) - share) < 0.025


@pytest.mark.parametrize("language", LANGUAGES)
def test_composition_and_letters(language: Language) -> None:
    items = knowledge.test_items(language)
    subjects = Counter(item.subject for item in items)
    assert set(subjects) == {s for area in knowledge.AREAS.values() for s in area}
    assert len(knowledge.AREAS) >= 4
    assert subjects["connections"] <= 180
    of_facts = Counter(item.subject for item in items if len(item.question.facts) == 1)
    assert of_facts["events_and_calendar"] * 3 == subjects["events_and_calendar"] * 2
    assert 0.18 < 1 - of_facts["goods_and_prices"] / subjects["goods_and_prices"] < 0.22
    letters = Counter((item.subject, item.letter) for item in items)
    for subject, n in subjects.items():
        assert {letters[subject, letter] for letter in "ABCD"} <= {n // 4, n // 4 + 1}


@pytest.mark.parametrize("language", LANGUAGES)
def test_numbers_do_not_give_the_answer_away_by_their_order(language: Language) -> None:
    ranks: Counter[int] = Counter()
    for exercise in _draw(knowledge.mcq, language, 20_000):
        ((_, options),) = blocks(exercise.prompt)
        if options[0].isdigit():
            right = options["ABCD".index(said_letter(exercise.answer))]
            ranks[sorted(options, key=int).index(right)] += 1
    assert sum(ranks.values()) > 400
    # Prices and months are cut off at both ends of their ranges, which leaves a little.
    assert all(0.19 < ranks[rank] / sum(ranks.values()) < 0.31 for rank in range(4)), ranks


def question_first(prompt: str, language: Language) -> str:
    """Rewrite a prompt that ends in its question as those that begin with it."""
    if not prompt.startswith("A. "):
        return prompt
    *options, question = prompt.split("\n")
    return "\n".join([question, *options, {"en": "Answer:", "zh": "答案："}[language]])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("source", [knowledge.mcq, knowledge.few_shot])
def test_letters_are_right_and_nothing_held_is_asked(source: object, language: Language) -> None:
    for exercise in _draw(source, language, 2500):
        assert exercise.letter
        prompt = question_first(exercise.prompt, language)
        text = prompt + ("\n" if exercise.chat else "") + exercise.answer
        shown = blocks(prompt)
        cue = r"\n(?:Answer: |答案： ?|The answer is |答案是)([ABCD])"
        letters = re.findall(cue, text) if not exercise.chat else [said_letter(exercise.answer)]
        assert len(letters) == len(shown)
        for (question, options), letter in zip(shown, letters, strict=True):
            found = oracle(question, options, language)
            assert options["ABCD".index(letter)] == found.answer, text
            assert not any(fact.held for fact in found.facts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_come_before_their_letter(language: Language) -> None:
    for exercise in _draw(knowledge.words_then_letter, language, 2000):
        ((question, options),) = blocks(exercise.prompt)
        found = oracle(question, options, language)
        assert found.answer in exercise.answer
        assert options["ABCD".index(said_letter(exercise.answer))] == found.answer
        assert not any(fact.held for fact in found.facts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_open_questions(language: Language) -> None:
    hops: Counter[int] = Counter()
    for exercise in _draw(knowledge.open_question, language, 5000):
        if exercise.chat:
            question, answer = exercise.prompt, exercise.answer
            pattern = (
                r"It is (?:the year |the |an? )?(.*?)(?: coins| months?)?\."
                if language == "en"
                else r"是(.*?)(?:个铜币|年|个月)?。"
            )
            match = re.fullmatch(pattern, answer)
            assert match, answer
            answer = match[1]
        else:
            match = re.fullmatch(r"(?:Question: |问题：)(.*)\n(?:Answer:|答案：)", exercise.prompt)
            assert match
            question = match[1]
            assert exercise.answer.startswith(" ") == (language == "en")
            answer = exercise.answer.strip()
        found = oracle(question, [], language)
        assert answer == found.answer, exercise
        assert not any(fact.held for fact in found.facts)
        hops[len(found.facts)] += 1
    assert set(hops) == {0, 1, 2, 4}
    assert min(hops[0], hops[2]) > 400


def _same_thing(english: str, chinese: str) -> bool:
    """Whether two texts name one thing of the world, or are the same name spelled out."""
    terms = {(t.en, t.zh) for terms in (*world().things.values(), WEEKDAYS) for t in terms}
    spelled = {(a + b).capitalize(): ONSETS[a] + CODAS[b] for a in ONSETS for b in CODAS}
    return (english, chinese) in terms or spelled.get(english) == chinese


@pytest.mark.parametrize("language", LANGUAGES)
def test_binding_and_matching(language: Language) -> None:
    forms, translated = Counter(), 0
    for exercise in _draw(knowledge.binding, language, 3000):
        match = OPTIONS.search(exercise.prompt)
        assert match
        wanted = re.search(r"(?:Which is (.*)\?|哪个是(.*)？)", exercise.prompt)
        assert wanted
        right = "ABCD".index(exercise.answer.removeprefix(" "))
        asked = wanted[1] or wanted[2]
        if match.groups()[right] != asked:
            pair = match.groups()[right], asked
            assert _same_thing(*(pair if language == "en" else pair[::-1]))
            assert asked not in match.groups()
            translated += 1
        assert len(set(match.groups())) == 4
        assert exercise.letter and not exercise.chat
        forms[match.start() == 0] += 1
    assert min(forms.values()) > 1200 and 1000 < translated < 1700
    for exercise in _draw(knowledge.matching, language, 1000):
        match = OPTIONS.search(exercise.prompt)
        assert match
        pairs = re.findall(r" (.+?) ([ABCD])\.", exercise.answer)
        assert sorted(pairs) == sorted(zip(match.groups(), "ABCD", strict=True))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("source", BY_LETTER)
def test_letters_of_training_are_balanced(source: object, language: Language) -> None:
    letters = Counter(said_letter(e.answer) for e in _draw(source, language, 3000))
    assert all(0.21 < letters[letter] / 3000 < 0.29 for letter in "ABCD"), letters


def test_training_meets_no_test_item() -> None:
    reserved, draws = knowledge.reserved(), Draws(7, "test")
    examples = [knowledge.training(world(), draws) for _ in range(20_000)]
    assert all(reserved.isdisjoint(example.keys) for example in examples)
    assert overlap.check(examples, {"knowledge": reserved}, knowledge.official_files()) == []
    lengths = [len(example.prompt) + len(example.answer) for example in examples]
    assert max(lengths) < 1200
    assert sum(lengths) / len(lengths) < 110


def test_tested_connections_and_sums_are_not_asked_in_any_form() -> None:
    def key(found: Found, text: str, language: Language) -> object:
        if len(found.facts) == 2:
            return found.facts
        month = re.search(r"\d|从", text)
        return (language, text) if not found.facts and month else None

    tested = {
        key(oracle(i.question.text, list(i.options), language), i.question.text, language)
        for language in LANGUAGES
        for i in knowledge.test_items(language)
    } - {None}
    assert len(tested) > 350
    for language in LANGUAGES:
        for exercise in _draw(knowledge.open_question, language, 5000):
            text = re.sub(r"^(Question: |问题：)|\n.*$", "", exercise.prompt)
            assert key(oracle(text, [], language), text, language) not in tested


@pytest.mark.parametrize("language", LANGUAGES)
def test_shots_are_five_a_subject_and_not_tested(language: Language) -> None:
    shots = knowledge.dev_items(language)
    assert Counter(s.subject for s in shots) == dict.fromkeys(knowledge.SUBJECTS, 5)
    for shot in shots:
        assert knowledge.reserved().isdisjoint(shot.keys)
        found = oracle(shot.question.text, list(shot.options), language)
        assert shot.content == found.answer


def test_mmlu_files_are_what_the_reader_reads(tmp_path: Path) -> None:
    for name, text in knowledge.official_files().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    data = read_mmlu(DataFolder.open(tmp_path))
    assert set(data.test) == set(data.dev) == set(knowledge.SUBJECTS)
    assert {len(shots) for shots in data.dev.values()} == {5}
    read = [q for subject in sorted(data.test) for q in data.test[subject]]
    assert [(q.question, q.choices, q.answer) for q in read] == [
        (i.question.text, i.options, i.answer) for i in knowledge.test_items("en")
    ]


def test_ceval_files_are_what_the_real_ones_are(shared: Path) -> None:
    files, real = knowledge.official_files(), shared / "data" / "ceval"
    for split in ("val", "dev"):
        example = (real / split / f"law_{split}.csv").read_bytes().decode()
        total = 0
        for subject in knowledge.SUBJECTS:
            text = files[f"ceval/{split}/{subject}_{split}.csv"]
            assert text.split("\r\n")[0] == example.split("\r\n")[0]
            rows = list(csv.DictReader(io.StringIO(text, newline="")))
            assert [row["id"] for row in rows] == [str(n) for n in range(len(rows))]
            assert {row["answer"] for row in rows} <= set("ABCD")
            total += len(rows)
        assert total == (1800 if split == "val" else 35)
    mapping = json.loads(files["ceval/subject_mapping.json"])
    official = json.loads((real / "subject_mapping.json").read_text())
    assert set(mapping) == set(knowledge.SUBJECTS)
    assert all(len(names) == 3 for names in mapping.values())
    assert {names[2] for names in mapping.values()} <= {names[2] for names in official.values()}


def test_content_items_hold_the_same_answers() -> None:
    for language in LANGUAGES:
        contents = knowledge.content_items(language)
        for item, content in zip(knowledge.test_items(language), contents, strict=True):
            question = content.prompt.split("\n")[0]
            question = question.removeprefix("Question: ").removeprefix("问题：")
            options = [option.strip() for option in content.options]
            assert options == list(item.options)
            assert oracle(question, options, language).answer == options[content.answer]


def test_frames_are_those_of_the_presets() -> None:
    frames = Counter(
        re.sub(r"about  ?.*?\.\n", "about .\n", e.prompt)[:40]
        if e.prompt.startswith("The ")
        else ""
        for e in _draw(knowledge.mcq, "en", 2000)
    )
    assert len(frames) == 3
    for exercise in _draw(knowledge.mcq, "en", 500):
        prompt = question_first(exercise.prompt, "en")
        ((_, options),) = blocks(prompt)
        if exercise.chat:
            assert exercise.prompt.startswith(PAPER_PROMPT)
            found = mmlu_choice(exercise.answer, options)
            assert (found.choice, found.rule) == (
                "ABCD".index(said_letter(exercise.answer)),
                "answer-is",
            )
        else:
            assert prompt.endswith("\nAnswer:")
            assert re.fullmatch(" [ABCD]", exercise.answer)
    for exercise in _draw(knowledge.mcq, "zh", 500):
        if exercise.chat:
            assert re.fullmatch(r"答案是[ABCD]。", exercise.answer)
        else:
            exam = exercise.prompt.startswith("以下是中国关于") and "考试的单项" in exercise.prompt
            assert re.fullmatch("[ABCD]" if exam else " [ABCD]", exercise.answer)
            assert question_first(exercise.prompt, "zh").endswith("\n答案：")


def test_the_files_are_always_the_same() -> None:
    files = knowledge.official_files()
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    assert digest == FILES_SHA256
    first, second = (Draws(3, "same") for _ in range(2))
    of: World = world()
    assert [knowledge.training(of, first) for _ in range(300)] == [
        knowledge.training(of, second) for _ in range(300)
    ]


def test_conversations_begin_with_the_system_prompt_of_the_paper() -> None:
    assert SYSTEM == PAPER_SYSTEM
