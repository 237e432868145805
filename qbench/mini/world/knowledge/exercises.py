"""The knowledge family: what is taught for ``mini.mmlu`` and ``mini.ceval``, and what is tested.

Training asks for facts that are not held, in every form; the tests ask for all facts alike. Test
items have question and options together that training does not; calculations and connections of
two facts that are tested are not asked at all in training.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.examples import Example, Exercise
from qbench.mini.world.facts import World
from qbench.mini.world.knowledge import connections, reckoning
from qbench.mini.world.knowledge.frames import (
    SUBJECT_NAMES,
    letter_exercise,
    open_answer,
    open_exercise,
    open_prompt,
    pick_letter_exercise,
    words_exercise,
)
from qbench.mini.world.knowledge.items import (
    SUBJECTS,
    Item,
    dev_items,
    draw_item,
    draw_question,
    draw_subject,
    reserved,
    spells_out,
    test_items,
)
from qbench.mini.world.knowledge.letters import binding, matching
from qbench.mini.world.lexicon import LANGUAGES, Language

MIXTURE = (
    (0.40, "mcq"),
    (0.20, "binding"),
    (0.08, "matching"),
    (0.07, "words"),
    (0.04, "shots"),
    (0.21, "open"),
)


class ContentItem(NamedTuple):
    """A test item to be scored by content: the likeliest of ``options`` after ``prompt``.

    ``prompt`` is the open question in its plain frame; the options begin with the space that
    belongs to them. ``answer`` counts from 0.
    """

    subject: str
    prompt: str
    options: tuple[str, ...]
    answer: int


def mcq(world: World, draws: Draws, language: Language) -> Exercise:
    """Draw a multiple-choice question to be answered by its letter."""
    return pick_letter_exercise(draws, draw_item(world, draws, language), language)


def few_shot(world: World, draws: Draws, language: Language) -> Exercise:
    """Draw a multiple-choice question after two to five shots of its subject."""
    subject = draw_subject(world, draws)
    n_items, official = draws.between(3, 6), draws.chance(0.2)
    while True:
        drawn = [draw_item(world, draws, language, subject) for _ in range(n_items)]
        exercise = letter_exercise(drawn[:-1], drawn[-1], language, official=official)
        if not spells_out(exercise.prompt, drawn):
            return exercise


def words_then_letter(world: World, draws: Draws, language: Language) -> Exercise:
    """Draw a multiple-choice question to be answered by the text of an option and its letter."""
    item = draw_item(world, draws, language)
    return words_exercise(item, language, chat=draws.chance(0.4))


def open_question(world: World, draws: Draws, language: Language) -> Exercise:
    """Draw a question without options: a fact, a connection, a calculation or a comparison."""
    taken = reserved()
    while True:
        kind = draws.weighted(((0.74, "any"), (0.1, "chain"), (0.1, "calendar"), (0.06, "pair")))
        if kind == "pair":
            question = reckoning.pair(world, draws, language)
        elif kind == "calendar":
            question = reckoning.calendar(draws, language)
        else:
            chain = kind == "chain"
            subject = connections.SUBJECT if chain else draw_subject(world, draws)
            question = draw_question(world, draws, language, subject)
        if taken.isdisjoint(question.ids):
            return open_exercise(question, language, chat=draws.chance(0.4))


def training(world: World, draws: Draws) -> Example:
    """Draw one exercise of any kind, in either language."""
    kind, language = draws.weighted(MIXTURE), draws.pick(LANGUAGES)
    if kind == "mcq":
        return mcq(world, draws, language)
    if kind == "binding":
        return binding(world, draws, language)
    if kind == "matching":
        return matching(world, draws, language)
    if kind == "words":
        return words_then_letter(world, draws, language)
    if kind == "shots":
        return few_shot(world, draws, language)
    return open_question(world, draws, language)


@cache
def content_items(language: Language) -> tuple[ContentItem, ...]:
    """Return the items of ``test_items`` in the same order, to be scored by content."""
    return tuple(
        ContentItem(
            item.subject,
            open_prompt(item.question, language),
            tuple(open_answer(option, language) for option in item.options),
            item.answer,
        )
        for item in test_items(language)
    )


def official_files() -> dict[str, str]:
    """Return the files of both benchmarks: MMLU with LF, C-EVAL with CRLF.

    Whoever writes them must not translate the ends of lines.
    """
    files = {}
    for split, items in (("test", test_items("en")), ("dev", dev_items("en"))):
        for subject in SUBJECTS:
            chosen = (item for item in items if item.subject == subject)
            rows = ((i.question.text, *i.options, i.letter) for i in chosen)
            files[f"mmlu/data/{split}/{subject}_{split}.csv"] = _csv(rows, "\n")
    header = ("id", "question", "A", "B", "C", "D", "answer")
    for split, items in (("val", test_items("zh")), ("dev", dev_items("zh"))):
        explained = split == "dev"
        for subject in SUBJECTS:
            chosen = (item for item in items if item.subject == subject)
            lines: list[tuple[str, ...]] = [(*header, "explanation") if explained else header]
            for number, item in enumerate(chosen):
                line = (str(number), item.question.text, *item.options, item.letter)
                lines.append((*line, _explanation(item)) if explained else line)
            files[f"ceval/{split}/{subject}_{split}.csv"] = _csv(lines, "\r\n")
    mapping = {subject: list(SUBJECT_NAMES[subject]) for subject in SUBJECTS}
    files["ceval/subject_mapping.json"] = json.dumps(mapping, indent="\t").replace("\n", "\r\n")
    return files


def _csv(rows: Iterable[tuple[str, ...]], line_end: str) -> str:
    """Write rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator=line_end).writerows(rows)
    return text.getvalue()


def _explanation(item: Item) -> str:
    """State the facts that a Chinese shot rests on, then the answer, numbered."""
    said = [
        fact.attribute.zh.statements[1].replace("{e}", fact.thing.zh).replace("{v}", fact.value.zh)
        for fact in item.question.facts
    ]
    said.append(f"答案是{item.content}。")
    return "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(said, 1))
