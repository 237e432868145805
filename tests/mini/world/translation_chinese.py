"""Every reading of a Chinese sentence of the translation exercises."""

from __future__ import annotations

from typing import Any

from mini.world.translation_parsers import (
    ADVERBS,
    COUNTED,
    CRAFT_NAMES,
    GIVING,
    MASS,
    MEASURE,
    MEASURES,
    NUMBERS_ZH,
    PRONOUNS,
    TIMES,
    VERBS,
    Parser,
    either,
    kept,
    maybe,
    name_zh,
    nth,
    one_of,
    phrase,
    row,
    turned,
    whole,
    word,
)

from qbench.mini.world.translation import lexicon as words

KINDS = {n.en: n.kind for n in (*COUNTED.values(), *MASS.values())}
ADJECTIVES = [(a.zh, (a.en, a.kinds, a.zh)) for a in words.ADJECTIVES]
NOUNS = {n.zh: n.en for n in (*COUNTED.values(), *MASS.values())}


def _core(value: Any) -> Any:
    """Turn adjectives and a noun into a pair, if they belong together and stand in order."""
    adjectives, noun = value
    if any(KINDS[noun] not in kinds for _, kinds, _ in adjectives):
        return None
    if any(not zh.endswith("的") for _, _, zh in adjectives[:-1]):
        return None
    return tuple(a for a, _, _ in adjectives), noun


one_adjective = one_of(ADJECTIVES)
adjectives = either(
    one_of([("", ())]),
    turned(one_adjective, lambda a: (a,)),
    row(one_adjective, one_adjective),
)
core = kept(turned(row(adjectives, one_of(NOUNS)), _core))
measured = turned(
    row(one_of({m: m for m in MEASURES} | {"个": "个"}), core),
    lambda v: v[1] if MEASURE.get(v[1][1], "个") == v[0] else None,
)
person_core = turned(core, lambda v: v if v[1] in CRAFT_NAMES else None)
thing_core = turned(core, lambda v: v if v[1] not in CRAFT_NAMES else None)
counted_core = turned(core, lambda v: v if v[1] not in MASS else None)
thing_measured = turned(measured, lambda v: v if v[1] not in CRAFT_NAMES else None)
number = one_of([(zh, n) for zh, n in NUMBERS_ZH.items() if n > 1])

named = turned(row(name_zh, one_of({"": "in", "附近": "near"})), lambda v: (v[1], v[0]))
LOCALIZERS = {t.zh: t.en for t in words.RELATIONS.values()}
PLACES = {p.noun.zh: p.noun.en for p in words.PLACES}
PLACE_KINDS = {p.noun.en: p.noun.kind for p in words.PLACES}
placed = turned(
    row(maybe(one_adjective), one_of(PLACES), one_of(LOCALIZERS)),
    lambda v: (
        (v[2], ("place", v[0] and v[0][0], v[1]))
        if v[0] is None or (PLACE_KINDS[v[1]] and PLACE_KINDS[v[1]] in v[0][1])
        else None
    ),
)
where = kept(either(placed, named))
pronoun = one_of({p[3]: ("pronoun", p[0]) for p in PRONOUNS})
bare_craft = one_of({c.zh: phrase("the", (), c.en) for c in words.CRAFTS})
owner = nth(0, either(pronoun, bare_craft, name_zh), word("的"))
VERB_OF = [(v.zh, v) for v in VERBS]
relative = either(
    turned(row(word("住在"), where, word("的")), lambda v: ("lives", v[1])),
    turned(row(one_of(VERB_OF), one_of(NOUNS), word("的")), lambda v: ("does", v[0].en, v[1])),
    turned(
        row(either(bare_craft, pronoun), one_of(VERB_OF), word("的")),
        lambda v: ("done", v[0], v[1].en),
    ),
)
definite = either(
    turned(person_core, lambda v: ("the", v)),
    turned(nth(0, person_core, word("们")), lambda v: ("the many", v)),
    turned(nth(1, word("那"), thing_measured), lambda v: ("the", v)),
    turned(nth(1, word("那些"), turned(counted_core, lambda v: v)), lambda v: ("the many", v)),
    row(one_of({"这": "this", "一": "a"}), measured),
    row(one_of({"这些": "these", "很多": "many"}), counted_core),
    row(one_of({"一些": "some"}), core),
)
noun_phrase = kept(
    either(
        pronoun,
        name_zh,
        turned(row(maybe(relative), definite), lambda v: phrase(v[1][0], *v[1][1], relative=v[0])),
        turned(row(number, measured), lambda v: phrase("number", *v[1], number=v[0])),
        turned(
            row(owner, number, measured), lambda v: phrase("number", *v[2], number=v[1], owner=v[0])
        ),
        turned(row(owner, thing_core), lambda v: phrase("", *v[1], owner=v[0])),
        turned(
            row(owner, one_of({r.zh: r.en for r in words.RELATIVES})),
            lambda v: ("relation", v[1], v[0]),
        ),
    )
)
time = one_of({zh: en for en, zh in TIMES.items()})
AUXILIARIES = {
    "": ("", False), "没": ("past", True), "不": ("present", True), "会": ("future", False),
    "不会": ("future", True), "能": ("can", False), "不能": ("can", True),
    "必须": ("must", False), "想": ("want", False), "不想": ("want", True),
}  # fmt: skip
auxiliary = one_of(AUXILIARIES)
adverb = maybe(one_of({zh: en for en, zh in ADVERBS.items()}))
done = one_of({"": False, "了": True})
duration = row(number, one_of({u.zh: u.en for u in words.UNITS}))
HEADS: Parser = either(
    turned(row(maybe(time), noun_phrase), lambda v: (v[1], (v[0], v[0] is not None))),
    turned(row(noun_phrase, time), lambda v: (v[0], (v[1], False))),
)
before_verb = row(
    maybe(nth(1, word("和"), noun_phrase, word("一起"))),
    maybe(nth(1, word("在"), where)),
    maybe(nth(1, word("为"), noun_phrase)),
)


placing = row(
    word("把"), noun_phrase, one_of({v.zh: v for v in words.PLACING}), word("在"), done, where
)
OTHERS = [v for v in VERBS if v not in words.PLACING]
timed = row(one_of([(v.stem, v) for v in OTHERS if not v.kinds]), done, duration)
other_verb = row(one_of([(v.zh, v) for v in OTHERS]), done)
one_thing = turned(noun_phrase, lambda what: (None, what))
two_things = row(noun_phrase, noun_phrase)


def _tail(text: str, at: int) -> Any:
    """Read the verb and what stands around it: verb, whether done, and the other parts."""
    for (_, what, verb, _, past, place), stop in placing(text, at):
        yield (verb.en, past, what, None, None, None, None, place), stop
    for (companion, place, favored), after in before_verb(text, at):
        for (verb, past, long), stop in timed(text, after):
            yield (verb.en, past, None, None, favored, companion, long, place), stop
        for (verb, past), end in other_verb(text, after):
            if not verb.kinds:
                yield (verb.en, past, None, None, favored, companion, None, place), end
                continue
            for (who, what), stop in (two_things if verb.zh in GIVING else one_thing)(text, end):
                yield (verb.en, past, what, who, favored, companion, None, place), stop


heads = row(HEADS, auxiliary, adverb)


def act(text: str, at: int) -> Any:
    """Read a clause with a verb, the tense as it is written."""
    for ((who, when), (mode, negated), how), after in heads(text, at):
        for (verb, past, *parts), stop in _tail(text, after):
            if past and mode:
                continue
            yield ("act", who, mode or ("past" if past else "present"), negated, how, verb,
                   *parts, when), stop  # fmt: skip


PREDICATES = [(zh.removesuffix("的"), (en, kinds)) for zh, (en, kinds, _) in ADJECTIVES]


property_ = row(one_of({"很": "very", "不": "not"}), one_of(PREDICATES))
comparison = row(word("比"), noun_phrase, one_of(PREDICATES))


def _fits(who: Any, kinds: str) -> bool:
    """Whether an adjective's form is that for the kind of a noun phrase."""
    return KINDS[who[4]] in kinds if who[0] == "phrase" else "p" in kinds


def being(text: str, at: int) -> Any:
    """Read a clause that says what something is like, or compares it."""
    for who, after in noun_phrase(text, at):
        for (sign, (adjective, kinds)), stop in property_(text, after):
            if _fits(who, kinds):
                yield ("be", who, sign, adjective), stop
        for (_, other, (adjective, kinds)), stop in comparison(text, after):
            if _fits(who, kinds):
                yield ("more", who, adjective, other), stop


there = turned(row(where, word("有"), noun_phrase), lambda v: ("there", v[2], v[0]))
clause = either(act, being, there)
# Name, before the first, between, after the second, whether the main clause is the second, and
# whether the other clause has no tense of its own.
LINKS = (
    ("because", "因为", "，所以", "", True, False),
    ("but", "", "，但是", "", False, False),
    ("so", "", "，所以", "", False, False),
    ("then", "", "，然后", "", False, False),
    ("although", "虽然", "，但是", "", True, False),
    ("when", "", "的时候，", "", True, True),
    ("before", "在", "之前，", "", True, True),
    ("after", "", "以后，", "", True, True),
    ("if", "如果", "，那么", "", True, True),
)


def _with_tense_of(main: Any, other: Any) -> Any:
    """Give a clause without tense the one that follows from the main clause."""
    if main[0] != "act" or other[0] != "act" or other[2] != "present":
        return None
    return (*other[:2], "past" if main[2] == "past" else "present", *other[3:])


def read_chinese(sentence: str) -> set[Any]:
    """Return the readings of a sentence: link, main clause, other clause."""
    assert sentence.endswith("。")
    text = sentence[:-1]
    readings = {("", c, None) for c in whole(clause, text)}
    for link, opening, joint, _, turn, tenseless in LINKS:
        if not text.startswith(opening) or joint not in text:
            continue
        if link in {"but", "so"} and text.startswith(("虽然", "因为")):
            continue
        first, second = text.removeprefix(opening).split(joint)
        a, b = whole(clause, first), whole(clause, second)
        if turn:
            a, b = b, a
        pairs = {(x, _with_tense_of(x, y) if tenseless else y) for x in a for y in b}
        readings |= {(link, x, y) for x, y in pairs if y is not None}
    return readings
