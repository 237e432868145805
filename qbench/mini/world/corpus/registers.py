"""Registers that are about things in general: the article, the list and the chronicle.

Every register draws its facts so that those of one attribute are equally likely; how the attributes
compare is settled by the shares in ``corpus``.
"""

from __future__ import annotations

from functools import cache

from qbench.mini.draws import Draws
from qbench.mini.world.corpus import statements as say
from qbench.mini.world.corpus.statements import Page
from qbench.mini.world.facts import Fact, World
from qbench.mini.world.lexicon import MONTHS, Language, Term, terms

# Weights of the kinds in articles, and how often a fact that other registers state often is left
# out of one: set so that all facts come equally often over the whole corpus (a test measures it).
ARTICLE_KINDS = (
    (0.49, "people"),
    (0.17, "towns"),
    (0.12, "beasts"),
    (0.115, "goods"),
    (0.075, "events"),
)
LEFT_OUT = {"mother": 0.95, "price": 0.8, "year": 0.65, "birthday": 0.5, "festival": 0.45}
MIN_GROUP = 3
_CLAIMS = ("We know that ", "It is said that ", "Books say that ", "Everyone knows that ")
_TOPICS = {
    "people": ("About {e}: ", "A note on {e}: ", "Who is {e}? "),
    "towns": ("About {e}: ", "About the town of {e}: ", "A note on {e}: "),
    "beasts": ("About the {e}: ", "A note on the {e}: ", "What is the {e}? "),
    "goods": ("About {e}: ", "A note on {e}: "),
    "events": ("About the {e}: ", "A note on the {e}: "),
}
# What a chronicle says between its events, without a fact.
FILLERS = terms(
    "The winter was long.=冬天很长。, The summer was dry.=夏天很干。, "
    "The harvest was good.=收成很好。, The harvest was poor.=收成不好。, "
    "The roads were safe.=路上很安全。, The rivers were high.=河水很高。, "
    "Bread was cheap.=面包很便宜。, Bread was dear.=面包很贵。, "
    "Many ships came.=来了很多船。, There was peace.=天下太平。"
)


def encyclopedia(world: World, draws: Draws, language: Language) -> Page:
    """Write an article on one thing, or now and then a few articles one below the other."""
    n_articles = 1 if draws.chance(0.9) else draws.between(2, 5)
    pages = [_article(world, draws, language) for _ in range(n_articles)]
    facts = tuple(fact for page in pages for fact in page.facts)
    return Page("\n".join(page.text for page in pages), facts)


def _article(world: World, draws: Draws, language: Language) -> Page:
    """Write a random part of what is known of a thing, in random order."""
    thing = draws.pick(world.things[draws.weighted(ARTICLE_KINDS)])
    known = world.about(thing)
    left = draws.sample(known, draws.between(1, len(known)))
    left = [f for f in left if not draws.chance(LEFT_OUT.get(f.attribute.name, 0.0))] or left[:1]
    sentences: list[str] = []
    stated: list[Fact] = []
    while left:
        style = draws.below(10)
        text = None
        if style < 3 and len(left) > 1:
            n = min(len(left), draws.between(2, 3))
            text = _coordinated(left[:n], draws, language)
        if text is not None:
            stated += left[:n]
            left = left[n:]
        else:
            fact, left = left[0], left[1:]
            stated.append(fact)
            if sentences and style < 6:
                text = say.again(fact, draws, language)
            else:
                text = _with_hop(world, fact, stated, draws, language)
        sentences.append(text)
    return Page(_opened(stated[0], sentences, draws, language), tuple(stated))


def _with_hop(
    world: World, fact: Fact, stated: list[Fact], draws: Draws, language: Language
) -> str:
    """Write a fact, with what is known of its value if a hop is drawn, which joins ``stated``."""
    further = say.hop(world, fact, draws)
    if further is None:
        return say.statement(fact, draws, language)
    stated.append(further)
    return say.two_hops(fact, further, draws, language)


def _coordinated(facts: list[Fact], draws: Draws, language: Language) -> str | None:
    """Write several facts of one thing as one sentence, if they have forms for it."""
    predicates = [text for f in facts if (text := say.predicate(f, draws, language)) is not None]
    lead = say.subject_first(facts[0], draws, "zh")
    if len(predicates) < len(facts) or lead is None:
        return None
    if language == "zh":
        first = say.sentence(facts[0], lead, "zh").removesuffix("。")
        return "，".join((first, *predicates[1:])) + "。"
    thing = facts[0].thing.en
    subject = f"The {thing}" if facts[0].attribute.kind in ("beasts", "events") else thing
    return f"{subject} {say.listed(predicates, language)}."


def _opened(first: Fact, sentences: list[str], draws: Draws, language: Language) -> str:
    """Join sentences to an article that does not begin with an invented name in English."""
    kind, thing = first.attribute.kind, first.thing
    text = say.joined(sentences, language)
    if language == "zh":
        return f"关于{thing.zh}：{text}" if draws.chance(0.25) else text
    topic = draws.pick(_TOPICS[kind]).replace("{e}", thing.en)
    if not say.begins_with_name(first, text):
        return topic + text if draws.chance(0.3) else text
    if kind == "towns" and text.startswith(thing.en) and draws.chance(0.5):
        return f"The town of {text}"
    return topic + text if draws.chance(0.6) else draws.pick(_CLAIMS) + text


def listing(world: World, draws: Draws, language: Language) -> Page:
    """Write a group of things that share a value, or a small table of one attribute."""
    seed = draws.pick(world.facts)
    n_rows = draws.weighted(((4, 3), (3, 4), (2, 5), (1, 8)))
    group = _groups(world)[seed.attribute.name, seed.value]
    # Small groups would come as often as large ones have members: they are left to the tables.
    if len(group) >= MIN_GROUP and draws.chance(0.35):
        facts = draws.sample(group, min(n_rows, len(group)))
        return Page(_group(facts, draws, language), tuple(facts))
    facts = draws.sample(_columns(world)[seed.attribute.name], n_rows)
    return Page(_table(facts, draws, language), tuple(facts))


@cache
def _groups(world: World) -> dict[tuple[str, Term], tuple[Fact, ...]]:
    """Collect facts of one attribute and value."""
    found: dict[tuple[str, Term], list[Fact]] = {}
    for fact in world.facts:
        found.setdefault((fact.attribute.name, fact.value), []).append(fact)
    return {key: tuple(facts) for key, facts in found.items()}


@cache
def _columns(world: World) -> dict[str, tuple[Fact, ...]]:
    """Collect facts of one attribute."""
    found: dict[str, list[Fact]] = {}
    for fact in world.facts:
        found.setdefault(fact.attribute.name, []).append(fact)
    return {key: tuple(facts) for key, facts in found.items()}


def _group(facts: list[Fact], draws: Draws, language: Language) -> str:
    """Write that some things have one value in common."""
    attribute = facts[0].attribute
    value = say.value(facts[0], language)
    things = say.listed([fact.thing.text(language) for fact in facts], language)
    label = say.label(attribute, language)
    if language == "zh":
        noun = attribute.zh.noun.replace("{e}", things)
        return draws.pick(
            (f"{noun}都是{value}。", f"{noun}：{value}。", f"{label}同为{value}的有{things}。")
        )
    noun = attribute.en.noun.replace("{e}", things)
    return draws.pick(
        (
            f"{noun[0].upper()}{noun[1:]}: {value}.",
            f"{label[0].upper()}{label[1:]} {value} is shared by {things}.",
            f"Grouped by {label.removeprefix('the ')}: {value} for {things}.",
        )
    )


def _table(facts: list[Fact], draws: Draws, language: Language) -> str:
    """Write things and their values in rows, in one line or one below the other."""
    label = say.label(facts[0].attribute, language)
    cells = [(fact.thing.text(language), say.value(fact, language)) for fact in facts]
    if language == "zh":
        rows = [f"{thing}：{value}" for thing, value in cells]
        return draws.pick(
            (
                f"{label}：\n" + "\n".join(rows),
                f"{label}表：" + "；".join(rows) + "。",
                f"{label}。" + "。".join(rows) + "。",
            )
        )
    rows = [f"{thing}: {value}" for thing, value in cells]
    title = label[0].upper() + label[1:]
    return draws.pick(
        (
            f"{title} of each:\n- " + "\n- ".join(rows),
            f"A table of {label}: " + "; ".join(rows) + ".",
            f"{title} of each. " + ". ".join(rows) + ".",
        )
    )


def chronicle(world: World, draws: Draws, language: Language) -> Page:
    """Write the annals of one or two years, with what else was known of people and towns then."""
    years = draws.sample(_columns(world)["year"], draws.weighted(((3, 1), (1, 2))))
    stated: list[Fact] = []
    sentences = []
    for year in sorted(years, key=lambda fact: int(fact.value.en)):
        sentences.append(_event(world, year, stated, draws, language))
        if draws.chance(0.7):
            sentences.append(draws.pick(FILLERS).text(language))
        for _ in range(draws.between(0, 2)):
            fact = draws.pick(world.facts_of(draws.pick(("people", "people", "people", "towns"))))
            stated.append(fact)
            sentences.append(_aside(fact, draws, language))
    return Page(say.joined(sentences, language), tuple(stated))


def _event(world: World, year: Fact, stated: list[Fact], draws: Draws, language: Language) -> str:
    """Write an event with its year and, as they are drawn, its place and hero."""
    stated.append(year)
    event = year.thing.text(language)
    place, hero = (world.fact(year.thing, name) for name in ("place", "hero"))
    parts = [
        draws.pick(
            ("In the year {} came the {}", "The year {} saw the {}", "In {} there was the {}")
        )
        if language == "en"
        else draws.pick(("{}年发生了{}", "{}年有{}", "{}年，人们看到了{}"))
    ]
    parts[0] = parts[0].format(year.value.en, event)
    if place is not None and draws.chance(0.6):
        stated.append(place)
        where = place.value.text(language)
        parts.append(f" in {where}" if language == "en" else f"，地点是{where}")
    if hero is not None and draws.chance(0.6):
        stated.append(hero)
        who = hero.value.text(language)
        parts.append(f", and its hero was {who}" if language == "en" else f"，英雄是{who}")
    return "".join(parts) + ("." if language == "en" else "。")


def _aside(fact: Fact, draws: Draws, language: Language) -> str:
    """Write a fact that a chronicle mentions by the way."""
    text = say.statement(fact, draws, language)
    if draws.chance(0.4):
        return text
    month = draws.pick(MONTHS).text(language)
    if language == "zh":
        lead = draws.pick((f"{month}，史官写道：", "当时人们都知道，", "书上说，"))
        return lead + text
    lead = draws.pick(
        (f"In {month} a scribe wrote that", "At that time all knew that", "The book says that")
    )
    return f"{lead} {say.lowered(fact, text)}."
