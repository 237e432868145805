"""How the corpus says one fact: in full, with another noun for the thing, or with a second hop.

The forms are those of the attributes. What is added here is grammar (articles, plurals, capitals),
what two facts look like in one sentence, and which words stand for a thing named before.

A line of English may not begin with an invented name: a tokenizer writes words with the space
before them, so that a name at the start of a line is another token than in the middle of one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.attributes import Attribute
from qbench.mini.world.facts import Fact, World
from qbench.mini.world.lexicon import Language, Term

INVENTED = frozenset(("people", "towns", "rivers", "provinces", "beasts"))
HOP_SHARE, HOPS_PER_THING = 0.4, 0.8
# What the value of a fact is further said to be: after it in English, before it in Chinese.
HOPS = {
    "birthplace": (", born in {v}", "出生在{v}的"),
    "craft": (", a {v}", "当{v}的"),
    "birthday": (", who has a birthday in {v}", "{v}出生的"),
    "color": (", who always wears {v}", "总是穿{v}的"),
    "pet": (", who owns a {v}", "有一只{v}的"),
    "food": (", who likes to eat {v}", "喜欢吃{v}的"),
    "mother": (", a child of {v}", "{v}的孩子"),
    "province": (", a town of {v}", "{v}的"),
    "river": (", a town on the {v}", "{v}边的"),
    "product": (", a town famous for {v}", "以{v}闻名的"),
    "festival": (", a town with a festival in {v}", "在{v}过节的"),
    "landmark": (", a town with an old {v}", "有一座古老{v}的"),
    "habitat": (", a beast of the {v}", "住在{v}的"),
    "diet": (", a beast that eats {v}", "吃{v}的"),
    "skin": (", a beast with {v} skin", "{v}的"),
    "enemy": (", a beast that fears the {v}", "害怕{v}的"),
    "price": (", sold at {v} coins a sack", "每袋{v}个铜币的"),
    "source": (", brought by ship from {v}", "船从{v}运来的"),
    "season": (", sold in {v}", "{v}卖的"),
}
# Words for a thing that was named before; the English beasts and events follow a "the" of the form.
NOUNS = {
    "people": Term("this person", "这个人"),
    "towns": Term("this town", "这座城镇"),
    "beasts": Term("beast", "这种野兽"),
    "events": Term("event", "这件事"),
}
# Kinds that "it" can stand for; people are of no known gender.
IT = frozenset(("towns", "beasts", "events"))
UNITS = {"price": Term(" coins", "个铜币"), "year": Term("", "年")}
_PLURALS = {
    "comes from": "come from",
    "was found": "were found",
    "sells for": "sell for",
    "there is much": "there are many",
}
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")


class Page(NamedTuple):
    """A text and the facts that it states, each as often as it does."""

    text: str
    facts: tuple[Fact, ...]


def sentence(fact: Fact, form: str, language: Language, subject: str | None = None) -> str:
    """Write a fact in a form, the subject as named or by other words."""
    if language == "zh":
        return form.replace("{e}", subject or fact.thing.zh).replace("{v}", fact.value.zh)
    if fact.attribute.kind == "goods" and fact.thing.en[-1] == "s" and fact.thing.en != "glass":
        for singular, plural in _PLURALS.items():
            form = form.replace(singular, plural)
    if subject in NOUNS["beasts"]:
        form = form.replace("Every {e}", "Every such {e}")
    text = article(form.replace("{e}", subject or fact.thing.en).replace("{v}", fact.value.en))
    return text[0].upper() + text[1:]


def article(text: str) -> str:
    """Write "an" for "a" before a vowel."""
    return _ARTICLE.sub(r"\1n ", text)


def statement(fact: Fact, draws: Draws, language: Language) -> str:
    """Write a fact in one of its forms."""
    return sentence(fact, draws.pick(fact.attribute.forms(language).statements), language)


def value(fact: Fact, language: Language) -> str:
    """Return the text of a value with its unit."""
    unit = UNITS.get(fact.attribute.name)
    return fact.value.text(language) + (unit.text(language) if unit else "")


def label(attribute: Attribute, language: Language) -> str:
    """Return the noun of an attribute without the thing: "the birthplace"."""
    noun = attribute.forms(language).noun
    if language == "zh":
        return noun.replace("{e}所在的", "").replace("{e}的", "").replace("{e}", "")
    return noun.replace(" of the {e}", "").replace(" of {e}", "")


def listed(items: Sequence[str], language: Language) -> str:
    """Join words as a sentence does: "A, B and C"."""
    comma, last = (", ", " and ") if language == "en" else ("、", "和")
    return items[0] if len(items) == 1 else comma.join(items[:-1]) + last + items[-1]


def joined(sentences: Sequence[str], language: Language) -> str:
    """Join sentences to a paragraph."""
    return (" " if language == "en" else "").join(sentences)


def begins_with_name(fact: Fact, text: str) -> bool:
    """Whether an English sentence about a fact begins with an invented name."""
    kinds = ((fact.attribute.kind, fact.thing), (fact.attribute.domain, fact.value))
    return any(kind in INVENTED and text.startswith(term.en) for kind, term in kinds)


def lowered(fact: Fact, text: str) -> str:
    """Return an English sentence about a fact as a clause: no capital first, no full stop last."""
    name = text.startswith((fact.thing.en, fact.value.en))
    return (text if name else text[0].lower() + text[1:]).removesuffix(".")


def subject_first(fact: Fact, draws: Draws, language: Language) -> str | None:
    """Draw a form that begins with the thing ("{e} works as a {v}."), if there is one."""
    subject = "{e}"
    if language == "en":
        subject = "The {e} " if fact.attribute.kind in ("beasts", "events") else "{e} "
    forms = fact.attribute.forms(language).statements
    fitting = [form for form in forms if form.startswith(subject)]
    return draws.pick(fitting) if fitting else None


def predicate(fact: Fact, draws: Draws, language: Language) -> str | None:
    """Return what is said of the thing without naming it, if a form allows: "works as a baker"."""
    form = subject_first(fact, draws, language)
    if form is None:
        return None
    if language == "zh":
        return form.removeprefix("{e}的").removeprefix("{e}").replace("{v}", fact.value.zh)[:-1]
    form = form.removeprefix("The ").removeprefix("{e} ")
    return article(form.replace("{v}", fact.value.en)).removesuffix(".")


def again(fact: Fact, draws: Draws, language: Language) -> str:
    """Write a fact of a thing that was just named, by another noun or a pronoun if there is one."""
    kind = fact.attribute.kind
    noun = NOUNS.get(kind)
    if noun is None:
        return statement(fact, draws, language)
    if kind in IT and draws.chance(0.5):
        if language == "zh" and (form := subject_first(fact, draws, "zh")) is not None:
            return sentence(fact, form, "zh", "它")
        if language == "en" and (said := predicate(fact, draws, "en")) is not None:
            return f"It {said}."
    form = draws.pick(fact.attribute.forms(language).statements)
    return sentence(fact, form, language, noun.text(language))


@cache
def _indegrees(world: World) -> Counter[Term]:
    """Count the facts whose value each thing is."""
    return Counter(fact.value for fact in world.facts if world.about(fact.value))


def hop(world: World, fact: Fact, draws: Draws) -> Fact | None:
    """Draw a fact about the value of a fact, now and then.

    The more facts lead to a thing, the seldomer each does, so that things are met equally often.
    """
    degree = _indegrees(world).get(fact.value)
    if not degree or not draws.chance(min(HOP_SHARE, HOPS_PER_THING / degree)):
        return None
    return draws.pick(world.about(fact.value))


def two_hops(fact: Fact, further: Fact, draws: Draws, language: Language) -> str:
    """Write a fact and what is known of its value in one sentence."""
    forms = fact.attribute.forms(language).statements
    after, before = HOPS[further.attribute.name]
    if language == "zh":
        form = draws.pick(forms)
        text = before.replace("{v}", further.value.zh)
        return sentence(fact, form.replace("{v}", text + "{v}"), language)
    form = draws.pick([form for form in forms if form.endswith("{v}.")])
    said = article(after.replace("{v}", further.value.en))
    return sentence(fact, form[:-1] + said + ".", language)
