"""Every reading of an English sentence of the translation exercises."""

from __future__ import annotations

from typing import Any

from mini.world.translation_parsers import (
    ADVERBS,
    CONTAINERS,
    COUNTED,
    MASS,
    NUMBERS_EN,
    PRONOUNS,
    TIMES,
    VERBS,
    Parser,
    either,
    is_plural,
    kept,
    maybe,
    name_en,
    nth,
    one_of,
    phrase,
    row,
    turned,
    whole,
    word,
)

from qbench.mini.world.translation import lexicon as words

_IRREGULAR = (
    "buy/bought sell/sold find/found lose/lost steal/stole bring/brought see/saw draw/drew "
    "break/broke make/made choose/chose build/built leave/left write/wrote forget/forgot "
    "eat/ate drink/drank feed/fed catch/caught hear/heard meet/met teach/taught wear/wore "
    "give/gave send/sent lend/lent hang/hung hide/hid sleep/slept sing/sang swim/swam run/ran"
)
TOWN_ENDINGS = ("ford", "burg", "ton", "haven")
IRREGULAR = dict(pair.split("/") for pair in _IRREGULAR.split(" "))


def past(verb: str) -> str:
    """Return the past of a verb."""
    head, _, tail = verb.partition(" ")
    regular = head[:-1] + "ied" if head in {"carry", "cry"} else head.rstrip("e") + "ed"
    return " ".join(filter(None, (IRREGULAR.get(head, regular), tail)))


def third(verb: str) -> str:
    """Return the third person of a verb."""
    head, _, tail = verb.partition(" ")
    if head in {"carry", "cry"}:
        head = head[:-1] + "ie"
    elif head.endswith(("sh", "ch")):
        head += "e"
    return " ".join(filter(None, (head + "s", tail)))


def spaced(names: Any) -> Parser:
    """Read one of some words and the space behind it."""
    return one_of({f"{name} ": name for name in names})


ADJECTIVES = {a.en for a in words.ADJECTIVES}
adjectives = either(
    one_of([("", ())]),
    turned(spaced(ADJECTIVES), lambda a: (a,)),
    row(spaced(ADJECTIVES), spaced(ADJECTIVES)),
)
one_noun = spaced(COUNTED)
many_nouns = one_of({f"{n.plural} ": n.en for n in COUNTED.values()})
CONTAINER_OF = {noun: CONTAINERS[n.measure] for noun, n in MASS.items()}


def contained(plural: bool) -> Parser:
    """Read a container with its content."""
    names = {
        c: c + ("es" if c.endswith("ch") else "s") if plural else c for c in CONTAINERS.values()
    }
    container = one_of({f"{text} of ": c for c, text in names.items()})
    return turned(
        row(container, adjectives, spaced(MASS)),
        lambda v: v[1:] if CONTAINER_OF[v[2]] == v[0] else None,
    )


single = either(row(adjectives, one_noun), contained(False))
several = either(row(adjectives, many_nouns), contained(True))
mass = row(adjectives, spaced(MASS))


_articles = spaced(["a", "an"])


def article(text: str, at: int) -> Any:
    """Read a or an where it belongs."""
    for value, end in _articles(text, at):
        vowel = text[end] in "aeiou" and not text.startswith("useful", end)
        if (value == "an") == (vowel or text.startswith("honest", end)):
            yield "a", end


def _places(noun: bool) -> Parser:
    """Read a place phrase; of a town or river without its preposition's article."""
    named = either(nth(1, word("the "), river), town)
    relations = [*(t.en for t in words.RELATIONS.values())]
    place = row(maybe(spaced(ADJECTIVES)), spaced({p.noun.en for p in words.PLACES}))
    return either(
        row(spaced(relations), turned(nth(1, word("the "), place), lambda v: ("place", *v))),
        row(spaced(["in", "near"]), named),
    )


town = turned(nth(0, name_en, word(" ")), lambda v: v if v[1].endswith(TOWN_ENDINGS) else None)
river = turned(nth(0, name_en, word(" ")), lambda v: v if v[1].endswith(" River") else None)
where = kept(_places(True))
craft = nth(1, word("the "), spaced({c.en for c in words.CRAFTS}))
bare_craft = turned(craft, lambda c: phrase("the", (), c))
pronoun = one_of({f"{p[0]} ": ("pronoun", p[0]) for p in PRONOUNS})
pronoun_object = one_of({f"{p[1]} ": ("pronoun", p[0]) for p in PRONOUNS})
owner = either(
    one_of({f"{p[2]} ": ("pronoun", p[0]) for p in PRONOUNS}),
    turned(
        nth(1, word("the "), one_of({f"{c.en}'s ": c.en for c in words.CRAFTS})),
        lambda c: phrase("the", (), c),
    ),
    nth(0, name_en, word("'s ")),
)
relative = either(
    turned(nth(1, word("who lives "), where), lambda v: ("lives", v)),
    turned(
        row(
            word("who "),
            one_of({f"{third(v.en)} ": v.en for v in VERBS}),
            either(many_nouns, spaced(MASS)),
        ),
        lambda v: ("does", *v[1:]),
    ),
    turned(
        row(
            word("that "),
            either(bare_craft, pronoun),
            one_of({f"{past(v.en)} ": v.en for v in VERBS}),
        ),
        lambda v: ("done", *v[1:]),
    ),
)
number = one_of({f"{text} ": n for text, n in NUMBERS_EN.items()})
with_determiner = either(
    row(article, single),
    row(spaced(["the", "this"]), single),
    turned(row(word("the "), several), lambda v: ("the many", v[1])),
    row(spaced(["these", "many", "some"]), several),
    row(spaced(["some"]), mass),
)
common = either(
    turned(
        row(with_determiner, maybe(relative)),
        lambda v: phrase(v[0][0], *v[0][1], relative=v[1]),
    ),
    turned(row(number, several), lambda v: phrase("number", *v[1], number=v[0])),
    turned(
        row(owner, number, several),
        lambda v: phrase("number", *v[2], number=v[1], owner=v[0]),
    ),
    turned(
        row(owner, either(row(adjectives, one_noun), mass)), lambda v: phrase("", *v[1], owner=v[0])
    ),
    turned(
        row(owner, spaced({r.en for r in words.RELATIVES})),
        lambda v: ("relation", v[1], v[0]),
    ),
    nth(0, name_en, word(" ")),
)
common = kept(common)
subject = either(pronoun, common)
thing = either(pronoun_object, common)

adverb = maybe(spaced(ADVERBS))
BASES = {v.en for v in VERBS}
base = spaced(BASES)
AUXILIARIES = {
    "did not ": ("past", True),
    "will ": ("future", False),
    "will not ": ("future", True),
    "can ": ("can", False),
    "cannot ": ("can", True),
    "must ": ("must", False),
}


def _verb_group(plural: bool) -> Parser:
    """Read a verb with its auxiliaries: mode, negated, adverb, verb."""
    does, wants = ("do", "want to ") if plural else ("does", "wants to ")
    auxiliaries = {
        **AUXILIARIES,
        f"{does} not ": ("present", True),
        wants: ("want", False),
        f"{does} not want to ": ("want", True),
    }
    forms = [(f"{past(v)} ", ("past", False, v)) for v in BASES]
    forms += [(f"{v if plural else third(v)} ", ("present", False, v)) for v in BASES]
    return either(
        turned(row(one_of(auxiliaries), adverb, base), lambda v: (*v[0], v[1], v[2])),
        turned(row(adverb, one_of(forms)), lambda v: (v[1][0], v[1][1], v[0], v[1][2])),
    )


verb_groups = {plural: _verb_group(plural) for plural in (False, True)}
duration = turned(
    row(word("for "), number, one_of({f"{u.en}s ": u.en for u in words.UNITS})), lambda v: v[1:]
)
time = spaced(TIMES)
rest = row(
    maybe(thing),
    maybe(nth(1, word("to "), thing)),
    maybe(nth(1, word("for "), thing)),
    maybe(nth(1, word("with "), thing)),
    maybe(duration),
    maybe(where),
    maybe(time),
)


opening = row(maybe(time), subject)


def act(text: str, at: int) -> Any:
    """Read a clause with a verb."""
    for (early, who), after in opening(text, at):
        for (mode, negated, how, verb), end in verb_groups[is_plural(who)](text, after):
            for (*parts, late), stop in rest(text, end):
                # Something is done for somebody; one waits for somebody, too.
                if not (early and late) and (parts[0] or not parts[2]):
                    when = (early or late, bool(early))
                    yield ("act", who, mode, negated, how, verb, *parts, when), stop


MORE = {f"{a.more} than ": a.en for a in words.ADJECTIVES if a.more}
predicate = either(
    turned(row(spaced(["very", "not"]), spaced(ADJECTIVES)), lambda v: ("be", *v)),
    turned(row(one_of(MORE), thing), lambda v: ("more", *v)),
)
FORMS = {form: row(word(form), predicate) for form in ("am ", "are ", "is ")}


def being(text: str, at: int) -> Any:
    """Read a clause with a form of to be."""
    for who, after in subject(text, at):
        is_i = who == ("pronoun", "I")
        form = "am " if is_i else "are " if is_plural(who) else "is "
        for (_, value), stop in FORMS[form](text, after):
            yield (value[0], who, *value[1:]), stop


existence = row(one_of({"there is ": False, "there are ": True}), subject, where)


def there(text: str, at: int) -> Any:
    """Read a clause that says what is somewhere."""
    for (form, what, place), stop in existence(text, at):
        if form == is_plural(what):
            yield ("there", what, place), stop


clause = either(act, being, there)
LINKS = (
    ("because", "", " because ", False),
    ("but", "", ", but ", False),
    ("so", "", ", so ", False),
    ("then", "", ", and then ", False),
    ("before", "", " before ", False),
    ("although", "although ", ", ", True),
    ("when", "when ", ", ", True),
    ("after", "after ", ", ", True),
    ("if", "if ", ", ", True),
)


def read_english(sentence: str) -> set[Any]:
    """Return the readings of a sentence: link, main clause, other clause."""
    assert sentence.endswith(".")
    text = sentence[:-1]
    if not next(name_en(text + " ", 0), None) and not text.startswith("I "):
        text = text[0].lower() + text[1:]
    readings = {("", c, None) for c in whole(clause, text + " ")}
    for link, opening, joint, turn in LINKS:
        if not text.startswith(opening) or text.count(joint) != 1:
            continue
        first, second = text.removeprefix(opening).split(joint)
        a, b = whole(clause, first + " "), whole(clause, second + " ")
        if turn:
            a, b = b, a
        readings |= {(link, main, other) for main in a for other in b}
    return readings
