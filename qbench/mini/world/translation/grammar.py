"""Abstract sentences of the translation exercises, before they are in any language.

A sentence is one clause or two with a link. It says everything that both languages need, so that
it has one form in each: `grammar_draw` draws them,
`grammar_en` and `grammar_zh` write them.
"""

from __future__ import annotations

import zlib
from typing import Literal, NamedTuple

from qbench.mini.world.lexicon import Term
from qbench.mini.world.translation.lexicon import Adjective, Noun, Place, Verb

Mode = Literal["past", "present", "future", "can", "must", "want"]
Determiner = Literal["a", "the", "the many", "this", "these", "some", "many", "number", ""]


class Pronoun(NamedTuple):
    """A personal pronoun: as subject, as object, and of what it has."""

    subject: str
    object: str
    owner: str
    zh: str
    plural: bool


PRONOUNS = (
    Pronoun("I", "me", "my", "我", True),
    Pronoun("he", "him", "his", "他", False),
    Pronoun("she", "her", "her", "她", False),
    Pronoun("we", "us", "our", "我们", True),
    Pronoun("they", "them", "their", "他们", True),
)


class Where(NamedTuple):
    """A place phrase: a relation to a place, or to a named town or river."""

    relation: Term
    place: Place | None
    name: Term | None
    adjective: Adjective | None


class Relative(NamedTuple):
    """A relative clause: who lives at a place, who does something, or that somebody did it to."""

    where: Where | None
    verb: Verb | None
    noun: Noun | None
    subject: Phrase | None


class Phrase(NamedTuple):
    """A noun phrase: a noun, or a name, or a pronoun, or a relative of its owner."""

    noun: Noun | None = None
    name: Term | None = None
    pronoun: Pronoun | None = None
    relation: Term | None = None
    determiner: Determiner = ""
    quantity: int = 1
    adjectives: tuple[Adjective, ...] = ()
    owner: Phrase | None = None
    relative: Relative | None = None

    @property
    def plural(self) -> bool:
        """Whether the verb is plural."""
        if self.pronoun:
            return self.pronoun.plural
        if self.noun and self.noun.container and self.determiner in {"some", ""}:
            return self.noun.en.endswith("s")
        return self.determiner in {"the many", "these", "some", "many"} or self.quantity > 1


class Clause(NamedTuple):
    """Who does what, to or for whom, with whom, where, when, for how long; or what is how.

    ``kind`` says which of the parts there are: *act* (a verb with or without object), *place* (put
    something somewhere), *be* (an adjective), *more* (a comparative), *there* (what is somewhere).
    """

    kind: Literal["act", "place", "be", "more", "there"]
    subject: Phrase
    verb: Verb | None = None
    mode: Mode = "present"
    negated: bool = False
    adverb: Term | None = None
    object: Phrase | None = None
    receiver: Phrase | None = None
    favored: Phrase | None = None
    companion: Phrase | None = None
    where: Where | None = None
    duration: tuple[int, Term] | None = None
    when: Term | None = None
    when_first: bool = False
    adjective: Adjective | None = None
    other: Phrase | None = None


class Link(NamedTuple):
    """How two clauses are joined, with {a} and {b} in each language.

    ``plain`` marks that Chinese leaves the tense of {b} to the other clause; ``events`` that both
    must be events; ``front`` that {a} comes first in English, so that its time may lead.
    """

    en: str
    zh: str
    plain: bool
    events: bool
    front: bool


LINKS = (
    Link("{a} because {b}", "因为{b}，所以{a}", False, False, True),
    Link("{a}, but {b}", "{a}，但是{b}", False, False, True),
    Link("{a}, so {b}", "{a}，所以{b}", False, False, True),
    Link("{a}, and then {b}", "{a}，然后{b}", False, True, True),
    Link("Although {b}, {a}", "虽然{b}，但是{a}", False, False, False),
    Link("When {b}, {a}", "{b}的时候，{a}", True, True, False),
    Link("{a} before {b}", "在{b}之前，{a}", True, True, True),
    Link("After {b}, {a}", "{b}以后，{a}", True, True, False),
    Link("If {b}, {a}", "如果{b}，那么{a}", True, True, False),
)


class Sentence(NamedTuple):
    """One clause, or two and their link."""

    link: Link | None
    clauses: tuple[Clause, ...]


HELD_ONE_IN = 10


def is_held(clause: Clause) -> bool:
    """Whether a clause joins a verb, an object and a place that training never joins."""
    thing = clause.object.noun if clause.object else None
    place = clause.where.place if clause.where else None
    if clause.verb is None or thing is None or place is None:
        return False
    joined = f"{clause.verb.en}/{thing.en}/{place.noun.en}"
    return zlib.crc32(joined.encode()) % HELD_ONE_IN == 0
