"""The word problems are solved here from their text alone, by rules of their own."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import pytest

from qbench.mini.draws import Draws
from qbench.mini.world import arithmetic
from qbench.mini.world.arithmetic.problems import is_held
from qbench.mini.world.arithmetic.steps import OPENINGS, STEPS
from qbench.mini.world.examples import Exercise
from qbench.mini.world.facts import world

Rule = tuple[str, str, Callable[[int, list[int]], int]]
# What a clause means: P, Q are names, N a number, W a word; the function computes from the quantity
# so far and the numbers in order. A pattern with Q gives the quantity to Q.
OPENING_RULES: tuple[Rule, ...] = (
    ("have", r"P (?:has|owns) N W / in the house of P there are N W", lambda v, n: n[0]),
    ("purse", r"P (?:has|saves) N coins / in the purse of P there are N coins", lambda v, n: n[0]),
    (
        "boxes",
        r"P (?:has|fills) N W with N W each / P owns N W and each holds N W",
        lambda v, n: n[0] * n[1],
    ),
    (
        "daily",
        r"P picks N W per day for N days / for N days P collects N W every day",
        lambda v, n: n[0] * n[1],
    ),
    ("rows", r"P lays out N rows of N W / P has W in N rows of N", lambda v, n: n[0] * n[1]),
    (
        "two_days",
        r"on W P gathers N W and on W N more / P buys N W on W and N on W",
        lambda v, n: n[0] + n[1],
    ),
    (
        "colors",
        r"P has N W W and N W ones / P owns W, of which N are W and N are W",
        lambda v, n: n[0] + n[1],
    ),
    (
        "shared",
        r"N friends, one of them P, share N W equally / "
        r"P is one of N friends who share N W equally",
        lambda v, n: n[1] // n[0],
    ),
    (
        "wages",
        r"P earns N coins per day for N days / for N days P earns N coins every day",
        lambda v, n: n[0] * n[1],
    ),
    (
        "stall",
        r"P sells N W for N coins each / at the market P gets N coins for each of N W",
        lambda v, n: n[0] * n[1],
    ),
    ("two_jobs", r"P earns N coins as a W and N coins as a W", lambda v, n: n[0] + n[1]),
)
STEP_RULES: tuple[Rule, ...] = (
    ("earn", r"P earns N more coins / P finds N coins", lambda v, n: v + n[0]),
    ("find", r"P (?:finds|buys) N more W", lambda v, n: v + n[0]),
    ("gift", r"the W gives P N W / P gets N W from the W", lambda v, n: v + n[0]),
    ("lose", r"P loses N W / N of the W of P are stolen", lambda v, n: v - n[0]),
    ("give", r"P gives N W to the W / the W gets N W from P", lambda v, n: v - n[0]),
    (
        "give_half",
        r"P (?:gives|loses) half of the W(?: to the W)? / the W takes half of the W of P",
        lambda v, n: v // 2,
    ),
    (
        "again",
        r"the W gives P as many W again / P gets as many W again from the W",
        lambda v, n: 2 * v,
    ),
    (
        "boxes_in",
        r"P buys N W with N W each / the W brings P N W of N W each",
        lambda v, n: v + n[0] * n[1],
    ),
    (
        "daily_in",
        r"P makes N W per day for N days / every day for N days P finds N W",
        lambda v, n: v + n[0] * n[1],
    ),
    (
        "daily_out",
        r"P uses N W per day for N days / every day for N days P sells N W",
        lambda v, n: v - n[0] * n[1],
    ),
    (
        "give_each",
        r"P gives N W to each of N children / N children get N W each from P",
        lambda v, n: v - n[0] * n[1],
    ),
    (
        "pack",
        r"P packs the W into W of N each / P puts the W into W, N in each",
        lambda v, n: v // n[0],
    ),
    (
        "sell_all",
        r"P sells all the W for N coins each / for each of the W P gets N coins",
        lambda v, n: v * n[0],
    ),
    (
        "pay",
        r"P pays N coins to the W / P buys W for N coins / P spends N coins on W",
        lambda v, n: v - n[0],
    ),
    (
        "buy",
        r"P buys N W for N coins each / P buys N W at a price of N coins each",
        lambda v, n: v - n[0] * n[1],
    ),
    ("rent", r"P pays N coins per day for a room, for N days", lambda v, n: v - n[0] * n[1]),
    (
        "work",
        r"P works N days for N coins per day / for N days the W pays P N coins per day",
        lambda v, n: v + n[0] * n[1],
    ),
    ("more", r"Q has N more W than P / Q has N W more than P", lambda v, n: v + n[0]),
    ("fewer", r"Q has N fewer W than P / P has N more W than Q", lambda v, n: v - n[0]),
    ("twice", r"Q has twice as many W as P", lambda v, n: 2 * v),
    ("times", r"Q has N times as many W as P", lambda v, n: v * n[0]),
    ("half_as", r"Q has half as many W as P / P has twice as many W as Q", lambda v, n: v // 2),
)
IRRELEVANT = re.compile(
    r"the \w+ is \d+ years old|[A-Z]\w+ is \d+ years old|the market is \d+ miles away|"
    r"the house of \w+ has \d+ windows|the next feast is in \d+ days|"
    r"there are \d+ houses in the street",
    re.I,
)


class Solved(NamedTuple):
    value: int
    steps: tuple[str, ...]
    n_irrelevant: int


class Meaning(NamedTuple):
    owner: str
    after: str
    numbers: list[int]


@cache
def wordings(pattern: str) -> tuple[re.Pattern[str], ...]:
    groups = {"W": r"\w+", "N": r"(\d+)", "P": r"(?P<p>[A-Z]\w+)", "Q": r"(?P<q>[A-Z]\w+)"}
    return tuple(
        re.compile(re.sub(r"\b[WNPQ]\b", lambda found: groups[found[0]], wording))
        for wording in pattern.split(" / ")
    )


def understand(pattern: str, clause: str) -> Meaning | None:
    for wording in wordings(pattern):
        found = wording.fullmatch(clause) or wording.fullmatch(clause[0].lower() + clause[1:])
        if found:
            names = found.groupdict()
            numbers = [int(group) for group in found.groups() if group.isdigit()]
            return Meaning(names["p"], names.get("q") or names["p"], numbers)
    return None


def clauses(text: str) -> list[str]:
    story = text[: text.rindex(". ")].replace(", and each holds", " and each holds")
    return re.split(r"\. Then |\. |, and ", story)


def solve(text: str) -> Solved:
    question = text[text.rindex(". ") + 2 :]
    owner, value, last, irrelevant = "", 0, "", 0
    steps: list[str] = []
    known: dict[str, int] = {}
    for clause in clauses(text):
        if IRRELEVANT.fullmatch(clause):
            irrelevant += 1
            continue
        assert not last, f"{last} is not understood: {text}"
        for name, pattern, compute in STEP_RULES if owner else OPENING_RULES:
            meaning = understand(pattern, clause)
            if meaning is None or (name == "have" and clause.endswith("coins")):
                continue
            if owner and meaning.owner != owner:
                continue  # "A has more than B" tells of B if A is known, else the reverse.
            value, owner = compute(value, meaning.numbers), meaning.after
            if name in ("pack", "sell_all"):
                known = {}
            known[owner] = value
            steps.append(name)
            break
        else:
            last = clause
    name, result = end(question, last, owner, value, known)
    return Solved(result, (*steps, *([name] if name else [])), irrelevant)


def end(question: str, last: str, owner: str, value: int, known: dict[str, int]) -> tuple[str, int]:
    """Answer the question, with the last clause where it belongs to it; name the step if any."""
    if last:
        (number,) = (int(n) for n in re.findall(r"\d+", last))
        if re.fullmatch(r"\w+ (?:wants \d+ \w+|needs \d+ \w+ in all)", last):
            assert "missing" in question or "need" in question
            return "wanted", number - value
        assert value % number == 0
        if "equal" in last:
            assert re.fullmatch(r"How many \w+ does each friend get\?", question)
            return "split", value // number
        assert re.fullmatch(r".* costs? \d+ coins each|.* sells \w+ for \d+ coins each", last)
        assert re.fullmatch(rf"How many \w+ can {owner} buy\?", question)
        return "afford", value // number
    both = r"How many \w+ (?:do|have) (\w+) and (\w+) (?:have together|in all)\?"
    if found := re.fullmatch(both, question):
        return "together", known[found[1]] + known[found[2]]
    if found := re.fullmatch(r"How many more \w+ than (\w+) does (\w+) have\?", question):
        return "apart", known[found[2]] - known[found[1]]
    assert owner in question
    return "", value


def problems(n: int, seed: int = 7) -> list[Exercise]:
    draws = Draws(seed, "arithmetic in a test")
    drawn = (arithmetic.training(world(), draws) for _ in range(n))
    return [example for example in drawn if isinstance(example, Exercise) and example.keys]


def check_working(working: str, result: int) -> None:
    """Every expression of a chain has the value of the result and asks for little at once."""
    *parts, last = working.split("=")
    assert last == str(result) and 0 <= result <= 999
    assert all(eval(part) == result for part in parts), working
    final = re.fullmatch(r"(\d+)([-+*/])(\d+)", parts[-1])
    assert final is not None, working
    if final[2] in "+-":
        assert len(final[3].rstrip("0")) < 2, working
    elif final[2] == "*":
        assert len(final[1].rstrip("0")) < 2 and len(final[3]) < 2, working
    else:
        assert len(str(result).rstrip("0")) < 2 and len(final[3]) < 2, working


def check_solution(question: str, answer: str) -> int:
    """Follow the marks of a worked solution; return the final number."""
    *lines, last = answer.split("\n")
    told = {int(n) for n in re.findall(r"\d+", question)} | {2}
    for number, line in enumerate(lines):
        if not number and re.fullmatch(r"First [^<.]*\.", line):
            continue
        mark = re.search(r"<<((\d+)[-+*/](\d+)=[-+*/=\d]+)>>(\d+)", line)
        assert mark is not None, line
        left, right, result = int(mark[2]), int(mark[3]), int(mark[4])
        check_working(mark[1], result)
        assert {left, right} <= told, f"{line} uses a number from nowhere: {question}"
        told.add(result)
    assert last == f"#### {result}"
    return result


def test_every_test_problem_is_solved_from_its_text() -> None:
    items = (*arithmetic.test_items(), *arithmetic.shots())
    for item in items:
        solved = solve(item.question)
        assert solved.value == check_solution(item.question, item.answer), item.question
        assert solved.steps == item.structure
    share = sum(solve(item.question).n_irrelevant for item in items) / len(items)
    assert 0.12 < share < 0.18


def test_every_training_problem_is_solved_from_its_text_and_follows_no_held_plan() -> None:
    for example in problems(4000):
        (question,) = example.keys
        solved = solve(question)
        assert solved.value == check_solution(question, example.answer.removeprefix(" "))
        assert not is_held(solved.steps)


def test_solutions_repeat_the_clauses_that_count() -> None:
    for item in arithmetic.test_items():
        text = item.answer.replace(", and each holds", " and each holds")
        repeated = re.findall(r"^(?:First|Then) ([^<]*?)\.", text, re.MULTILINE)
        counting = [c for c in clauses(item.question) if not IRRELEVANT.fullmatch(c)]
        assert [c.casefold() for c in repeated] == [c.casefold() for c in counting]
        assert text.startswith("First") and text.count("First") == 1


def test_no_training_example_is_a_test_item() -> None:
    keys = {key for example in problems(20000) for key in example.keys}
    assert len(keys) > 14000
    assert keys.isdisjoint(arithmetic.reserved())
    assert len(arithmetic.reserved()) == 2000


def test_the_test_has_all_lengths_and_half_of_it_follows_held_plans() -> None:
    items = arithmetic.test_items()
    assert Counter(item.n_computations for item in items) == {2: 720, 3: 540, 4: 360, 5: 180}
    assert sum(is_held(item.structure) for item in items) == 900
    assert len({item.structure for item in items}) > 1000
    assert {name for item in items for name in item.structure} == {
        step.name for step in (*OPENINGS, *STEPS)
    }


def test_no_answer_is_frequent() -> None:
    finals = Counter(item.answer.split()[-1] for item in arithmetic.test_items())
    assert finals.most_common(1)[0][1] / 1800 < 0.025


def test_answers_begin_as_their_frame_demands() -> None:
    for example in problems(2000):
        assert example.answer.startswith(" ") != example.chat
        assert example.answer.split()[0] == "First"
        assert len(example.prompt + example.answer) < 900
        if not example.chat:
            assert re.fullmatch(r"(Question|Q): .*\n(Answer|A):", example.prompt)


@pytest.mark.parametrize("seed", range(3))
def test_drills_are_right(seed: int) -> None:
    draws = Draws(seed, "drills in a test")
    operators: Counter[str] = Counter()
    for _ in range(500):
        drill = arithmetic.drill(world(), draws)
        line = drill.prompt + drill.answer
        found = re.fullmatch(r"<<((\d+)([-+*/])(\d+)=[^>]+)>>(\d+)", line)
        assert found is not None and drill.prompt.count("=") == 1 and drill.prompt[-1] == "=", line
        operator, left, right, result = found[3], int(found[2]), int(found[4]), int(found[5])
        check_working(found[1], result)
        assert max(left, right, result) <= 999
        if operator == "/":
            assert right * result == left
        else:
            assert {"+": left + right, "-": left - right, "*": left * right}[operator] == result
        operators[operator] += 1
    assert all(count > 40 for count in operators.values()) and len(operators) == 4


def test_files_are_as_the_official_ones_and_never_change() -> None:
    files = arithmetic.official_files()
    assert {name: text.count("\n") for name, text in files.items()} == {
        "gsm8k/test.jsonl": 1800,
        "gsm8k/train.jsonl": 200,
    }
    for text in files.values():
        for line in text.splitlines():
            record = json.loads(line)
            assert list(record) == ["question", "answer"]
            check_solution(record["question"], record["answer"])
    digest = hashlib.sha256("".join(files[name] for name in sorted(files)).encode()).hexdigest()
    assert digest == "3b50a90e1c67779d8845979d7bff66082a0e699f1df28f57c4e73ed7b2c2b1c4"
