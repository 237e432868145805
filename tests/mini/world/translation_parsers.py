"""Parsers of the translation exercises' English and Chinese: every reading of a sentence.

They know the words, but nothing of how sentences are written. A reading is a nested tuple in which
English words name the meanings, so that readings of the two languages can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from qbench.mini.world.names import CODAS, ONSETS, SYLLABLES, TOWN_ENDINGS
from qbench.mini.world.translation import lexicon as words

Readings = Iterator[tuple[Any, int]]
Parser = Callable[[str, int], Readings]

MEASURES = {
    "位": "teacher doctor judge painter singer",
    "匹": "horse",
    "头": "goat cow",
    "条": "snake boat",
    "只": "dog cat rabbit duck parrot turtle mouse owl fox",
    "座": "tower bridge castle temple library lighthouse statue house",
    "家": "theater",
    "块": "cake bread cheese butter silk linen soap carpet brick stone",
    "颗": "nut cherry pearl",
    "棵": "cabbage",
    "碗": "rice noodles porridge soup",
    "袋": "beans sugar salt tea wool coal flour",
    "串": "grapes",
    "瓶": "wine ink oil vinegar honey paint",
    "杯": "water milk",
    "张": "paper table map",
    "面": "mirror drum",
    "盏": "lamp",
    "把": "knife",
    "根": "rope feather",
    "支": "candle flute",
    "朵": "flower",
    "本": "book",
    "封": "letter",
    "首": "song",
    "件": "coat",
    "双": "boots",
    "顶": "hat",
}
MEASURE = {noun: measure for measure, nouns in MEASURES.items() for noun in nouns.split()}
CONTAINERS = {
    "块": "piece", "碗": "bowl", "袋": "bag", "串": "bunch", "瓶": "bottle",
    "杯": "cup", "张": "sheet", "双": "pair",
}  # fmt: skip
DIGITS = dict(zip("一两三四五六七八九", range(1, 10), strict=True))
NUMBERS_ZH = {
    **DIGITS,
    "十": 10,
    **{f"十{d}": 10 + n for d, n in zip("一二三四五六七八九", range(1, 10), strict=True)},
    "二十": 20,
}
_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
NUMBERS_EN = {text: n for n, text in enumerate(_NUMBERS.split(" "), start=1) if n > 1}
PRONOUNS = (  # subject, object, owner, Chinese, plural
    ("I", "me", "my", "我", True),
    ("he", "him", "his", "他", False),
    ("she", "her", "her", "她", False),
    ("we", "us", "our", "我们", True),
    ("they", "them", "their", "他们", True),
)
VERBS = (*words.VERBS, *words.STATES, *words.GIVING, *words.PLACING, *words.ALONE)
GIVING = {v.zh for v in words.GIVING}
TIMES = {t.en: t.zh for t in (*words.PAST_TIMES, *words.FUTURE_TIMES, *words.PRESENT_TIMES)}
ADVERBS = {t.en: t.zh for t in (*words.FREQUENCIES, *words.MANNERS)}
COUNTED = {n.en: n for n in (*words.CRAFTS, *words.NOUNS) if not n.container}
MASS = {n.en: n for n in words.NOUNS if n.container}
CRAFT_NAMES = {n.en for n in words.CRAFTS}


def one_of(table: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Parser:
    """Read one of some texts; a text may have several values."""
    pairs = list(table.items() if isinstance(table, Mapping) else table)
    by_first: dict[str, list[tuple[str, Any]]] = {}
    for text, value in pairs:
        by_first.setdefault(text[:1], []).append((text, value))
    empty = by_first.get("", [])

    def read(text: str, at: int) -> Readings:
        for key, value in by_first.get(text[at : at + 1], []) if at < len(text) else []:
            if text.startswith(key, at):
                yield value, at + len(key)
        for _, value in empty:
            yield value, at

    return read


def word(text: str) -> Parser:
    """Read a fixed text."""
    return one_of({text: text})


def row(*parsers: Parser) -> Parser:
    """Read one after another; the value is the tuple of values."""

    def read(text: str, at: int, rest: tuple[Parser, ...] = parsers) -> Readings:
        if not rest:
            yield (), at
            return
        for value, after in rest[0](text, at):
            for values, end in read(text, after, rest[1:]):
                yield (value, *values), end

    return read


def either(*parsers: Parser) -> Parser:
    """Read in any of some ways."""

    def read(text: str, at: int) -> Readings:
        for parser in parsers:
            yield from parser(text, at)

    return read


def maybe(parser: Parser, default: Any = None) -> Parser:
    """Read something or nothing."""
    return either(parser, one_of([("", default)]))


def turned(parser: Parser, change: Callable[[Any], Any]) -> Parser:
    """Change the value; a change to None is no reading."""

    def read(text: str, at: int) -> Readings:
        for value, end in parser(text, at):
            changed = change(value)
            if changed is not None:
                yield changed, end

    return read


def nth(place: int, *parsers: Parser) -> Parser:
    """Read one after another and keep one value."""
    return turned(row(*parsers), lambda values: values[place])


def kept(parser: Parser) -> Parser:
    """Remember what was read in the current text, for what is tried in many ways."""
    found: dict[int, list[tuple[Any, int]]] = {}
    current = ""

    def read(text: str, at: int) -> Readings:
        nonlocal current
        if text != current:
            found.clear()
            current = text
        if at not in found:
            found[at] = list(parser(text, at))
        yield from found[at]

    return read


def whole(parser: Parser, text: str) -> set[Any]:
    """Return the readings of a whole text."""
    return {value for value, end in parser(text, 0) if end == len(text)}


_ENDINGS = {t.en: t.zh for t in TOWN_ENDINGS}
_NAME_EN = re.compile(
    f"(?i:(?:{'|'.join(ONSETS)})(?:{'|'.join(CODAS)}))(?:{'|'.join(_ENDINGS)}| River)?(?= |')"
)
_ENDING_OF = {**{zh: en for en, zh in _ENDINGS.items()}, "河": " River"}
_SYLLABLE_OF = {zh: en for en, zh in SYLLABLES.items()}
_NAME_ZH = re.compile(f"[{''.join(ONSETS.values())}][{''.join(CODAS.values())}]")


def name_en(text: str, at: int) -> Readings:
    """Read a name, with the space behind it unless it owns something."""
    match = _NAME_EN.match(text, at)
    if match and match[0][0].isupper():
        yield ("name", match[0]), match.end()


def name_zh(text: str, at: int) -> Readings:
    """Read a name of two syllables, with the ending of a town or river if it has one."""
    match = _NAME_ZH.match(text, at)
    if match:
        english = "".join(_SYLLABLE_OF[c] for c in match[0]).capitalize()
        yield ("name", english), match.end()
        ending = _ENDING_OF.get(text[match.end() : match.end() + 1])
        if ending:
            yield ("name", english + ending), match.end() + 1


def phrase(
    determiner: str, adjectives: tuple[str, ...], noun: str, number: int = 1,
    owner: Any = None, relative: Any = None,
) -> Any:  # fmt: skip
    """Return the reading of a noun phrase; the order of adjectives is no part of it."""
    return ("phrase", determiner, number, tuple(sorted(adjectives)), noun, owner, relative)


def is_plural(reading: Any) -> bool:
    """Whether an English verb agrees in the plural with a noun phrase."""
    if reading[0] == "pronoun":
        return reading[1] in {"I", "we", "they"}
    if reading[0] != "phrase":
        return False
    _, determiner, number, _, noun, _, _ = reading
    if noun in MASS and determiner in {"", "some"} and number == 1:
        return noun in {"noodles", "beans", "grapes", "boots"}
    return determiner in {"the many", "these", "some", "many"} or number > 1
