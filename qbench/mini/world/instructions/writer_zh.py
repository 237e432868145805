"""Chinese answers that are written to meet demands; see the English writer."""

from __future__ import annotations

from collections.abc import Mapping

from qbench.mini.draws import Draws
from qbench.mini.world import lexicon
from qbench.mini.world.instructions.constraints import NUMBER_WORDS, WEATHER, count
from qbench.mini.world.instructions.lexicon import (
    ANIMALS,
    BY_WORD,
    OBJECTS,
    THINGS,
    Topic,
)
from qbench.mini.world.translation.lexicon import (
    ADJECTIVES,
    ANIMAL_VERBS,
    MANNERS,
    VERBS,
    Noun,
)

_BY_KIND = {k: tuple(v for v in VERBS if k in v.kinds) for k in "paftxchurb"}
_BY_ANIMALS = {k: tuple(v for v in verbs if v.en in ANIMAL_VERBS) for k, verbs in _BY_KIND.items()}
_ADJECTIVES = {a.zh[:-1]: a for a in ADJECTIVES if a.rank == 0 and len(a.zh) > 2}
_MANNERS = frozenset(manner.zh for manner in MANNERS)
_SUBSTITUTES = {"p": "这个人", "a": "这只动物", "b": "这个地方", "t": "这件东西"}
_QUALITY = "很旧"
_COLORED, _COUNTED = THINGS[:2]
_PADDING = ("", "又", "昨天", "在城里")


class _Writer:
    """One answer in the making."""

    def __init__(self, about: Topic, demands: Mapping[str, str], draws: Draws) -> None:
        self.about, self.demands, self.draws = about, demands, draws
        self.hidden = "avoid" in demands and draws.chance(0.5)
        shape = next((k for k in ("sentences", "list", "bullets") if k in demands), None)
        self.n_units = count(demands[shape], "zh") if shape else 1
        self.times: list[list[str]] = [[] for _ in range(self.n_units)]
        self.n_placed = 0
        self.things: list[list[tuple[str, str]]] = [[] for _ in range(self.n_units)]
        self.manner = ""

    def noun(self, noun: Noun, adjective: str = "", number: str = "") -> str:
        """Name a thing, as one if no number is given."""
        return (number or "一") + noun.measure + adjective + noun.zh

    def _unit(self) -> int:
        """Return the clauses in turn."""
        self.n_placed += 1
        return (self.n_placed - 1) % self.n_units

    def add(self, noun: Noun, text: str) -> None:
        """Put a thing into one of the clauses."""
        self.things[self._unit()].append((noun.kind, text))

    def gather(self) -> None:
        """Make phrases of everything that is demanded."""
        words = BY_WORD["zh"]
        for kind, argument in self.demands.items():
            match kind:
                case "include":
                    self._include(argument)
                case "both":
                    for word in argument.split("和"):
                        self.add(words[word], self.noun(words[word]))
                case "twice":
                    noun = words[argument]
                    self.add(noun, f"{self.noun(noun)}和另一{noun.measure}{noun.zh}")
                case "color" | "shade":
                    color = argument or lexicon.COLORS[0].zh
                    self.add(_COLORED, self.noun(_COLORED, f"{color}的"))
                case "number":
                    self.add(_COUNTED, self.noun(_COUNTED, number=NUMBER_WORDS[0].zh))
                case "animal":
                    self.add(ANIMALS[0], self.noun(ANIMALS[0]))
                case "food":
                    self.things[self._unit()].append(("f", lexicon.FOODS[0].zh))
                case _:
                    if phrase := self._phrase(kind, argument):
                        self.times[self._unit()].append(phrase)

    def _include(self, word: str) -> None:
        """Place a word of any class."""
        if word in _MANNERS:
            self.manner = word
        elif word in _ADJECTIVES:
            adjective = _ADJECTIVES[word]
            noun = next(n for n in OBJECTS if n.kind in adjective.kinds)
            self.add(noun, self.noun(noun, adjective.zh))
        else:
            self.add(BY_WORD["zh"][word], self.noun(BY_WORD["zh"][word]))

    def _phrase(self, kind: str, argument: str) -> str:
        """Make a phrase that says when, where or with whom."""
        match kind:
            case "yesterday":
                return "昨天"
            case "weekday" | "season":
                return argument
            case "place":
                return f"在{argument}里"
            case "weather":
                return f"在{WEATHER[0].zh}中"
            case "name":
                return f"和{argument}"
            case _:
                return ""

    def clause(self, unit: int) -> str:
        """Write subject, phrases, verb and things."""
        things, noun = list(self.things[unit]), self.about.noun
        phrases = sorted(self.times[unit], key=lambda phrase: phrase[0] in "在和")
        if unit == 0 and "words" in self.demands:
            # So that a number of characters has to be counted.
            phrases.append(self.draws.pick(_PADDING))
        named = _SUBSTITUTES[noun.kind] if self.hidden else noun.zh
        if not things and not phrases and not self.manner and (unit or noun.kind not in "pa"):
            return f"{named if unit == 0 else '这里'}{_QUALITY}"
        is_animal = False
        if unit == 0 and noun.kind in "pa":
            subject, is_animal = named, noun.kind == "a"
        else:
            subject = "大家"
            if unit == 0:
                things.insert(0, (noun.kind, named))
        if not things:
            things.append((_COUNTED.kind, self.noun(_COUNTED)))
        kind = things[0][0]
        verb = ((_BY_ANIMALS[kind] if is_animal else ()) or _BY_KIND[kind])[0].zh
        manner, self.manner = self.manner, ""
        listed = "和".join(text for _, text in things)
        return f"{subject}{''.join(phrases)}{manner}{verb}了{listed}"

    def sentence(self, unit: int) -> str:
        """Write a clause with everything around it, without its mark."""
        demands, text = self.demands, self.clause(unit)
        is_last, comma = unit == self.n_units - 1, "，"
        if unit == 0 and "me" in demands:
            text = f"我知道{text}"
        if unit == 0 and "you" in demands:
            text = f"{'告诉你' if 'me' in demands else '你看'}{comma}{text}"
        if unit == 0 and "begin" in demands:
            text = f"{demands['begin']}{comma}{text}"
        elif unit == 0 and "comma" in demands and comma not in text:
            text = f"其实{comma}{text}"
        if unit == 0 and "link" in demands:
            text = f"{text}{comma}{demands['link']}这里{_QUALITY}"
        if is_last and "end" in demands:
            text = f"{text}{comma}{demands['end']}"
        return text + ("吗" if is_last and "question" in demands else "")

    def text(self) -> str:
        """Write the answer."""
        demands = self.demands
        self.gather()
        marks = ["。"] * self.n_units
        marks[-1] = "？" if "question" in demands else "！" if "exclaim" in demands else "。"
        sentences = [self.sentence(unit) + marks[unit] for unit in range(self.n_units)]
        if "list" in demands:
            body = "\n".join(f"{n}. {line}" for n, line in enumerate(sentences, start=1))
        elif "bullets" in demands:
            body = "\n".join(f"- {line}" for line in sentences)
        else:
            body = "".join(sentences)
        if "quotes" in demands:
            return f"“{body}”"
        if "brackets" in demands:
            return f"（{body}）" if demands["brackets"] == "圆" else f"【{body}】"
        return body


def write(about: Topic, demands: Mapping[str, str], draws: Draws) -> str:
    """Write an answer about a topic that is meant to meet demands, given as argument by kind."""
    return _Writer(about, demands, draws).text()
