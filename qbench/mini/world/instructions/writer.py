"""English answers that are written to meet demands.

An answer is one clause or several, each with its own opening, things and closing; what is demanded
is put where the grammar has a place for it. The writer may fail where demands get in each other's
way (a word to be used twice that comes up a third time), so whoever calls it applies the rules.
"""

from __future__ import annotations

from collections.abc import Mapping

from qbench.mini.draws import Draws
from qbench.mini.world import lexicon
from qbench.mini.world.instructions.constraints import NUMBER_WORDS, WEATHER, count
from qbench.mini.world.instructions.lexicon import (
    ANIMALS,
    BY_WORD,
    FEELINGS,
    OBJECTS,
    PEOPLE,
    PLACES,
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
_SHORT = lexicon.terms("old=旧, new=新, small=小, quiet=安静, famous=有名, beautiful=美丽")
_ADJECTIVES = {a.en: a for a in ADJECTIVES if a.rank == 0}
_MANNERS = frozenset(manner.en for manner in MANNERS)
_FOODS = frozenset(food.en for food in lexicon.FOODS)
_SUBSTITUTES = {"p": "this person", "a": "this animal", "b": "this place", "t": "this thing"}
_KNOWING = ("I think that", "I know that", "I hear that", "I hope that")
_TELLING = ("you know that", "you see that", "you may hear that")


class _Writer:
    """One answer in the making."""

    def __init__(self, about: Topic, demands: Mapping[str, str], draws: Draws) -> None:
        self.about, self.demands, self.draws = about, demands, draws
        self.past = "yesterday" in demands or draws.chance(0.5)
        self.article = draws.weighted(((0.6, "any"), (0.2, "the"), (0.2, "a")))
        self.hidden = "avoid" in demands and draws.chance(0.45)
        self.manner = ""
        self.n_units = self._count()
        self.things: list[list[tuple[str, str]]] = [[] for _ in range(self.n_units)]
        self.adjuncts: list[list[str]] = [[] for _ in range(self.n_units)]

    def _count(self) -> int:
        """Return how many clauses there are to be."""
        for kind in ("sentences", "list", "bullets"):
            if kind in self.demands:
                return count(self.demands[kind], "en")
        return 2 if "words" not in self.demands and self.draws.chance(0.12) else 1

    def _unit(self) -> int:
        return self.draws.below(self.n_units)

    def noun(self, noun: Noun, *adjectives: str) -> str:
        """Name a single thing."""
        core = " ".join([*adjectives, noun.en])
        definite = self.article == "the" or (self.article == "any" and self.draws.chance(0.5))
        return f"the {core}" if definite else with_article(core)

    def add(self, noun: Noun, text: str) -> None:
        """Put a thing into one of the clauses."""
        self.things[self._unit()].append((noun.kind, text))

    def gather(self) -> None:
        """Make phrases of everything that is demanded."""
        draws = self.draws
        for kind, argument in self.demands.items():
            match kind:
                case "include":
                    self._include(argument)
                case "both":
                    for word in argument.split(" and "):
                        self.add(BY_WORD["en"][word], self.noun(BY_WORD["en"][word]))
                case "twice":
                    again = draws.pick((f"another {argument}", f"one more {argument}"))
                    self.add(
                        BY_WORD["en"][argument], f"{self.noun(BY_WORD['en'][argument])} and {again}"
                    )
                case "color" | "shade":
                    noun = draws.pick(THINGS)
                    self.add(noun, self.noun(noun, argument or draws.pick(lexicon.COLORS).en))
                case "number":
                    noun = draws.pick(OBJECTS)
                    self.add(noun, f"{draws.pick(NUMBER_WORDS).en} {noun.plural}")
                case "animal":
                    noun = draws.pick(ANIMALS[: len(lexicon.PETS)])
                    self.add(noun, self.noun(noun))
                case "food":
                    food = draws.pick(lexicon.FOODS).en
                    self.things[self._unit()].append(("f", f"some {food}"))
                case _:
                    if adjunct := self._adjunct(kind, argument):
                        self.adjuncts[self._unit()].append(adjunct)

    def _include(self, word: str) -> None:
        """Place a word of any class."""
        if word in _MANNERS:
            self.manner = word
        elif word in _ADJECTIVES:
            adjective = _ADJECTIVES[word]
            fitting = [noun for noun in OBJECTS if noun.kind in adjective.kinds]
            noun = self.draws.pick(fitting)
            self.add(noun, self.noun(noun, word))
        else:
            self.add(BY_WORD["en"][word], self.noun(BY_WORD["en"][word]))

    def _adjunct(self, kind: str, argument: str) -> str:
        """Make a phrase that says when, where or with whom."""
        match kind:
            case "name":
                return f"{self.draws.pick(('with', 'for', 'near', 'without'))} {argument}"
            case "yesterday":
                return "yesterday"
            case "weekday":
                return f"on {argument}"
            case "season":
                return f"in {argument}"
            case "place":
                return f"in the {argument}"
            case "weather":
                return f"in the {self.draws.pick(WEATHER).en}"
            case _:
                return ""

    def subject(self, unit: int, *, animate: bool) -> tuple[str, bool]:
        """Name who or what a clause is about; tells also whether that is an animal."""
        noun = self.about.noun
        if unit == 0 and (not animate or noun.kind in "pa"):
            text = _SUBSTITUTES[noun.kind] if self.hidden else self.noun(noun)
            return text, noun.kind == "a"
        if animate:
            if self.draws.chance(0.5):
                return self.draws.pick(("everyone", "nobody")), False
            return self.noun(self.draws.pick(PEOPLE)), False
        return self.draws.pick(("it", "everything", "this")), False

    def verb(self, verb: Verb, asked: bool) -> tuple[str, str]:
        """Return what stands before the subject and what behind it."""
        manner = f"{self.manner} " if self.manner else ""
        self.manner = ""
        if asked:
            return "did" if self.past else "does", manner + verb.en
        return "", manner + (verb.past if self.past else verb.third)

    def clause(self, unit: int, asked: bool) -> list[str]:
        """Write subject, verb and things of a clause."""
        draws, things = self.draws, _ordered(self.things[unit])
        about = self.about.noun
        animate = (
            bool(things)
            or bool(self.manner)
            or (draws.chance(0.6) if unit else about.kind in "pa" or draws.chance(0.5))
        )
        if not animate:
            be = "was" if self.past else "is"
            subject, quality = self.subject(unit, animate=False)[0], draws.pick(_SHORT).en
            return [be, subject, quality] if asked else [subject, be, quality]
        subject, is_animal = self.subject(unit, animate=True)
        if unit == 0 and about.kind not in "pa":
            name = _SUBSTITUTES[about.kind] if self.hidden else self.noun(about)
            things.insert(0, (about.kind, name))
        elif not things:
            noun = draws.pick(OBJECTS)
            things.append((noun.kind, self.noun(noun)))
        kind, first = things[0]
        fitting = (_BY_ANIMALS[kind] if is_animal else ()) or _BY_KIND[kind]
        before, verb = self.verb(draws.pick(fitting), asked)
        rest = [_beside(kind, text) for kind, text in things[1:]]
        return [part for part in (before, subject, verb, first, *rest) if part]

    def opening(self, unit: int, clause: list[str], asked: bool) -> str:
        """Write what leads into a clause, with the clause."""
        text = " ".join(clause)
        if unit == 0 and "me" in self.demands:
            return f"{'can I say that' if asked else self.draws.pick(_KNOWING)} {text}"
        if unit == 0 and "you" in self.demands:
            return f"{'do you know that' if asked else self.draws.pick(_TELLING)} {text}"
        return text

    def sentence(self, unit: int) -> str:
        """Write a clause with everything around it, without its mark."""
        draws, demands = self.draws, self.demands
        is_last = unit == self.n_units - 1
        asked = is_last and "question" in demands
        told = unit == 0 and ("me" in demands or "you" in demands)
        text = self.opening(unit, self.clause(unit, asked and not told), asked)
        adjuncts = draws.shuffled(self.adjuncts[unit])
        if unit == 0 and "me" in demands and "you" in demands:
            adjuncts.append(draws.pick(("with you", "for you", "like you")))
        elif not adjuncts and "words" not in demands and draws.chance(0.25):
            adjuncts.append(f"near the {draws.pick(PLACES).en}")
        lead = demands.get("begin", "") if unit == 0 else ""
        comma = unit == 0 and "comma" in demands
        if not lead and adjuncts and not told and draws.chance(0.6 if comma else 0.3):
            lead = adjuncts.pop()
        if comma and not lead and "link" not in demands:
            lead = draws.pick(("in fact", "of course", "as always", "at last", "for once"))
        text = " ".join([text, *adjuncts])
        if lead:
            text = f"{lead}{',' if comma or draws.chance(0.15) else ''} {text}"
        if unit == 0 and "link" in demands:
            text += f"{',' if comma else ''} {demands['link']} {self.link()}"
        if is_last and "end" in demands:
            text += f" {demands['end']}"
        if is_last and "repeat" in demands:
            text += f" {text.split(' ')[-1]}"
        return text[0].upper() + text[1:]

    def link(self) -> str:
        """Write a short clause to be joined."""
        be, draws = "was" if self.past else "is", self.draws
        if draws.chance(0.4):
            return f"it {be} {draws.pick(_SHORT).en}"
        return f"{self.noun(draws.pick(PEOPLE))} {be} {draws.pick(FEELINGS).en}"

    def text(self) -> str:
        """Write the answer."""
        demands = self.demands
        self.gather()
        marks = ["."] * self.n_units
        marks[-1] = "?" if "question" in demands else "!" if "exclaim" in demands else "."
        listed = "list" in demands or "bullets" in demands
        if listed and self.draws.chance(0.5):
            marks = [mark if mark in "?!" else "" for mark in marks]
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
