"""An oracle for the questions of the knowledge family: it reads a question and looks it up.

It knows the facts and their forms, the calendar, and nothing of how the questions are made.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from qbench.mini.world.attributes import ATTRIBUTES
from qbench.mini.world.facts import Fact, world
from qbench.mini.world.lexicon import Language

EN_MONTHS = re.findall(
    "[A-Z][a-z]+",
    "January February March April May June July August September October November December",
)
ZH_MONTHS = [
    f"{n}月" for n in ("一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二")
]
EN_DAYS = re.findall("[A-Z][a-z]+", "Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
ZH_DAYS = [f"星期{day}" for day in "一二三四五六日"]
CYCLES = (EN_MONTHS, ZH_MONTHS, EN_DAYS, ZH_DAYS)
SEASONS = {
    cycle[(first + n) % 12]: season
    for cycle, seasons in (
        (EN_MONTHS, ("spring", "summer", "autumn", "winter")),
        (ZH_MONTHS, ("春天", "夏天", "秋天", "冬天")),
    )
    for first, season in zip((2, 5, 8, 11), seasons, strict=True)
    for n in range(3)
}


class Found(NamedTuple):
    answer: str
    facts: tuple[Fact, ...] = ()


@cache
def _texts(language: Language) -> dict[tuple[str, str], Fact]:
    return {(f.attribute.name, f.thing.text(language)): f for f in world().facts}


@cache
def _patterns(language: Language, *, nouns: bool) -> list[tuple[str, re.Pattern[str]]]:
    return [
        (a.name, re.compile(re.escape(form).replace(r"\{e\}", "(.+)")))
        for a in ATTRIBUTES
        for form in ([a.forms(language).noun] if nouns else a.forms(language).questions)
    ]


def _look_up(thing: str, attribute: str, language: Language) -> Found | None:
    """The value for a thing by name, or for a thing that a noun stands for."""
    texts = _texts(language)
    if fact := texts.get((attribute, thing)):
        return Found(fact.value.text(language), (fact,))
    for name, pattern in _patterns(language, nouns=True):
        inner = pattern.fullmatch(thing)
        first = inner and texts.get((name, inner[1]))
        second = first and texts.get((attribute, first.value.text(language)))
        if first and second:
            return Found(second.value.text(language), (first, second))
    return None


def _by_facts(question: str, language: Language) -> list[Found]:
    found = []
    for attribute, pattern in _patterns(language, nouns=False):
        if match := pattern.fullmatch(question):
            looked = _look_up(match[1], attribute, language)
            # The question about "the mother of ..." has no article of the form before it.
            looked = looked or _look_up(f"the {match[1]}", attribute, language)
            if looked:
                found.append(looked)
    if language == "en" and not found:
        for attribute, pattern in _patterns(language, nouns=False):
            bare = re.compile(pattern.pattern.replace(r"the\ (.+)", "(.+)"))
            if match := bare.fullmatch(question):
                looked = _look_up(match[1], attribute, language)
                found += [looked] if looked else []
    return found


def _calendar(question: str, options: list[str]) -> str | None:
    if m := re.fullmatch(r"Which (?:month|day) comes (\d) (?:month|day)s? (\w+) (\w+)\?", question):
        start, way, steps = m[3], {"after": 1, "before": -1}[m[2]], int(m[1])
    elif m := re.fullmatch(r"(\w+)之(后|前)(\d)(?:个月是哪个月|天是星期几)？", question):
        start, way, steps = m[1], {"后": 1, "前": -1}[m[2]], int(m[3])
    elif m := re.fullmatch(r"How many months is it from (\w+) to (\w+)\?", question):
        return str((EN_MONTHS.index(m[2]) - EN_MONTHS.index(m[1])) % 12)
    elif m := re.fullmatch(r"从(\w+月)到(\w+月)有几个月？", question):
        return str((ZH_MONTHS.index(m[2]) - ZH_MONTHS.index(m[1])) % 12)
    elif m := re.fullmatch(
        r"(?:In which season is (\w+)|To which season does (\w+) belong)\?", question
    ):
        return SEASONS[m[1] or m[2]]
    elif m := re.fullmatch(r"(\w+月)(?:在|属于)哪个季节？", question):
        return SEASONS[m[1]]
    elif m := re.fullmatch(r"Which of these months is in (\w+)\?|下面哪个月在(..)？", question):
        (inside,) = [option for option in options if SEASONS[option] == (m[1] or m[2])]
        return inside
    else:
        return None
    (cycle,) = [cycle for cycle in CYCLES if start in cycle]
    return cycle[(cycle.index(start) + way * steps) % len(cycle)]


def _prices(question: str, options: list[str], language: Language) -> Found | None:
    how = re.fullmatch(r"Which of these costs (most|least)\?|下面哪个(最贵|最便宜)？", question)
    how = how or re.fullmatch(r"Which costs (more|less), .*|.*哪个(更贵|更便宜)？", question)
    if not how:
        return None
    facts = [_texts(language)["price", option] for option in options]
    prices = [int(fact.value.en) for fact in facts]
    best = max(prices) if (how[1] or how[2]) in ("most", "more", "最贵", "更贵") else min(prices)
    assert prices.count(best) == 1
    return Found(options[prices.index(best)], tuple(facts))


def oracle(question: str, options: list[str], language: Language) -> Found:
    """Answer a question from its text; the options are needed where it says "these"."""
    listed = re.fullmatch(r"(Which of these.*): (.*) or (\w+)\?", question)
    if listed:
        question, options = listed[1] + "?", [*listed[2].split(", "), listed[3]]
    elif listed := re.fullmatch(r"(.*、.*)和(\w+)中(哪个.*)", question):
        question, options = "下面" + listed[3], [*listed[1].split("、"), listed[2]]
    elif listed := re.fullmatch(
        r"Which costs \w+, (\w+) or (\w+)\?|(\w+)和(\w+)哪个更.*", question
    ):
        options = [word for word in listed.groups() if word]
    priced = _prices(question, options, language)
    if priced:
        return priced
    dated = _calendar(question, options)
    if dated is not None:
        return Found(dated)
    found = set(_by_facts(question, language))
    assert len(found) == 1, (question, found)
    return found.pop()


OPTIONS = re.compile(r"A\. (.*)\nB\. (.*)\nC\. (.*)\nD\. (.*)")


def blocks(text: str) -> list[tuple[str, list[str]]]:
    """Question and options of everything that has options."""
    found = []
    for match in OPTIONS.finditer(text):
        question = text[: match.start()].rstrip("\n").rpartition("\n")[2]
        found.append((question, list(match.groups())))
    return found
