"""What an instruction may demand of an answer, and the rules that tell whether it is met.

A kind of constraint has categories (the first is its own), tags (two kinds that share one cannot be
combined) and a rule for each language in which it is defined. What counts as a word, a sentence or
a line is fixed by ``Reading``: no rule has a second opinion about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from qbench.mini.world import lexicon
from qbench.mini.world.lexicon import LANGUAGES, Language, Term
from qbench.mini.world.translation.lexicon import NUMBERS, plural

WEATHER = lexicon.terms("rain=雨, snow=雪, fog=雾, wind=风, sun=阳光")
NUMBER_WORDS = tuple(NUMBERS[n] for n in range(2, 13))
_WRAPPERS = ('""', "()", "[]", "“”", "（）", "【】")
_MARKER = re.compile(r"^(?:\d+[.．] ?|- )", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?|\d+")
_CHARACTER = re.compile(r"[\u4e00-\u9fff]|[A-Za-z0-9]+")


class Reading:
    """An answer as the rules see it.

    Attributes
    ----------
    text : str
        The answer without white space around it.
    body : str
        ``text`` without a pair of marks around all of it and without list markers.
    lines : list of str
        Lines of ``text``.
    words : list of str
        English words of ``body`` in lower case, or Chinese characters.
    flat : str
        ``words`` as one text to search in, with the spaces of the language.
    """

    def __init__(self, text: str, language: Language) -> None:
        self.language = language
        self.text = text.strip()
        inner = self.text
        if len(inner) > 2 and inner[0] + inner[-1] in _WRAPPERS:
            inner = inner[1:-1].strip()
        self.lines = self.text.split("\n")
        self.body = _MARKER.sub("", inner)
        words = _WORD if language == "en" else _CHARACTER
        self.words = words.findall(self.body.casefold())
        self.flat = f" {' '.join(self.words)} " if language == "en" else "".join(self.words)

    def has(self, phrase: str) -> bool:
        """Whether words occur one after another."""
        phrase = phrase.casefold()
        return f" {phrase} " in self.flat if self.language == "en" else phrase in self.flat

    def has_any(self, terms: tuple[Term, ...]) -> bool:
        """Whether one of some terms occurs."""
        return any(self.has(term.text(self.language)) for term in terms)

    def begins(self, phrase: str) -> bool:
        """Whether the first words are those of a phrase."""
        return f"{self.flat} ".lstrip().startswith(self._flat(phrase))

    def ends(self, phrase: str) -> bool:
        """Whether the last words are those of a phrase."""
        return f" {self.flat}".rstrip().endswith(self._flat(phrase).rstrip())

    def _flat(self, phrase: str) -> str:
        return f"{phrase.casefold()} " if self.language == "en" else phrase

    def last(self, marks: str) -> bool:
        """Whether the answer closes with one of some marks."""
        return self.body.rstrip(' \n"”)）]】').endswith(tuple(marks))


Rule = Callable[[Reading, str], bool]


class Kind(NamedTuple):
    """A kind of constraint; ``weight`` is how often it is demanded, against others."""

    categories: tuple[str, ...]
    tags: tuple[str, ...]
    rules: Mapping[Language, Rule]
    weight: float = 1.0


class Constraint(NamedTuple):
    """A demand: its kind, what is demanded as it stands in the instruction, and which wording."""

    kind: str
    argument: str = ""
    wording: int = 0


def count(argument: str, language: Language) -> int:
    """Read the number at the beginning of an argument ("two sentences")."""
    if language == "en":
        word = argument.split(" ")[0]
        return next(n for n, term in NUMBERS.items() if term.en == word)
    return max(n for n, term in NUMBERS.items() if argument.startswith(term.zh))


def _has(r: Reading, a: str) -> bool:
    return r.has(a)


def _lacks(r: Reading, a: str) -> bool:
    return not r.has(a)


def _both(r: Reading, a: str) -> bool:
    return all(r.has(word) for word in a.split(" and " if r.language == "en" else "和"))


def _twice(r: Reading, a: str) -> bool:
    return (r.words.count(a) if r.language == "en" else r.flat.count(a)) == 2


def _number(r: Reading, a: str) -> bool:
    return r.has_any(NUMBER_WORDS) or any(word.isdigit() for word in r.words)


def _animal(r: Reading, a: str) -> bool:
    return r.has_any(lexicon.PETS) or (
        r.language == "en" and any(r.has(plural(pet.en)) for pet in lexicon.PETS)
    )


def _n_words(r: Reading, a: str) -> bool:
    return len(r.words) == count(a, r.language)


def _sentences(r: Reading, a: str) -> bool:
    marks = re.findall(r"[.!?。！？]+", r.body)
    return len(marks) == count(a, r.language) and r.last(".!?。！？")


def _listed(marker: str) -> Rule:
    """Build the rule of a list whose lines begin with a marker."""

    def rule(r: Reading, a: str) -> bool:
        return len(r.lines) == count(a, r.language) and all(
            line.startswith(marker.format(n)) and len(line) > len(marker.format(n))
            for n, line in enumerate(r.lines, start=1)
        )

    return rule


def _wrapped(r: Reading, pair: str) -> bool:
    inner = r.text[1:-1]
    return r.text[0] + r.text[-1] == pair and not set(pair) & set(inner) and bool(inner.strip())


def _brackets(r: Reading, a: str) -> bool:
    return _wrapped(r, {"round": "()", "square": "[]", "圆": "（）", "方": "【】"}[a])


def _heading(r: Reading, a: str) -> bool:
    return r.lines[0].casefold() == a.casefold() and bool("".join(r.lines[1:]).strip())


def _title(r: Reading, a: str) -> bool:
    return all(word[0].isupper() or word[0].isdigit() for word in _WORD.findall(r.body))


def _repeated(r: Reading, a: str) -> bool:
    return len(r.words) > 2 and r.words[-1] == r.words[-2]


def _english(rule: Rule) -> dict[Language, Rule]:
    return {"en": rule}


def _same(rule: Rule) -> dict[Language, Rule]:
    return dict.fromkeys(LANGUAGES, rule)


def _terms(words: tuple[Term, ...]) -> dict[Language, Rule]:
    return _same(lambda r, a: r.has_any(words))


def _phrase(en: str, zh: str) -> dict[Language, Rule]:
    """Build a rule for a phrase around the argument; it is put together when it is asked for."""
    return {
        "en": lambda r, a: r.has(en.format(a)),
        "zh": lambda r, a: r.has(zh.format(a)),
    }


# A frame of its own leaves no place for another frame, an opening phrase or a count of words.
_BLOCK = ("shape", "wrap", "length", "opening")
KINDS: Mapping[str, Kind] = {
    "include": Kind(("content",), (), _same(_has), 1.3),
    "both": Kind(("content",), (), _same(_both)),
    "avoid": Kind(("content", "style"), (), _same(_lacks), 1.3),
    "letter": Kind(("content",), (), _english(lambda r, a: a not in r.body.casefold()), 0.4),
    "twice": Kind(("content",), (), _same(_twice)),
    "color": Kind(("content",), ("color",), _same(_has)),
    "shade": Kind(("content",), ("color",), _terms(lexicon.COLORS), 0.5),
    "number": Kind(("content",), (), _same(_number), 0.7),
    "animal": Kind(("content", "situation"), (), _same(_animal), 0.7),
    "food": Kind(("content", "situation"), (), _terms(lexicon.FOODS), 0.7),
    "link": Kind(("content", "style"), (), _same(_has)),
    "name": Kind(("situation", "content"), ("capitals",), _same(_has)),
    "yesterday": Kind(("situation",), ("time",), _phrase("yesterday", "昨天"), 0.8),
    "weekday": Kind(("situation",), ("time",), _phrase("on {}", "{}"), 1.3),
    "season": Kind(("situation",), ("time",), _phrase("in {}", "{}")),
    "place": Kind(("situation",), (), _phrase("in the {}", "在{}里"), 1.3),
    "weather": Kind(("situation",), (), _terms(WEATHER), 0.7),
    "me": Kind(("style", "situation"), (), _phrase("I", "我"), 0.7),
    "you": Kind(("style", "situation"), (), _phrase("you", "你"), 0.7),
    "begin": Kind(("style", "format"), ("opening",), _same(lambda r, a: r.begins(a)), 1.2),
    "end": Kind(("style", "format"), ("ending",), _same(lambda r, a: r.ends(a)), 1.2),
    "lower": Kind(("style", "format"), ("case",), _english(lambda r, a: r.body.islower()), 0.8),
    "upper": Kind(
        ("style", "format"), ("case", "capitals"), _english(lambda r, a: r.body.isupper()), 0.5
    ),
    "title": Kind(("style", "format"), ("case",), _english(_title), 0.6),
    "words": Kind(("format",), ("length",), _same(_n_words), 1.2),
    "sentences": Kind(("format",), ("shape", "length"), _same(_sentences), 1.3),
    "list": Kind(("format",), _BLOCK, _same(_listed("{}. ")), 0.8),
    "bullets": Kind(("format",), _BLOCK, _same(_listed("- ")), 0.8),
    "heading": Kind(("format",), _BLOCK, _english(_heading), 0.8),
    "quotes": Kind(
        ("format",),
        ("wrap",),
        {"en": lambda r, a: _wrapped(r, '""'), "zh": lambda r, a: _wrapped(r, "“”")},
    ),
    "brackets": Kind(("format",), ("wrap",), _same(_brackets)),
    "comma": Kind(
        ("format", "style"),
        (),
        {"en": lambda r, a: "," in r.body, "zh": lambda r, a: "，" in r.body},
        0.8,
    ),
    "repeat": Kind(("format",), ("ending",), _english(_repeated), 0.8),
    "question": Kind(("style", "format"), ("mark",), _same(lambda r, a: r.last("?？")), 0.8),
    "exclaim": Kind(("style", "format"), ("mark",), _same(lambda r, a: r.last("!！")), 0.8),
}
CATEGORIES = ("content", "situation", "style", "format", "mixed")


def pool(category: str, language: Language) -> tuple[tuple[float, str], ...]:
    """Return the kinds of a category that a language has, with their weights."""
    return tuple(
        (kind.weight, name)
        for name, kind in KINDS.items()
        if language in kind.rules and (category == "mixed" or category in kind.categories)
    )


def met(constraint: Constraint, reading: Reading) -> bool:
    """Whether an answer meets a constraint; an answer without a word meets none."""
    rule = KINDS[constraint.kind].rules[reading.language]
    return bool(reading.words) and rule(reading, constraint.argument)
