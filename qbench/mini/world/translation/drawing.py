"""How sentences of the translation exercises are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

from qbench.mini.draws import Draws
from qbench.mini.world.lexicon import Term
from qbench.mini.world.translation import lexicon as words
from qbench.mini.world.translation.grammar import (
    LINKS,
    PRONOUNS,
    Clause,
    Determiner,
    Link,
    Mode,
    Phrase,
    Relative,
    Sentence,
    Where,
)
from qbench.mini.world.translation.lexicon import Adjective, Noun, Verb

# What a clause is in its sentence; a plain one has no tense of its own in Chinese.
Role = Literal["single", "first", "second", "plain"]
NameDraw = Callable[[Draws, str], Term]
_TIMES: dict[Mode, Sequence[Term]] = {
    "past": words.PAST_TIMES,
    "present": words.PRESENT_TIMES,
    "future": words.FUTURE_TIMES,
    "can": words.FUTURE_TIMES,
    "must": words.FUTURE_TIMES,
    "want": words.FUTURE_TIMES,
}
_MODES: tuple[tuple[float, Mode], ...] = (
    (10, "past"), (5, "present"), (5, "future"), (1, "can"), (1, "must"), (1, "want"),
)  # fmt: skip
_PLAIN_MODES: tuple[tuple[float, Mode], ...] = ((2, "past"), (1, "present"), (1, "future"))
_IF_MODES: tuple[tuple[float, Mode], ...] = ((3, "future"), (1, "can"), (1, "must"))
_DETERMINERS: tuple[tuple[float, Determiner], ...] = (
    (5, "a"), (5, "the"), (4, "number"), (2, "this"), (1, "these"), (2, "the many"), (2, "some"),
    (1, "many"),
)  # fmt: skip


@cache
def _nouns_of(kinds: str) -> tuple[Noun, ...]:
    """Return the nouns of some kinds."""
    return tuple(noun for noun in words.NOUNS if noun.kind in kinds)


@cache
def _verbs_of(animal: bool, kinds: str = "") -> tuple[Verb, ...]:
    """Return the verbs of acts, of animals only, or those that take all of some kinds."""
    return tuple(
        v
        for v in words.VERBS
        if (not animal or v.en in words.ANIMAL_VERBS) and set(kinds) <= set(v.kinds)
    )


@cache
def _adjectives_of(kind: str) -> tuple[Adjective, ...]:
    """Return the adjectives of a kind of noun."""
    return tuple(a for a in words.ADJECTIVES if kind in a.kinds)


@cache
def _comparable(kind: str) -> tuple[Adjective, ...]:
    """Return the adjectives that are used as predicates of a kind of noun."""
    return tuple(a for a in _adjectives_of(kind) if a.more)


class Drawer:
    """Draws sentences.

    Parameters
    ----------
    draws
        The stream to draw from.
    name
        Draws a name of a kind: ``"people"``, ``"towns"`` or ``"rivers"``.
    """

    def __init__(self, draws: Draws, name: NameDraw) -> None:
        self.draws = draws
        self.name = name

    def adjectives(self, kind: str, probability: float) -> tuple[Adjective, ...]:
        """Draw up to two adjectives of different rank, in English order."""
        options = _adjectives_of(kind)
        if not options or not self.draws.chance(probability):
            return ()
        first = self.draws.pick(options)
        if not self.draws.chance(0.15):
            return (first,)
        second = self.draws.pick(options)
        # Chinese puts one short adjective next to the noun; two would have no settled order.
        if first.rank == second.rank or not (first.zh.endswith("的") or second.zh.endswith("的")):
            return (first,)
        return (first, second) if first.rank < second.rank else (second, first)

    def where(self, town: float = 0.2) -> Where:
        """Draw a place phrase."""
        draws = self.draws
        if draws.chance(town):
            if draws.chance(0.2):
                return Where(words.RELATIONS["n"], None, self.name(draws, "rivers"), None)
            relation = Term("in", "") if draws.chance(0.7) else words.RELATIONS["n"]
            return Where(relation, None, self.name(draws, "towns"), None)
        place = draws.pick(words.PLACES)
        adjectives = self.adjectives(place.noun.kind, 0.1) if place.noun.kind else ()
        return Where(
            draws.pick(place.relations), place, None, adjectives[0] if adjectives else None
        )

    def owner(self) -> Phrase:
        """Draw an owner."""
        r = self.draws.below(20)
        if r < 12:
            return Phrase(pronoun=self.draws.pick(PRONOUNS))
        if r < 17:
            return Phrase(noun=self.draws.pick(words.CRAFTS), determiner="the")
        return Phrase(name=self.name(self.draws, "people"))

    def relative(self) -> Relative:
        """Draw a relative clause about a person."""
        if self.draws.chance(0.5):
            return Relative(self.where(), None, None, None)
        verb = self.draws.pick(words.VERBS[:12])
        noun = self.draws.pick(_nouns_of(verb.kinds.replace("p", "")))
        return Relative(None, verb, noun, None)

    def person(
        self, *, subject: bool = False, relative: float = 0.0, pronoun: float = 0.15
    ) -> Phrase:
        """Draw somebody."""
        draws = self.draws
        if draws.chance(pronoun):
            return Phrase(pronoun=draws.pick(PRONOUNS))
        r = draws.below(100)
        if r < (13 if subject else 28):
            return Phrase(name=self.name(draws, "people"))
        if r < 38:
            return Phrase(relation=draws.pick(words.RELATIVES), owner=self.owner())
        determiner: Determiner = draws.weighted(
            (
                (9, "the"),
                (3, "a"),
                (2, "the many"),
                (2, "number"),
                (1, "this"),
                (1, "these"),
                (1, "many"),
            )
        )
        clause = self.relative() if determiner == "the" and draws.chance(relative) else None
        return Phrase(
            noun=draws.pick(words.CRAFTS),
            determiner=determiner,
            quantity=draws.between(2, 9) if determiner == "number" else 1,
            adjectives=self.adjectives("p", 0.2),
            relative=clause,
        )

    def thing(self, kinds: str, *, definite: bool = False, relative: float = 0.06) -> Phrase:
        """Draw a thing, an animal or a building of some kinds."""
        draws = self.draws
        noun = draws.pick(_nouns_of(kinds))
        if definite:
            determiner: Determiner = draws.weighted(
                ((5, "the"), (2, "this"), (2, "the many"), (1, "these"))
            )
        else:
            determiner = draws.weighted(_DETERMINERS)
        if noun.container and determiner in {"the many", "these", "many"}:
            determiner = "number" if not definite else "the"
        owner = self.owner() if noun.kind != "b" and draws.chance(0.1) else None
        if owner:
            determiner = "number" if not definite and draws.chance(0.2) else ""
        clause = None
        if owner is None and determiner in {"the", "the many"} and draws.chance(relative):
            verb = draws.pick(_verbs_of(False, noun.kind))
            person = Phrase(noun=draws.pick(words.CRAFTS), determiner="the")
            if draws.chance(0.4):
                person = Phrase(pronoun=draws.pick(PRONOUNS))
            clause = Relative(None, verb, None, person)
        return Phrase(
            noun=noun,
            determiner=determiner,
            quantity=draws.between(2, 20) if determiner == "number" else 1,
            adjectives=self.adjectives(noun.kind, 0.25),
            owner=owner,
            relative=clause,
        )

    def subject(self, verb: Verb | None, second: bool) -> Phrase:
        """Draw who does something; a second clause often takes up somebody by a pronoun."""
        if verb and verb.en in words.ANIMAL_VERBS and self.draws.chance(0.3):
            return self.thing("a", relative=0)
        return self.person(subject=True, relative=0.08, pronoun=0.5 if second else 0.12)

    def clause(self, mode: Mode, role: Role) -> Clause:
        """Draw a clause of a mode (see Role)."""
        draws = self.draws
        if mode == "present" and role != "plain" and draws.chance(0.35):
            return self._state(role)
        r = draws.below(20)
        if r < 2:
            return self._placing(mode, role)
        if r < 5:
            verb = draws.pick(words.ALONE)
        elif r < 8:
            verb = draws.pick(words.GIVING)
        elif mode == "present" and role != "plain" and r < 12:
            verb = draws.pick(words.STATES)
        else:
            verb = draws.pick(words.VERBS)
        giving, stative = verb in words.GIVING, verb in words.STATES
        thing = None
        if verb.kinds:
            thing = (
                self.person(relative=0.1)
                if "p" in verb.kinds and (verb.kinds == "p" or draws.chance(0.35))
                else self.thing(verb.kinds)
            )
        negated = mode != "must" and role != "plain" and draws.chance(0.15)
        spare = 0.5 if role != "single" else 1.0
        favored = not giving and verb.en in words.FAVORS and draws.chance(0.12)
        clause = Clause(
            "act",
            self.subject(verb, role != "single" and role != "first"),
            verb,
            mode,
            negated,
            None if negated or stative or role == "plain" else self.adverb(mode),
            thing,
            self.receiver(thing) if giving and thing else None,
            self.person() if favored else None,
        )
        if not stative and not giving and not favored and draws.chance(0.08 * spare):
            clause = clause._replace(companion=self.person())
        if not stative and draws.chance((0.35 if verb.kinds else 0.7) * spare):
            clause = clause._replace(where=self.where())
        if not verb.kinds and not negated and draws.chance(0.5):
            clause = clause._replace(
                duration=(draws.between(2, 12), draws.pick(words.UNITS)) if verb.stem else None
            )
        return clause

    def receiver(self, thing: Phrase) -> Phrase:
        """Draw to whom a thing is given."""
        receiver = self.person()
        # Chinese would write two names without anything between them: nobody knew where to cut.
        while receiver.name and thing.owner and thing.owner.name:
            receiver = self.person()
        return receiver

    def adverb(self, mode: Mode) -> Term | None:
        """Draw an adverb, or none."""
        if mode == "present":
            return self.draws.pick(words.FREQUENCIES) if self.draws.chance(0.35) else None
        return self.draws.pick(words.MANNERS) if self.draws.chance(0.15) else None

    def _placing(self, mode: Mode, role: Role) -> Clause:
        """Draw a clause about putting something somewhere."""
        verb = self.draws.pick(words.PLACING)
        subject = self.subject(None, role != "single" and role != "first")
        negated = mode != "must" and role != "plain" and self.draws.chance(0.15)
        thing = self.thing(verb.kinds, definite=True, relative=0.05)
        return Clause("place", subject, verb, mode, negated, object=thing, where=self.where(0.05))

    def _state(self, role: Role) -> Clause:
        """Draw a clause about what something is like, or what is somewhere."""
        draws = self.draws
        r = draws.below(3)
        if r == 0:
            where = self.where()
            subject = self.thing("aftchur", relative=0)
            while subject.owner or subject.determiner not in {"a", "number", "some", "many"}:
                subject = self.thing("aftchur", relative=0)
            return Clause("there", subject, where=where)
        kind = "p" if draws.chance(0.6) else draws.pick("aftchurb")
        adjective = draws.pick(_comparable(kind))
        negated = r == 1 and draws.chance(0.3)
        if kind == "p":
            pronoun = 0.4 if role not in {"single", "first"} else 0.1
            subject, other = self.person(subject=True, relative=0.3, pronoun=pronoun), self.person()
        else:
            subject = self.thing(kind, definite=True, relative=0.2)
            other = self.thing(kind, definite=True, relative=0)
        if r == 1:
            return Clause("be", subject, negated=negated, adjective=adjective)
        return Clause("more", subject, adjective=adjective, other=other)

    def _timed(self, clause: Clause, probability: float, front: bool) -> Clause:
        """Add a time, with a probability, to a clause that can have one."""
        habit = clause.mode == "present"
        if clause.kind not in {"act", "place"} or clause.verb in words.STATES:
            return clause
        if not self.draws.chance(probability * (0.7 if habit else 1)):
            return clause
        when = self.draws.pick(_TIMES[clause.mode])
        return clause._replace(when=when, when_first=front and self.draws.chance(0.45))

    def sentence(self, n_clauses: int) -> Sentence:
        """Draw a sentence of one or two clauses."""
        draws = self.draws
        if n_clauses == 1:
            clause = self.clause(draws.weighted(_MODES), "single")
            return Sentence(None, (self._timed(clause, 0.7, True),))
        link = draws.pick(LINKS)
        first, second = self._modes(link)
        a = self._joined(link, first, "first" if link.front else "second")
        b = self._joined(link, second, "plain" if link.plain else "second")
        return Sentence(link, (self._timed(a, 0.35, link.front), b))

    def _joined(self, link: Link, mode: Mode, role: Role) -> Clause:
        """Draw a clause that a link can join."""
        clause = self.clause(mode, role)
        while link.events and clause.kind not in {"act", "place"}:
            clause = self.clause(mode, role)
        return clause

    def _modes(self, link: Link) -> tuple[Mode, Mode]:
        """Draw the modes of both clauses of a link."""
        if link.en.startswith("If"):
            return self.draws.weighted(_IF_MODES), "present"
        if link.plain:
            mode = self.draws.weighted(_PLAIN_MODES)
            return mode, "past" if mode == "past" else "present"
        mode = self.draws.weighted(_MODES)
        if ", but" in link.en:
            return mode, self.draws.weighted(_MODES)
        if link.front and "because" not in link.en:
            return mode, mode
        return mode, "past" if mode == "past" else "present"
