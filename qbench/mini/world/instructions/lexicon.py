"""Words and phrases of instructions: what is to be written about, and what may be demanded."""

from __future__ import annotations

from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world import lexicon
from qbench.mini.world.facts import World
from qbench.mini.world.lexicon import Language, Term
from qbench.mini.world.translation.english import with_article
from qbench.mini.world.translation.lexicon import (
    ADJECTIVES,
    CRAFTS,
    MANNERS,
    NOUNS,
    NUMBERS,
    Noun,
)

_ALL = (*CRAFTS, *NOUNS)


def _countable(kinds: str) -> tuple[Noun, ...]:
    """Return the nouns of some kinds that are counted without a container."""
    return tuple(noun for noun in _ALL if noun.kind in kinds and not noun.container)


PEOPLE, ANIMALS, BUILDINGS, THINGS = map(_countable, ("p", "a", "b", "t"))
TOPICS = (*PEOPLE, *PEOPLE, *ANIMALS, *BUILDINGS, *THINGS)
# Made so that the Chinese word for one is not part of the word for another.
OBJECTS = tuple(n for n in _countable("paftxhurb") if len(n.zh) > 1)
BY_WORD = {"en": {n.en: n for n in _ALL}, "zh": {n.zh: n for n in _ALL}}
# Of buildings and people: what may stand in phrases without sounding odd.
QUALITIES = tuple(
    Term(a.en, a.zh) for a in ADJECTIVES if a.en in {"beautiful", "famous", "quiet", "clean"}
) + lexicon.terms("old=古老的, new=崭新的, small=小小的, cold=寒冷的, dark=黑暗的, warm=温暖的")
DESCRIBING = tuple(a for a in ADJECTIVES if a.rank == 0 and len(a.zh) > 2)
FEELINGS = lexicon.terms("happy=高兴, sad=难过, tired=疲倦, proud=骄傲, glad=开心, calm=平静")
LINKS = lexicon.terms("because=因为, but=但是, while=同时, so=所以")
DAYTIMES = lexicon.terms("morning=早上, afternoon=下午, evening=晚上, night=夜里")
# What something can be in.
PLACES = tuple(n for n in BUILDINGS if n.en not in {"statue", "fountain", "bridge"}) + tuple(
    Noun(h.en, h.en, h.zh, "", "b")
    for h in lexicon.HABITATS
    if h.en not in {"coast", "river", "lake", "mountains"}
)


class Topic(NamedTuple):
    """What is to be written about: a noun, and how the task names it."""

    noun: Noun
    text: str


def topic(draws: Draws, language: Language) -> Topic:
    """Draw what to write about."""
    noun, place, quality = draws.pick(TOPICS), draws.pick(PLACES), draws.pick(QUALITIES)
    placed, described = draws.chance(0.5), draws.chance(0.35)
    if language == "zh":
        where = f"{place.zh}里的" if placed else ""
        return Topic(noun, where + (quality.zh if described else "") + noun.zh)
    core = f"{quality.en} {noun.en}" if described else noun.en
    text = f"the {core}" if draws.chance(0.5) else with_article(core)
    where = f" {'near' if draws.chance(0.4) else 'in'} the {place.en}" if placed else ""
    return Topic(noun, text + where)


# Task frames; {t} is the topic, {p} a person, {l} a place. "one" marks tasks that ask for one
# sentence, which another shape would contradict.
TASKS: dict[Language, dict[str, tuple[str, ...]]] = {
    "en": {
        "plain": (
            "Write something about {t}.",
            "Describe {t}.",
            "Tell me about {t}.",
            "Say something about {t}.",
            "Write a short text about {t}.",
            "Write a note about {t}.",
        ),
        "one": ("Write a sentence about {t}.", "Write one sentence about {t}."),
        "situation": (
            "You are a {p}. Say something about {t}.",
            "Imagine that you are in the {l}. Describe {t}.",
            "You meet a {p}. Tell something about {t}.",
            "You are at home in the {l}. Write a note about {t}.",
        ),
    },
    "zh": {
        "plain": ("写几句关于{t}的话。", "描写{t}。", "说说{t}。", "写一写{t}。", "介绍一下{t}。"),
        "one": ("写一句关于{t}的话。", "用一句话描写{t}。"),
        "situation": (
            "你是一位{p}。说说{t}。",
            "想象你在{l}里。描写{t}。",
            "你遇见一位{p}。介绍一下{t}。",
        ),
    },
}


def task(draws: Draws, about: Topic, frames: str, language: Language) -> str:
    """Draw a task about a topic."""
    frame = draws.pick(TASKS[language][frames])
    person, place = draws.pick(PEOPLE), draws.pick(PLACES)
    if language == "zh":
        return frame.format(t=about.text, p=person.zh, l=place.zh)
    return frame.format(t=about.text, p=person.en, l=place.en)


def beginning(draws: Draws, language: Language) -> str:
    """Draw words that an answer may begin with; never an invented name."""
    place, quality = draws.pick(PLACES), draws.pick(QUALITIES)
    day, time = draws.pick(lexicon.WEEKDAYS), draws.pick(DAYTIMES)
    month, n = draws.pick(lexicon.MONTHS), draws.between(2, 9)
    if language == "zh":
        number = NUMBERS[n].zh
        return draws.pick(
            (
                f"在{quality.zh}{place.zh}旁边",
                f"在{day.zh}的{time.zh}",
                f"{month.zh}的一个{time.zh}",
                f"{number}天以前",
                f"每到{month.zh}",
                f"在一个{quality.zh}{time.zh}",
                f"从{day.zh}开始",
            )
        )
    return draws.pick(
        (
            f"In the {quality.en} {place.en}",
            f"On {day.en} {time.en}",
            f"Near the {place.en}",
            f"On {with_article(quality.en)} {time.en} in {month.en}",
            f"{NUMBERS[n].en.capitalize()} days ago",
            f"Long before {month.en}",
            f"One {quality.en} {time.en}",
            f"Behind the {quality.en} {place.en}",
            f"Since {day.en} {time.en}",
        )
    )


def ending(draws: Draws, language: Language) -> str:
    """Draw words that an answer may end with."""
    place, quality = draws.pick(PLACES), draws.pick(QUALITIES)
    day, person = draws.pick(lexicon.WEEKDAYS), draws.pick(PEOPLE)
    n, feeling = draws.between(2, 9), draws.pick(FEELINGS)
    if language == "zh":
        return draws.pick(
            (
                f"{person.zh}很{feeling.zh}",
                f"这里非常{draws.pick(('安静', '美丽', '热闹'))}",
                f"一直到{day.zh}",
                f"{NUMBERS[n].zh}天以后再回来",
                f"回到{place.zh}去",
            )
        )
    return draws.pick(
        (
            f"in the {quality.en} {place.en}",
            f"until {day.en} morning",
            f"for {NUMBERS[n].en} long days",
            f"like every {quality.en} {person.en}",
            f"without the {feeling.en} {person.en}",
            f"from the {place.en}",
            f"in {NUMBERS[n].en} weeks",
        )
    )


def _word(draws: Draws, about: Topic, language: Language) -> str:
    """Draw a word to include: a noun, an adjective, or how something is done."""
    if draws.chance(0.75):
        noun = draws.pick(OBJECTS)
        return noun.en if language == "en" else noun.zh
    adjective, manner = draws.pick(DESCRIBING), draws.pick(MANNERS)
    if draws.chance(0.6):
        return adjective.en if language == "en" else adjective.zh[:-1]
    return manner.text(language)


def _format(draws: Draws, kind: str, language: Language) -> str:
    """Draw the argument of a constraint that counts, frames or titles."""
    n, noun = draws.between(2, 3), draws.pick(OBJECTS)
    if language == "zh":
        number = "一" if kind == "sentences" and draws.chance(0.3) else NUMBERS[n].zh
        shapes = {"sentences": "句话", "list": "行", "bullets": "条"}
        return draws.pick(("圆", "方")) if kind == "brackets" else number + shapes[kind]
    if kind == "brackets":
        return draws.pick(("round", "square"))
    if kind == "heading":
        return draws.pick(
            (f"About the {noun.en}", f"News of the {noun.en}", f"Notes on the {noun.en}")
        )
    if kind == "sentences":
        return "one sentence" if draws.chance(0.3) else f"{NUMBERS[n].en} sentences"
    return f"{NUMBERS[n].en} {'lines' if kind == 'list' else 'items'}"


def argument(draws: Draws, kind: str, about: Topic, language: Language, world: World) -> str:
    """Draw what a constraint demands; "?" if that is found from the answer, as a count of words."""
    terms = {
        "name": world.things["people"],
        "color": lexicon.COLORS,
        "weekday": lexicon.WEEKDAYS,
        "season": lexicon.SEASONS,
        "link": LINKS if language == "en" else LINKS[:2],
    }
    match kind:
        case "include":
            return _word(draws, about, language)
        case "both":
            first, second = draws.sample(OBJECTS, 2)
            return f"{first.en} and {second.en}" if language == "en" else f"{first.zh}和{second.zh}"
        case "twice":
            noun = draws.pick(OBJECTS)
            return noun.en if language == "en" else noun.zh
        case "place":
            place = draws.pick(PLACES)
            return place.en if language == "en" else place.zh
        case "begin":
            return beginning(draws, language)
        case "end":
            return ending(draws, language)
        case "sentences" | "list" | "bullets" | "heading" | "brackets":
            return _format(draws, kind, language)
        case "avoid" | "letter" | "words":
            return "?"
        case _:
            return draws.pick(terms[kind]).text(language) if kind in terms else ""
