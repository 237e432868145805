"""The Chinese form of abstract sentences."""

from __future__ import annotations

from qbench.mini.world.translation import lexicon as words
from qbench.mini.world.translation.grammar import Clause, Phrase, Relative, Sentence, Where
from qbench.mini.world.translation.lexicon import Adjective

# The auxiliary by mode: affirmative and negated.
_AUXILIARIES = {
    "past": ("", "没"),
    "present": ("", "不"),
    "future": ("会", "不会"),
    "can": ("能", "不能"),
    "must": ("必须", ""),
    "want": ("想", "不想"),
}


def where_text(where: Where) -> str:
    """Write a place phrase without the 在 before it."""
    if where.name:
        return where.name.zh + where.relation.zh
    assert where.place is not None
    adjective = where.adjective.zh if where.adjective else ""
    return adjective + where.place.noun.zh + where.relation.zh


def _relative(clause: Relative) -> str:
    """Write a relative clause, which stands before all else."""
    if clause.where:
        return f"住在{where_text(clause.where)}的"
    assert clause.verb is not None
    if clause.noun:
        return f"{clause.verb.zh}{clause.noun.zh}的"
    assert clause.subject is not None
    return f"{phrase(clause.subject)}{clause.verb.zh}的"


def _adjectives(adjectives: tuple[Adjective, ...]) -> str:
    """Write adjectives: those with 的 first, a short one next to the noun."""
    if len(adjectives) == 2 and not adjectives[0].zh.endswith("的"):
        return adjectives[1].zh + adjectives[0].zh
    return "".join(a.zh for a in adjectives)


def phrase(p: Phrase) -> str:
    """Write a noun phrase."""
    if p.pronoun:
        return p.pronoun.zh
    if p.name:
        return p.name.zh
    owner = phrase(p.owner) + "的" if p.owner else ""
    if p.relation:
        return owner + p.relation.zh
    assert p.noun is not None
    core = _adjectives(p.adjectives) + p.noun.zh
    person = p.noun.kind == "p"
    match p.determiner:
        case "a":
            text = f"一{p.noun.measure}{core}"
        case "number":
            text = words.NUMBERS[p.quantity].zh + p.noun.measure + core
        case "this":
            text = f"这{p.noun.measure}{core}"
        case "these":
            text = f"这些{core}"
        case "some":
            text = f"一些{core}"
        case "many":
            text = f"很多{core}"
        case "the":
            text = core if person else f"那{p.noun.measure}{core}"
        case "the many":
            text = f"{core}们" if person else f"那些{core}"
        case _:
            text = core
    return (_relative(p.relative) if p.relative else "") + owner + text


def _predicate(adjective: Adjective) -> str:
    """Return an adjective as it stands in a predicate."""
    return adjective.zh.removesuffix("的")


def clause(c: Clause, *, plain: bool = False) -> str:
    """Write a clause; a plain one has the tense of the other clause."""
    subject = phrase(c.subject)
    if c.kind == "there":
        assert c.where is not None
        return f"{where_text(c.where)}有{subject}"
    if c.adjective and c.kind == "be":
        return f"{subject}{'不' if c.negated else '很'}{_predicate(c.adjective)}"
    if c.adjective and c.other:
        return f"{subject}比{phrase(c.other)}{_predicate(c.adjective)}"
    assert c.verb is not None
    when = c.when.zh if c.when else ""
    parts = [when, subject] if c.when_first else [subject, when]
    mode = "present" if plain else c.mode
    parts.append(_AUXILIARIES[mode][c.negated])
    if c.adverb:
        parts.append(c.adverb.zh)
    done = "了" if mode == "past" and not c.negated else ""
    thing = phrase(c.object) if c.object else ""
    if c.kind == "place":
        assert c.where is not None
        return "".join((*parts, "把", thing, c.verb.zh, "在", done, where_text(c.where)))
    if c.companion:
        parts.append(f"和{phrase(c.companion)}一起")
    if c.where:
        parts.append("在" + where_text(c.where))
    if c.favored:
        parts.append("为" + phrase(c.favored))
    parts.append((c.verb.stem if c.duration else c.verb.zh) + done)
    if c.receiver:
        parts.append(phrase(c.receiver))
    if c.duration:
        parts.append(words.NUMBERS[c.duration[0]].zh + c.duration[1].zh)
    return "".join((*parts, thing))


def sentence(s: Sentence) -> str:
    """Write a sentence."""
    if s.link is None:
        return clause(s.clauses[0]) + "。"
    a, b = s.clauses
    return s.link.zh.format(a=clause(a), b=clause(b, plain=s.link.plain)) + "。"
