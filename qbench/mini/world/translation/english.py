"""The English form of abstract sentences."""

from __future__ import annotations

from qbench.mini.world.translation import lexicon as words
from qbench.mini.world.translation.grammar import Clause, Mode, Phrase, Relative, Sentence, Where
from qbench.mini.world.translation.lexicon import Verb

_AN = frozenset({"honest"})
_A = frozenset({"useful"})


def with_article(text: str) -> str:
    """Put a or an before a text."""
    first = text.split(" ", 1)[0]
    vowel = first in _AN or (first[0] in words.VOWELS and first not in _A)
    return ("an " if vowel else "a ") + text


def where_text(where: Where) -> str:
    """Write a place phrase."""
    if where.name:
        article = "the " if where.name.en.endswith(" River") else ""
        return f"{where.relation.en} {article}{where.name.en}"
    assert where.place is not None
    adjective = f"{where.adjective.en} " if where.adjective else ""
    return f"{where.relation.en} the {adjective}{where.place.noun.en}"


def _owner(owner: Phrase) -> str:
    """Write whose something is."""
    return owner.pronoun.owner if owner.pronoun else phrase(owner) + "'s"


def _relative(clause: Relative) -> str:
    """Write a relative clause with the space before it."""
    if clause.where:
        return f" who lives {where_text(clause.where)}"
    assert clause.verb is not None
    if clause.noun:
        return f" who {clause.verb.third} {clause.noun.plural}"
    assert clause.subject is not None
    return f" that {phrase(clause.subject)} {clause.verb.past}"


def phrase(p: Phrase, *, subject: bool = True) -> str:
    """Write a noun phrase."""
    if p.pronoun:
        return p.pronoun.subject if subject else p.pronoun.object
    if p.name:
        return p.name.en
    if p.relation:
        assert p.owner is not None
        return f"{_owner(p.owner)} {p.relation.en}"
    assert p.noun is not None
    noun, adjectives = p.noun, "".join(a.en + " " for a in p.adjectives)
    if noun.container and p.determiner not in {"some", ""}:
        container = words.plural(noun.container) if p.plural else noun.container
        core = f"{container} of {adjectives}{noun.en}"
    else:
        core = adjectives + (noun.plural if p.plural else noun.en)
    number = f"{words.NUMBERS[p.quantity].en} " if p.determiner == "number" else ""
    if p.owner:
        return f"{_owner(p.owner)} {number}{core}"
    match p.determiner:
        case "a":
            text = with_article(core)
        case "the many":
            text = f"the {core}"
        case "number":
            text = number + core
        case _:
            text = f"{p.determiner} {core}"
    return text + (_relative(p.relative) if p.relative else "")


def _is_first_person(subject: Phrase) -> bool:
    """Whether the subject is I."""
    return subject.pronoun is not None and subject.pronoun.subject == "I"


def _be(subject: Phrase) -> str:
    """Return the form of to be in the present."""
    return "am" if _is_first_person(subject) else "are" if subject.plural else "is"


def _verb(verb: Verb, mode: Mode, negated: bool, adverb: str, plural: bool) -> str:
    """Write a verb with its auxiliaries and the adverb before it."""
    does = "do" if plural else "does"
    if mode == "past":
        return f"did not {adverb}{verb.en}" if negated else adverb + verb.past
    if mode == "present":
        present = verb.en if plural else verb.third
        return f"{does} not {adverb}{verb.en}" if negated else adverb + present
    if mode == "want":
        want = "want to" if plural else "wants to"
        return f"{does} not want to {verb.en}" if negated else f"{want} {adverb}{verb.en}"
    auxiliary = {"future": "will", "can": "can", "must": "must"}[mode]
    if negated:
        return f"{'cannot' if mode == 'can' else auxiliary + ' not'} {adverb}{verb.en}"
    return f"{auxiliary} {adverb}{verb.en}"


def clause(c: Clause) -> str:
    """Write a clause, its first letter small unless it is a name's."""
    subject = phrase(c.subject)
    if c.kind == "there":
        assert c.where is not None
        return f"there {_be(c.subject)} {subject} {where_text(c.where)}"
    if c.kind in {"be", "more"}:
        assert c.adjective is not None
        if c.kind == "be":
            return f"{subject} {_be(c.subject)} {'not' if c.negated else 'very'} {c.adjective.en}"
        assert c.other is not None
        return (
            f"{subject} {_be(c.subject)} {c.adjective.more} than {phrase(c.other, subject=False)}"
        )
    assert c.verb is not None
    adverb = f"{c.adverb.en} " if c.adverb else ""
    parts = [subject, _verb(c.verb, c.mode, c.negated, adverb, c.subject.plural)]
    if c.when and c.when_first:
        parts.insert(0, c.when.en)
    for preposition, part in (
        ("", c.object), ("to ", c.receiver), ("for ", c.favored), ("with ", c.companion)
    ):  # fmt: skip
        if part:
            parts.append(preposition + phrase(part, subject=False))
    if c.duration:
        parts.append(f"for {words.NUMBERS[c.duration[0]].en} {c.duration[1].en}s")
    if c.where:
        parts.append(where_text(c.where))
    if c.when and not c.when_first:
        parts.append(c.when.en)
    return " ".join(parts)


def sentence(s: Sentence) -> str:
    """Write a sentence."""
    texts = [clause(c) for c in s.clauses]
    text = s.link.en.format(a=texts[0], b=texts[1]) if s.link else texts[0]
    return text[0].upper() + text[1:] + "."
