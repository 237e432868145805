"""English answers that are written to meet demands.

An answer is one clause or several, each with its own opening, things and closing; what is demanded
is put where the grammar has a place for it. What is not demanded is as plain as can be and always
the same: free choices are nothing to learn, and with them the demands themselves were learned late
(mini-large met all of level 3 in 12 % after 42 M tokens). The writer may fail where demands get in
each other's way (a word to be used twice that comes up a third time), so whoever calls it applies
the rules.
"""

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
from qbench.mini.world.translation.english import with_article
from qbench.mini.world.translation.lexicon import (
    ADJECTIVES,
    ANIMAL_VERBS,
    MANNERS,
    STATES,
    VERBS,
    Noun,
    Verb,
)

_BY_KIND = {k: tuple(v for v in (*VERBS, *STATES) if k in v.kinds) for k in "paftxchurb"}
_BY_ANIMALS = {k: tuple(v for v in verbs if v.en in ANIMAL_VERBS) for k, verbs in _BY_KIND.items()}
_QUALITY = "old"
_COLORED, _COUNTED = THINGS[:2]
_PADDING = ("", "again", "once more", "near the tower")
_ADJECTIVES = {a.en: a for a in ADJECTIVES if a.rank == 0}
_MANNERS = frozenset(manner.en for manner in MANNERS)
_SUBSTITUTES = {"p": "this person", "a": "this animal", "b": "this place", "t": "this thing"}


class _Writer:
    """One answer in the making."""

    def __init__(self, about: Topic, demands: Mapping[str, str], draws: Draws) -> None:
        self.about, self.demands, self.draws = about, demands, draws
        self.definite = draws.chance(0.7 if "avoid" in demands else 0.95)
        self.hidden = "avoid" in demands and draws.chance(0.5)
        self.manner = ""
        self.n_units = self._count()
        self.n_placed = 0
        self.things: list[list[tuple[str, str]]] = [[] for _ in range(self.n_units)]
        self.adjuncts: list[list[str]] = [[] for _ in range(self.n_units)]

    def _count(self) -> int:
        """Return how many clauses there are to be."""
        for kind in ("sentences", "list", "bullets"):
            if kind in self.demands:
                return count(self.demands[kind], "en")
        return 1

    def _unit(self) -> int:
        """Return the clauses in turn."""
        self.n_placed += 1
        return (self.n_placed - 1) % self.n_units

    def noun(self, noun: Noun, *adjectives: str) -> str:
        """Name a single thing."""
        core = " ".join([*adjectives, noun.en])
        return f"the {core}" if self.definite else with_article(core)

    def add(self, noun: Noun, text: str) -> None:
        """Put a thing into one of the clauses."""
        self.things[self._unit()].append((noun.kind, text))

    def gather(self) -> None:
        """Make phrases of everything that is demanded."""
        for kind, argument in self.demands.items():
            match kind:
                case "include":
                    self._include(argument)
                case "both":
                    for word in argument.split(" and "):
                        self.add(BY_WORD["en"][word], self.noun(BY_WORD["en"][word]))
                case "twice":
                    noun = BY_WORD["en"][argument]
                    self.add(noun, f"{self.noun(noun)} and another {argument}")
                case "color" | "shade":
                    self.add(_COLORED, self.noun(_COLORED, argument or lexicon.COLORS[0].en))
                case "number":
                    self.add(_COUNTED, f"{NUMBER_WORDS[0].en} {_COUNTED.plural}")
                case "animal":
                    self.add(ANIMALS[0], self.noun(ANIMALS[0]))
                case "food":
                    self.things[self._unit()].append(("f", f"some {lexicon.FOODS[0].en}"))
                case _:
                    if adjunct := self._adjunct(kind, argument):
                        self.adjuncts[self._unit()].append(adjunct)

    def _include(self, word: str) -> None:
        """Place a word of any class."""
        if word in _MANNERS:
            self.manner = word
        elif word in _ADJECTIVES:
            adjective = _ADJECTIVES[word]
            noun = next(noun for noun in OBJECTS if noun.kind in adjective.kinds)
            self.add(noun, self.noun(noun, word))
        else:
            self.add(BY_WORD["en"][word], self.noun(BY_WORD["en"][word]))

    def _adjunct(self, kind: str, argument: str) -> str:
        """Make a phrase that says when, where or with whom."""
        match kind:
            case "name":
                return f"with {argument}"
            case "yesterday":
                return "yesterday"
            case "weekday":
                return f"on {argument}"
            case "season":
                return f"in {argument}"
            case "place":
                return f"in the {argument}"
            case "weather":
                return f"in the {WEATHER[0].en}"
            case _:
                return ""

    def subject(self, unit: int, *, animate: bool) -> tuple[str, bool]:
        """Name who or what a clause is about; tells also whether that is an animal."""
        noun = self.about.noun
        if unit == 0 and (not animate or noun.kind in "pa"):
            text = _SUBSTITUTES[noun.kind] if self.hidden else self.noun(noun)
            return text, noun.kind == "a"
        return "everyone" if animate else "it", False

    def verb(self, verb: Verb, asked: bool) -> tuple[str, str]:
        """Return what stands before the subject and what behind it."""
        manner = f"{self.manner} " if self.manner else ""
        self.manner = ""
        if asked:
            return "did", manner + verb.en
        return "", manner + verb.past

    def clause(self, unit: int, asked: bool) -> list[str]:
        """Write subject, verb and things of a clause."""
        things, about = _ordered(self.things[unit]), self.about.noun
        if not things and not self.manner and (unit or about.kind not in "pa"):
            subject = self.subject(unit, animate=False)[0]
            return ["was", subject, _QUALITY] if asked else [subject, "was", _QUALITY]
        subject, is_animal = self.subject(unit, animate=True)
        if unit == 0 and about.kind not in "pa":
            name = _SUBSTITUTES[about.kind] if self.hidden else self.noun(about)
            things.insert(0, (about.kind, name))
        elif not things:
            things.append((_COUNTED.kind, self.noun(_COUNTED)))
        kind, first = things[0]
        fitting = (_BY_ANIMALS[kind] if is_animal else ()) or _BY_KIND[kind]
        before, verb = self.verb(fitting[0], asked)
        rest = [_beside(kind, text) for kind, text in things[1:]]
        return [part for part in (before, subject, verb, first, *rest) if part]

    def opening(self, unit: int, clause: list[str], asked: bool) -> str:
        """Write what leads into a clause, with the clause."""
        text = " ".join(clause)
        if unit == 0 and "me" in self.demands:
            return f"{'can I say that' if asked else 'I think that'} {text}"
        if unit == 0 and "you" in self.demands:
            return f"{'do you know that' if asked else 'you know that'} {text}"
        return text

    def sentence(self, unit: int) -> str:
        """Write a clause with everything around it, without its mark."""
        demands = self.demands
        is_last = unit == self.n_units - 1
        asked = is_last and "question" in demands
        told = unit == 0 and ("me" in demands or "you" in demands)
        text = self.opening(unit, self.clause(unit, asked and not told), asked)
        adjuncts = self.adjuncts[unit]
        if unit == 0 and "me" in demands and "you" in demands:
            adjuncts.append("with you")
        elif "words" in demands:
            # So that a number of words has to be counted.
            adjuncts.append(self.draws.pick(_PADDING))
        lead = demands.get("begin", "") if unit == 0 else ""
        comma = unit == 0 and "comma" in demands
        if comma and not lead and "link" not in demands:
            lead = "in fact"
        text = " ".join(part for part in (text, *adjuncts) if part)
        if lead:
            text = f"{lead}{',' if comma else ''} {text}"
        if unit == 0 and "link" in demands:
            text += f"{',' if comma else ''} {demands['link']} it was {_QUALITY}"
        if is_last and "end" in demands:
            text += f" {demands['end']}"
        if is_last and "repeat" in demands:
            text += f" {text.split(' ')[-1]}"
        return text[0].upper() + text[1:]

    def text(self) -> str:
        """Write the answer."""
        demands = self.demands
        self.gather()
        marks = ["."] * self.n_units
        marks[-1] = "?" if "question" in demands else "!" if "exclaim" in demands else "."
        sentences = [self.sentence(unit) + marks[unit] for unit in range(self.n_units)]
        if "list" in demands:
            body = "\n".join(f"{n}. {line}" for n, line in enumerate(sentences, start=1))
        elif "bullets" in demands:
            body = "\n".join(f"- {line}" for line in sentences)
        else:
            body = " ".join(sentences)
        if "heading" in demands:
            body = f"{demands['heading']}\n{body}"
        return _framed(_cased(body, demands), demands)


def _ordered(things: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Put a thing first that has verbs of its own."""
    return sorted(things, key=lambda thing: thing[0] not in "ftx")


def _beside(kind: str, thing: str) -> str:
    """Write a thing that is not what the verb takes."""
    return f"{'near' if kind in 'bt' else 'with'} {thing}"


def _cased(text: str, demands: Mapping[str, str]) -> str:
    """Put a text into the letters that are demanded."""
    if "lower" in demands:
        return text.lower()
    if "upper" in demands:
        return text.upper()
    if "title" in demands:
        return "\n".join(
            " ".join(word[:1].upper() + word[1:] for word in line.split(" "))
            for line in text.split("\n")
        )
    return text


def _framed(text: str, demands: Mapping[str, str]) -> str:
    """Put marks around a text."""
    if "quotes" in demands:
        return f'"{text}"'
    if "brackets" in demands:
        return f"({text})" if demands["brackets"] == "round" else f"[{text}]"
    return text


def write(about: Topic, demands: Mapping[str, str], draws: Draws) -> str:
    """Write an answer about a topic that is meant to meet demands, given as argument by kind."""
    return _Writer(about, demands, draws).text()
