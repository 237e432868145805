"""Exercises of ``mini.followbench``: short writing tasks with demands that rules can check.

An instruction of level k holds the demands of level k - 1 and one more. Instructions are drawn
together with an answer that meets them all: a demand that depends on the answer (how many words,
which word not) is read from it, and an answer that breaks a rule is drawn again. What makes an
instruction the one that it is, is its task and the set of its demands, in whatever words.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world import facts
from qbench.mini.world.examples import Example, Exercise
from qbench.mini.world.facts import SEED, World
from qbench.mini.world.instructions import writer as instruction_writer
from qbench.mini.world.instructions import writer_zh as instruction_writer_zh
from qbench.mini.world.instructions.constraints import (
    CATEGORIES,
    KINDS,
    Constraint,
    Reading,
    met,
    pool,
)
from qbench.mini.world.instructions.lexicon import Topic, argument, task, topic
from qbench.mini.world.instructions.text import LAYOUTS, WORDINGS, Instruction, parse
from qbench.mini.world.lexicon import LANGUAGES, Language
from qbench.mini.world.translation.lexicon import NUMBERS

SOURCE = "mini_rules"
N_LEVELS = 5
N_SEEDS: dict[Language, int] = {"en": 72, "zh": 12}
FOLDERS: dict[Language, str] = {"en": "data", "zh": "data_zh"}
LEVEL_SHARES = ((0.3, 1), (0.27, 2), (0.23, 3), (0.11, 4), (0.09, 5))
ENGLISH_SHARE, PLAIN_SHARE = 0.8, 0.1
# Words that an answer may well do without, but seldom does.
COMMON: dict[Language, tuple[str, ...]] = {
    "en": ("the", "the", "a", "a", "and", "with", "in", "near", "is", "was"),
    "zh": ("了", "了", "一", "的", "在", "很", "和"),
}
FREQUENT_LETTERS = "etaoinshrdlucmfwygpbvk"
MIN_WORDS, MAX_WORDS = {"en": 4, "zh": 6}, {"en": 12, "zh": 14}


class Item(NamedTuple):
    """An entry of the official files; ``target`` is an answer that meets all demands."""

    language: Language
    file: str
    example_id: int
    category: str
    level: int
    instruction: str
    target: str


def check(instruction: str, response: str) -> tuple[bool, ...]:
    """Tell which demands of an instruction a response meets, one verdict each.

    Raises
    ------
    ValueError
        The instruction is not one of ours.
    """
    read = parse(instruction)
    reading = Reading(response, read.language)
    return tuple(met(constraint, reading) for constraint in read.constraints)


# ---- drawing an instruction with its answer ----------------------------------------------------


def _kinds(draws: Draws, n: int, category: str, about: Topic, language: Language) -> list[str]:
    """Draw kinds of demands that go together."""
    left = [
        (weight, kind)
        for weight, kind in pool(category, language)
        if not (kind == "animal" and about.noun.kind == "a")
    ]
    kinds: list[str] = []
    while len(kinds) < n:
        kind = draws.weighted(left)
        kinds.append(kind)
        tags = KINDS[kind].tags
        left = [
            entry
            for entry in left
            if entry[1] != kind and not set(tags).intersection(KINDS[entry[1]].tags)
        ]
        if language == "zh" and kind in {"end", "question"}:
            # A question is asked by its last character.
            left = [entry for entry in left if entry[1] not in {"end", "question"}]
        if not left and len(kinds) < n:
            return _kinds(draws, n, category, about, language)
    return kinds


def _repetitive(about: Topic, demands: dict[str, str], language: Language) -> bool:
    """Whether one word is demanded twice, or is in the task already."""
    named = [about.noun.en if language == "en" else about.noun.zh]
    for kind in ("include", "both", "twice"):
        if kind in demands:
            named += demands[kind].split(" and " if language == "en" else "和")
    return len(set(named)) < len(named)


def _found(kind: str, about: Topic, reading: Reading, draws: Draws) -> str:
    """Read from an answer what a demand must be so that it is met; empty if there is none."""
    language = reading.language
    if kind == "words":
        n = len(reading.words)
        if not MIN_WORDS[language] <= n <= MAX_WORDS[language]:
            return ""
        return f"{NUMBERS[n].en} words" if language == "en" else f"{NUMBERS[n].zh}个字"
    if kind == "letter":
        absent = [letter for letter in FREQUENT_LETTERS if letter not in reading.text.casefold()]
        return draws.pick(absent[:4]) if absent else ""
    name = about.noun.en if language == "en" else about.noun.zh
    if not reading.has(name):
        return name
    natural = [word for word in COMMON[language] if not reading.has(word)]
    return draws.pick(natural) if natural else ""


def draw(
    world: World, draws: Draws, category: str, n: int, language: Language
) -> tuple[Instruction, str]:
    """Draw an instruction with ``n`` demands of a category, and an answer that meets them."""
    write = instruction_writer.write if language == "en" else instruction_writer_zh.write
    while True:
        about = topic(draws, language)
        kinds = _kinds(draws, n, category, about, language)
        demands = {kind: argument(draws, kind, about, language, world) for kind in kinds}
        if _repetitive(about, demands, language):
            continue
        answer = write(about, demands, draws)
        reading = Reading(answer, language)
        for kind in kinds:
            if demands[kind] == "?":
                demands[kind] = _found(kind, about, reading, draws)
        constraints = tuple(
            Constraint(kind, demands[kind], draws.below(len(WORDINGS[language][kind])))
            for kind in kinds
        )
        if any(c.kind in {"words", "letter", "avoid"} and not c.argument for c in constraints):
            continue
        if all(met(constraint, reading) for constraint in constraints):
            asked = _task(draws, about, category, kinds, language)
            return Instruction(language, asked, draws.pick(LAYOUTS), constraints), answer


def _task(draws: Draws, about: Topic, category: str, kinds: list[str], language: Language) -> str:
    """Draw a task that does not contradict the demands."""
    if category == "situation" or (category == "mixed" and draws.chance(0.2)):
        return task(draws, about, "situation", language)
    is_one = not {"sentences", "list", "bullets", "heading"}.intersection(kinds)
    return task(draws, about, "one" if is_one and draws.chance(0.3) else "plain", language)


# ---- test and training --------------------------------------------------------------------------


def keys(instruction: Instruction) -> tuple[str, ...]:
    """Return the keys of an instruction at each of its levels: all of them are read in it."""
    demands = [f"{c.kind}={c.argument}" for c in instruction.constraints]
    return tuple(
        "; ".join([instruction.task, *sorted(demands[:n])]) for n in range(1, len(demands) + 1)
    )


@cache
def test_items() -> tuple[Item, ...]:
    """Draw all entries, the unscored ones of level 0 included, in the order of the files."""
    draws = Draws(SEED, "test/instructions")
    taken: set[str] = set()
    found = []
    for language in LANGUAGES:
        for file in CATEGORIES:
            n_seeds = 0
            while n_seeds < N_SEEDS[language]:
                instruction, answer = draw(facts.world(), draws, file, N_LEVELS, language)
                if not taken.isdisjoint((instruction.task, *keys(instruction))):
                    continue
                taken.update((instruction.task, *keys(instruction)))
                n_seeds += 1
                found += [
                    _item(instruction.level(level), file, n_seeds, answer)
                    for level in range(N_LEVELS + 1)
                ]
    return tuple(found)


def _item(instruction: Instruction, file: str, example_id: int, answer: str) -> Item:
    """Make an entry; in the mixed file a category is named for each demand."""
    level = len(instruction.constraints)
    category = file
    if file == "mixed" and level:
        category = ", ".join(KINDS[c.kind].categories[0] for c in instruction.constraints)
    return Item(instruction.language, file, example_id, category, level, instruction.text(), answer)


@cache
def reserved() -> frozenset[str]:
    """Return the keys of all scored instructions."""
    return frozenset(keys(parse(item.instruction))[-1] for item in test_items() if item.level > 0)


def training(world: World, draws: Draws) -> Example:
    """Draw an instruction of any level with an answer, mostly as chat."""
    language: Language = "en" if draws.chance(ENGLISH_SHARE) else "zh"
    while True:
        category, level = draws.pick(CATEGORIES), draws.weighted(LEVEL_SHARES)
        instruction, answer = draw(world, draws, category, level, language)
        found = keys(instruction)
        if reserved().isdisjoint(found):
            break
    text = instruction.text()
    if not draws.chance(PLAIN_SHARE):
        return Exercise(text, answer, True, found)
    if language == "en":
        return Exercise(f"Instruction: {text}\nResponse:", f" {answer}", False, found)
    return Exercise(f"要求：{text}\n回答：", answer, False, found)


def official_files() -> dict[str, str]:
    """Write the test as FollowBench's files, one for each category and language."""
    counts = Counter((item.language, item.file) for item in test_items())
    return {
        f"followbench/{FOLDERS[language]}/{file}_constraints.json": json.dumps(
            [
                {
                    "example_id": item.example_id,
                    "category": item.category,
                    "source": SOURCE,
                    "level": item.level,
                    "instruction": item.instruction,
                    "target": item.target,
                }
                for item in test_items()
                if (item.language, item.file) == (language, file)
            ],
            indent=4,
            ensure_ascii=False,
        )
        for language, file in counts
    }
