"""mini.followbench: its rules against other rules, its items, its files and its training stream."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from qbench.mini.draws import Draws
from qbench.mini.world import instructions
from qbench.mini.world.examples import Exercise
from qbench.mini.world.facts import world
from qbench.mini.world.instructions.constraints import CATEGORIES, KINDS, Reading
from qbench.mini.world.instructions.exercises import Item, check
from qbench.mini.world.instructions.text import WORDINGS, parse
from qbench.mini.world.lexicon import COLORS, FOODS, LANGUAGES, PETS
from qbench.mini.world.overlap import Index, full_text, items

HAN = re.compile(r"[\u4e00-\u9fff]")
N_TRAINING = 20_000


@pytest.fixture(scope="module")
def training() -> list[Exercise]:
    draws = Draws(11, "stream")
    examples = [instructions.training(world(), draws) for _ in range(N_TRAINING)]
    assert all(isinstance(example, Exercise) for example in examples)
    return [example for example in examples if isinstance(example, Exercise)]


@pytest.fixture(scope="module")
def scored() -> list[Item]:
    return [item for item in instructions.test_items() if item.level > 0]


def _asked(example: Exercise) -> str:
    """Take the instruction out of its frame."""
    return (
        re.sub(r"^(Instruction: |要求：)|\n(Response:|回答：)$", "", example.prompt)
        if (not example.chat)
        else example.prompt
    )


# ---- the oracle: one pattern of an instruction and one of its answers for each demand ------------

NUMBER = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
NUMBER |= {"nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "两": 2, "一": 1, "三": 3}
NUMBER |= {"六": 6, "七": 7, "八": 8, "九": 9, "十": 10, "十一": 11, "十二": 12, "十三": 13}
NUMBER |= {"十四": 14}
SOME_NUMBER = "two three four five six seven eight nine ten eleven twelve"
WEATHER = "rain snow fog wind sun"
# Edges of an answer: marks, brackets and list markers that are no words.
EDGE = r"[\s\"“”()（）\[\]【】.!?,。！？，-]*"


def _any_of(words: str) -> str:
    return rf"(?<![a-z])({'|'.join(words.split())})(?![a-z])"


def _pets() -> str:
    singular = [pet.en for pet in PETS]
    return _any_of(" ".join([*singular, *(f"{p}s" for p in singular), "mice", "foxes"]))


def _words(text: str) -> int:
    return len(re.sub(r"[^\w\s]", " ", text).split())


def _listed(text: str, n: str, marker: Callable[[int], str]) -> bool:
    pattern = "\n".join(re.escape(marker(i)) + r"[^\n]+" for i in range(1, NUMBER[n] + 1))
    return re.fullmatch(pattern, text) is not None


def _framed(text: str, pair: str) -> bool:
    left, right = map(re.escape, pair)
    return re.fullmatch(rf"{left}[^{left}{right}]+{right}", text) is not None


def _search(pattern: str) -> Callable[[str, str], bool]:
    return lambda text, a: (
        re.search(pattern.replace("ARG", re.escape(a)), text, re.IGNORECASE) is not None
    )


WHOLE = r"(?<![a-z])ARG(?![a-z])"
STOP = r"(?=[.;,]| and )"
ENGLISH: dict[str, tuple[str, Callable[[str, str], bool]]] = {
    "include": (
        rf"(?<!not )(?:[iI]nclude the word|[uU]se the word) ([a-z]+){STOP}"
        r"|sure that the word ([a-z]+) occurs",
        _search(WHOLE),
    ),
    "both": (
        r"(?:[uU]se the words|both of the words) ([a-z]+ and [a-z]+)",
        lambda t, a: all(_search(WHOLE)(t, word) for word in a.split(" and ")),
    ),
    "avoid": (
        rf"(?:not use the word|void the word|ithout the word) ([a-z]+){STOP}",
        lambda t, a: not _search(WHOLE)(t, a),
    ),
    "letter": (r"the letter ([a-z])", lambda t, a: a not in t.lower()),
    "twice": (
        r"the word ([a-z]+) (?:occur )?exactly twice",
        lambda t, a: len(re.findall(rf"\b{a}\b", t.lower())) == 2,
    ),
    "color": (r"the color ([a-z]+)", _search(WHOLE)),
    "shade": (r"ention a (color)|some (color)", _search(_any_of(" ".join(c.en for c in COLORS)))),
    "number": (r"ention a (number)|some (number)", _search(_any_of(SOME_NUMBER))),
    "animal": (r"an (animal)|some (animal)", _search(_pets())),
    "food": (r"(something to eat)|some (food)", _search(_any_of(" ".join(f.en for f in FOODS)))),
    "link": (r"clauses with ([a-z]+)|se ([a-z]+) between two", _search(WHOLE)),
    "name": (
        rf"ention ([A-Z][a-z]+){STOP}|et ([A-Z][a-z]+) be in it|of ([A-Z][a-z]+) as well",
        _search(WHOLE),
    ),
    "yesterday": (r"(yesterday)", _search(WHOLE)),
    "weekday": (
        rf"(?:happen|et it) (on [A-Z][a-z]+day){STOP}",
        _search(WHOLE),
    ),
    "season": (r"(?:happen|et it) (in (?:spring|summer|autumn|winter))", _search(WHOLE)),
    "place": (r"(?:happen|et it) (in the [a-z]+)", _search(WHOLE)),
    "weather": (r"the (weather)", _search(_any_of(WEATHER))),
    "me": (r"(first person)|of (yourself) as I", _search(r"\bI\b")),
    "you": (r"reader as (you)", _search(WHOLE)),
    "begin": (
        rf"(?:egin with|tart with) the words ([A-Z][A-Za-z ]+?){STOP}"
        rf"|first words be ([A-Z][A-Za-z ]+?){STOP}",
        _search(rf"^{EDGE}ARG(?![a-z])"),
    ),
    "end": (
        rf"(?:nd with|inish with) the words ([a-z][A-Za-z ]+?){STOP}"
        rf"|last words be ([A-Za-z ]+?){STOP}",
        _search(rf"(?<![a-z])ARG{EDGE}$"),
    ),
    "lower": (r"only (small) letters|in (lower) case", lambda t, a: not re.search("[A-Z]", t)),
    "upper": (r"only (capital) letters|in (upper) case", lambda t, a: not re.search("[a-z]", t)),
    "title": (
        r"(every word with) a capital|(apitalize every)",
        lambda t, a: not re.search(r"(?<![A-Za-z])[a-z]", t),
    ),
    "words": (r"exactly ([a-z]+) words", lambda t, a: _words(t) == NUMBER[a]),
    "sentences": (
        r"(?:exactly|se) ([a-z]+) sentences?",
        lambda t, a: re.fullmatch(rf"(?:[^.!?]+[.!?]){{{NUMBER[a]}}}[\")\]]?", t) is not None,
    ),
    "list": (
        r"(?:numbered list of|nswer in) ([a-z]+) lines",
        lambda t, a: _listed(t, a, lambda i: f"{i}. "),
    ),
    "bullets": (
        r"(?:bullet list of|nswer with) ([a-z]+) items",
        lambda t, a: _listed(t, a, lambda i: "- "),
    ),
    "heading": (
        r"heading ([A-Z][a-z]+ (?:the|of the|on the) [a-z]+)|rite ([A-Z][A-Za-z ]+) as heading",
        _search(r"^ARG\n+\S"),
    ),
    "quotes": (r"(quotation marks)", lambda t, a: _framed(t, '""')),
    "brackets": (
        r"in (round|square) brackets",
        lambda t, a: _framed(t, "()" if a == "round" else "[]"),
    ),
    "comma": (r"(?:se|et) (a comma)", _search(",")),
    "repeat": (r"(last word)(?!s)", _search(rf"\b(\w+)\W+\1{EDGE}$")),
    "question": (r"(question)", _search(r"\?[\")\]]?$")),
    "exclaim": (r"(exclamation)", _search(r"![\")\]]?$")),
}


def _oracle(instruction: str, response: str) -> list[bool]:
    """Judge a response by the patterns, in the order in which they are found."""
    found = []
    for kind, (pattern, judge) in ENGLISH.items():
        for match in re.finditer(pattern, instruction):
            argument = next(group for group in match.groups() if group)
            found.append((match.start(), kind, judge(response, argument)))
    return [verdict for _, _, verdict in sorted(found)]


def _corruptions(answer: str, draws: Draws) -> list[str]:
    """Spoil an answer in many ways."""
    words = answer.split(" ")
    place = draws.below(len(words))
    inner = re.sub(r"^[\"(\[]|[\")\]]$", "", answer)
    return [
        " ".join(words[:place] + words[place + 1 :]) or "Nothing.",
        " ".join([*words[:place], "the", *words[place:]]),
        " ".join([*words[:place], "is a", *words[place:]]),
        " ".join(draws.shuffled(words)),
        answer.lower(),
        answer.upper(),
        inner,
        f'"{inner}"',
        f"({inner})",
        re.sub(r"[.!?](?=[\")\]]?$)", draws.pick((".", "!", "?", "")), answer),
        f"{answer} Everything is quiet.",
        answer.replace("\n", " "),
        re.sub(r"^(\d\.|-) ", "* ", answer, flags=re.MULTILINE),
        answer.replace(",", ""),
        "Nobody knows.",
        "The quick jeweler above by fact pumps wove a word of much, did he not?",
    ]


def test_another_set_of_rules_agrees_on_references_and_on_spoiled_answers(
    scored: list[Item],
) -> None:
    draws = Draws(1, "corruptions")
    violated: Counter[str] = Counter()
    n_compared = 0
    for item in scored:
        if item.language != "en":
            continue
        kinds = [c.kind for c in parse(item.instruction).constraints]
        for answer in (item.target, *draws.sample(_corruptions(item.target, draws), 5)):
            verdicts = check(item.instruction, answer)
            assert list(verdicts) == _oracle(item.instruction, answer), (item.instruction, answer)
            violated.update(kind for kind, met in zip(kinds, verdicts, strict=True) if not met)
            n_compared += 1
    assert n_compared > 10_000
    assert set(violated) == set(KINDS) == set(ENGLISH)


def test_references_and_training_answers_meet_every_demand(
    scored: list[Item], training: list[Exercise]
) -> None:
    pairs = [(item.instruction, item.target) for item in scored]
    pairs += [(_asked(example), example.answer) for example in training]
    for instruction, answer in pairs:
        verdicts = check(instruction, answer)
        assert verdicts and all(verdicts), (instruction, answer, verdicts)


def test_training_answers_agree_with_the_other_rules(training: list[Exercise]) -> None:
    for example in training[:4000]:
        if not HAN.search(example.prompt):
            verdicts = _oracle(_asked(example), example.answer.strip())
            assert len(verdicts) == len(example.keys), example
            assert all(verdicts), example


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_is_violated_by_answers_to_other_instructions(language: str) -> None:
    own = [i for i in instructions.test_items() if i.language == language and i.level == 5]
    met: dict[str, set[bool]] = {}
    for item in own:
        for other in own[:: len(own) // 60 or 1]:
            verdicts = check(item.instruction, other.target)
            for c, verdict in zip(parse(item.instruction).constraints, verdicts, strict=True):
                met.setdefault(c.kind, set()).add(verdict)
    assert {kind for kind, seen in met.items() if seen != {True, False}} == set()


# A Chinese answer that meets a demand, and one that does not.
CHINESE = (
    ("请使用灯塔这个词。", "他在灯塔里。", "他在高塔里。"),
    ("不能出现灯塔。", "他在高塔里。", "他在灯塔里。"),
    ("要同时用到画家和灯塔。", "画家画了灯塔。", "画家画了高塔。"),
    ("灯塔这个词要正好出现两次。", "灯塔和灯塔。", "灯塔。"),
    ("要提到红色。", "红色的灯。", "黑色的灯。"),
    ("要提到一种颜色。", "红色的灯。", "新的灯。"),
    ("要出现数字。", "三盏灯。", "一盏灯。"),
    ("事情发生在星期一。", "星期一他来了。", "星期二他来了。"),
    ("事情发生在春天。", "春天他来了。", "冬天他来了。"),
    ("地点在灯塔里。", "他在灯塔里。", "灯塔里有他。"),
    ("要用我来说。", "我来了。", "他来了。"),
    ("用一直到星期日结尾。", "他睡了，一直到星期日。", "一直到星期日他睡了。"),
    ("用每到七月开头。", "每到七月，他来。", "他每到七月来。"),
    ("正好写六个字。", "他来到灯塔里。", "他来到了灯塔里。"),
    ("只写两句话。", "他来了。他走了。", "他来了，他走了。"),
    ("写成有编号的两行。", "1. 他来了。\n2. 他走了。", "1. 他来了。\n- 他走了。"),
    ("用短横线列出两条。", "- 他来了。\n- 他走了。", "- 他来了。"),
    ("全部写在引号里。", "“他来了。”", "他说“来了”。"),
    ("把回答放在方括号里。", "【他来了。】", "（他来了。）"),
    ("要用逗号。", "他来了，走了。", "他来了。"),
    ("要问一个问题。", "“他来了吗？”", "他来了？好。"),
    ("用感叹号结尾。", "他来了！", "他！来了。"),
)


@pytest.mark.parametrize(("demand", "good", "bad"), CHINESE)
def test_chinese_rules(demand: str, good: str, bad: str) -> None:
    assert check(f"描写灯。{demand}", good) == (True,)
    assert check(f"描写灯。{demand}", bad) == (False,)


# ---- reading instructions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Describe the lamp",
        "Describe the lamp. Include the word.",
        "Describe the lamp. include the word baker.",
        "Describe the lamp. Include the word baker",
        "Describe the lamp. Include the word baker. ",
        "Describe the lamp. Include the word baker, use a comma.",
        "Describe the lamp. Be brief.",
        "Paint the lamp. Include the word baker.",
        "Describe the lamp.\n- Include the word baker.\nUse a comma.",
        "描写灯。要用逗号",
        "描写灯。请写好。",
    ],
)
def test_foreign_instructions_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an instruction|no demand"):
        check(text, "The lamp is old.")


def test_a_task_alone_demands_nothing_and_an_empty_answer_meets_nothing(
    scored: list[Item],
) -> None:
    assert check("Describe the lamp.", "") == ()
    for item in scored:
        assert check(item.instruction, " \n") == (False,) * item.level
        assert check(item.instruction, '""') == (False,) * item.level


def test_every_wording_occurs_and_is_read_back(training: list[Exercise]) -> None:
    seen: dict[str, set[tuple[str, int]]] = {"en": set(), "zh": set()}
    layouts: set[str] = set()
    for example in training:
        read = parse(_asked(example))
        assert read.text() == _asked(example)
        layouts.add(read.layout)
        seen[read.language].update((c.kind, c.wording) for c in read.constraints)
    for language in LANGUAGES:
        assert seen[language] == {
            (kind, n) for kind, texts in WORDINGS[language].items() for n in range(len(texts))
        }
        assert set(WORDINGS[language]) == {k for k, v in KINDS.items() if language in v.rules}
    assert layouts == {"sentences", "dashes", "series", "rules"}


# ---- items and files -----------------------------------------------------------------------------


def test_there_are_as_many_items_of_each_category_and_level(scored: list[Item]) -> None:
    counts = Counter((i.language, i.file, i.level) for i in scored)
    assert set(counts.values()) == {72, 12}
    assert sum(n for (language, _, _), n in counts.items() if language == "en") == 1800
    assert sum(n for (language, _, _), n in counts.items() if language == "zh") == 300
    assert {file for _, file, _ in counts} == set(CATEGORIES)
    assert len({i.instruction for i in instructions.test_items()}) == len(instructions.test_items())


def test_each_level_holds_the_one_before_and_one_demand_more(scored: list[Item]) -> None:
    series: dict[tuple[str, str, int], list[Item]] = {}
    for item in instructions.test_items():
        series.setdefault((item.language, item.file, item.example_id), []).append(item)
    for entries in series.values():
        assert [entry.level for entry in entries] == list(range(6))
        read = [parse(entry.instruction) for entry in entries]
        assert len({r.task for r in read}) == 1
        for entry, less, more in zip(entries[1:], read, read[1:], strict=False):
            assert more.constraints[:-1] == less.constraints
            assert len({c.kind for c in more.constraints}) == entry.level
            if entry.file == "mixed":
                assert len(entry.category.split(", ")) == entry.level
            else:
                assert entry.file in KINDS[more.constraints[-1].kind].categories


def test_no_kind_dominates_and_word_counts_are_few(scored: list[Item]) -> None:
    kinds = Counter(
        c.kind for i in scored if i.language == "en" for c in parse(i.instruction).constraints
    )
    total = sum(kinds.values())
    assert set(kinds) == set(KINDS)
    assert max(kinds.values()) < 0.1 * total
    assert min(kinds.values()) > 0.002 * total
    assert 0.01 < kinds["words"] / total < 0.1


@pytest.mark.parametrize("folder", ["data", "data_zh"])
def test_files_have_the_official_fields_and_layout(folder: str) -> None:
    files = instructions.official_files()
    for category in CATEGORIES:
        rows = json.loads(files[f"followbench/{folder}/{category}_constraints.json"])
        assert [list(row) for row in rows] == [
            ["example_id", "category", "source", "level", "instruction", "target"]
        ] * len(rows)
        assert {row["source"] for row in rows} == {"mini_rules"}
        n_seeds = 72 if folder == "data" else 12
        assert [(row["example_id"], row["level"]) for row in rows] == [
            (number, level) for number in range(1, n_seeds + 1) for level in range(6)
        ]
        assert all((row["category"] == category) for row in rows if row["level"] == 0)
    assert len(files) == 10


def test_the_files_are_the_same_on_every_machine() -> None:
    files = instructions.official_files()
    digest = hashlib.sha256("".join(f"{path}\n{files[path]}" for path in sorted(files)).encode())
    assert digest.hexdigest() == FILES_SHA256


FILES_SHA256 = "b724fff9d7d9de0106db99e849c20152e7a910380c23e98bb017a156027bdb4d"


# ---- training ------------------------------------------------------------------------------------


def test_no_test_item_is_in_training(training: list[Exercise], scored: list[Item]) -> None:
    assert len(instructions.reserved()) == len(scored)
    for example in training:
        assert example.keys
        assert instructions.reserved().isdisjoint(example.keys)
    files = instructions.official_files()
    # The Chinese files under another name, so that they are searched for, too.
    files |= {f"{p.replace('data_zh', 'data')}.json": text for p, text in files.items()}
    index = Index(items({p: text for p, text in files.items() if "data_zh" not in p}))
    assert len(index.unsearchable) == 0
    assert not [example for example in training if list(index.find(full_text(example)))]


def test_training_has_the_stated_shares(training: list[Exercise]) -> None:
    n = len(training)
    levels = Counter(len(example.keys) for example in training)
    for share, level in instructions.LEVEL_SHARES:
        assert abs(levels[level] / n - share) < 0.015
    assert abs(sum(not example.chat for example in training) / n - 0.1) < 0.01
    chinese = [example for example in training if HAN.search(example.prompt)]
    assert abs(len(chinese) / n - 0.2) < 0.015
    assert len({_asked(example) for example in training}) > 0.97 * n


def test_answers_are_short_and_begin_as_they_should(training: list[Exercise]) -> None:
    names = {person.en.casefold() for person in world().things["people"]}
    lengths = []
    for example in training:
        chinese = HAN.search(example.answer) is not None
        first = Reading(example.answer, "zh" if chinese else "en").words[0]
        assert first.casefold() not in names
        assert example.answer.startswith(" ") == (not example.chat and not chinese)
        assert len(full_text(example)) < 700
        assert chinese == (HAN.search(example.prompt) is not None)
        assert not (chinese and re.search("[A-Za-z]", example.answer))
        if not chinese:
            lengths.append(len(example.answer.split()))
            text = example.answer.casefold()
            assert not re.search(r"\ba [aeiou](?!seful)|\ban [^aeiouh]|  ", text)
    assert 6 < sum(lengths) / len(lengths) < 13
    assert max(lengths) < 40


def test_demands_are_met_in_many_ways(training: list[Exercise]) -> None:
    assert len({example.answer for example in training}) > 0.85 * len(training)
    # Without its instruction an answer is no help: few meet what was demanded of another one.
    chat = [e for e in training if e.chat and not HAN.search(e.prompt) and len(e.keys) == 3][:2000]
    hits = [all(check(a.prompt, b.answer)) for a, b in pairwise(chat)]
    assert sum(hits) / len(hits) < 0.05


def test_training_is_the_same_on_every_machine_and_fast() -> None:
    draws = [Draws(5, "same"), Draws(5, "same")]
    first, second = ([instructions.training(world(), d) for _ in range(500)] for d in draws)
    assert first == second
    start = time.process_time()
    for _ in range(2000):
        instructions.training(world(), draws[0])
    assert time.process_time() - start < 2.0
