"""An event of the world, the articles that report it, and the summaries that restate it.

A summary follows from what the article says and from nothing else: its lines stand in a fixed
order and wording, while the article says each fact in one of several ways, anywhere, among numbers,
names and places that belong to something else. A craft and a name may stand in different sentences.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world import lexicon
from qbench.mini.world.facts import World
from qbench.mini.world.lexicon import Term
from qbench.mini.world.names import TOWN_ENDINGS, name
from qbench.mini.world.news.joys import KINDS
from qbench.mini.world.news.kinds import Kind, Point

Style = Literal["cnn_dailymail", "xsum"]
DATELINE = "(Gazette) "

_NAMED_JOINTLY = ("the {craft} {name}", "a {craft} named {name}", "{name} the {craft}")
_CRAFT_OF_NAME = (
    "By trade {name} is a {craft}.",
    "For {years} years {name} has been a {craft}.",
    "Everybody knows {name} as a {craft}.",
)
_NAME_OF_CRAFT = (
    "The name of the {craft} is {name}.",
    "The {craft} is called {name}.",
    "Friends call the {craft} by the name {name}.",
)
_PLACES = (
    "It happened in {town}.",
    "The place was {town} and not {ntown}.",
    "All of {town} talks about it.",
)
_CORRECTIONS = (
    "At first people spoke of {f} {unit}, but there were {n}.",
    "It was {n} {unit} and not {f}, as some people say.",
)
_ASIDES = (
    "The day was {warmth} and {sky}.",
    "The town is famous for {product}.",
    "On {day3} the market in {ntown} sells {dfood} for {d} coins.",
    "Soon people in {ntown} heard of it too.",
)
_QUOTES = (
    '"I have never seen such a thing," said {Q}.',
    '"We will talk about this for {d} years," said {Q}.',
    '"I was there with {d} friends," said {Q}.',
    "To the Gazette {M} said nothing.",
    "Later {M} thanked all friends.",
)
_ROLES = "MOT"  # The main person, the other one, a third.
_WARMTH, _SKY = ("cold", "warm", "hot"), ("wet", "dry", "gray")
_FACTS = ("cause", "count", "outcome")
_PAIRS = (("cause", "count"), ("cause", "outcome"), ("count", "outcome"))


class Person(NamedTuple):
    """Somebody in an article."""

    name: str
    craft: str
    pet: str


class Event(NamedTuple):
    """What an article is about; ``told`` are the key facts besides who and where."""

    kind: Kind
    people: tuple[Person, Person, Person]
    slots: dict[str, str]
    told: dict[str, Point]

    @property
    def key(self) -> str:
        """The fingerprint: no two articles of one kind, person and place are told apart by it."""
        return f"news: {self.kind.name}, {self.people[0].name}, {self.slots['town']}"


@cache
def _people(world: World) -> tuple[Person, ...]:
    """List the people of the world who may be in the news; a judge cannot become one."""
    people = [
        Person(p.en, world.value(p, "craft").en, world.value(p, "pet").en)
        for p in world.things["people"]
    ]
    return tuple(p for p in people if p.craft != "judge")


@cache
def _known(world: World) -> frozenset[str]:
    """Names that strangers must not have."""
    return frozenset(person.en for person in world.things["people"])


def _draw_person(world: World, draws: Draws) -> Person:
    """Draw somebody of the world as known there, or a stranger of any craft."""
    if draws.chance(0.4):
        return draws.pick(_people(world))
    stranger = name(draws).en
    while stranger in _known(world):
        stranger = name(draws).en
    craft, pet = draws.pick(lexicon.CRAFTS).en, draws.pick(lexicon.PETS).en
    return Person(stranger, "baker" if craft == "judge" else craft, pet)


def _draw_people(world: World, draws: Draws) -> tuple[Person, Person, Person]:
    """Draw three people of different names and crafts."""
    while True:
        main, other, third = (_draw_person(world, draws) for _ in range(3))
        if len({main.craft, other.craft, third.craft}) + len({main[0], other[0], third[0]}) == 6:
            return main, other, third


def _draw_place(world: World, draws: Draws) -> dict[str, str]:
    """Draw four towns, the river and product of the first; it may be a town nobody knows."""
    towns = draws.sample(world.things["towns"], 4)
    here = towns[0]
    if draws.chance(0.3):
        fresh = name(draws, draws.pick(TOWN_ENDINGS))
        if fresh not in world.things["towns"]:
            here = fresh
    if here == towns[0]:
        river, product = world.value(here, "river"), world.value(here, "product")
    else:
        river, product = draws.pick(world.things["rivers"]), draws.pick(lexicon.GOODS)
    labels = ("town", "otown", "ctown", "ntown")
    return dict(zip(labels, (t.en for t in (here, *towns[1:])), strict=True)) | {
        "river": river.en,
        "product": product.en,
    }


def _with_article(noun: str) -> str:
    """Put the indefinite article before a word of the lexicon."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def draw_event(world: World, draws: Draws, style: Style) -> Event:
    """Draw an event; in XSum's style the outcome is always told."""
    kind = draws.pick(KINDS)
    people = main, other, _ = _draw_people(world, draws)
    slots = _draw_place(world, draws)
    # All numbers differ, so that a wrong one in a summary is seen to be wrong.
    numbers = draws.sample(range(3, 100), 7)
    slots.update(zip("nfmckda", map(str, numbers), strict=True))
    draw_terms: tuple[tuple[tuple[str, ...], tuple[Term, ...]], ...] = (
        (("day", "day2", "day3"), lexicon.WEEKDAYS),
        (("food", "cfood", "dfood"), lexicon.FOODS),
        (("month",), lexicon.MONTHS),
        (("habitat",), lexicon.HABITATS),
        (("landmark",), lexicon.LANDMARKS),
    )
    for labels, terms in draw_terms:
        slots.update(zip(labels, (t.en for t in draws.sample(terms, len(labels))), strict=True))
    # What the town is famous for is another matter.
    goods = [term.en for term in draws.sample(lexicon.GOODS, 2)]
    slots["good"] = goods[goods[0] == slots["product"]]
    slots["warmth"], slots["sky"] = draws.pick(_WARMTH), draws.pick(_SKY)
    slots.update(
        who=main.name,
        craft=main.craft,
        other=other.name,
        ocraft=other.craft,
        pet=main.pet,
        apet=_with_article(main.pet),
        year=str(draws.between(101, 499)),
        moved="raised" if numbers[0] > numbers[1] else "lowered",
        unit=kind.unit.format_map(slots),
    )
    points = {
        "cause": draws.pick(kind.causes),
        "count": kind.number,
        "outcome": draws.pick(kind.outcomes),
    }
    return Event(
        kind, people, slots, {fact: points[fact] for fact in _draw_told(draws, kind, style)}
    )


def _draw_told(draws: Draws, kind: Kind, style: Style) -> tuple[str, ...]:
    """Draw which facts the article tells, so that a summary has two or three lines."""
    if kind.name == "price":  # Whether it rose or fell is in the numbers.
        return ("count", "outcome") if style == "xsum" else draws.pick((*_PAIRS[::2], ("count",)))
    if style == "xsum":
        return (draws.pick(("cause", "count")), "outcome")
    return draws.pick(_PAIRS) if draws.chance(0.7) else (draws.pick(_FACTS),)


def clauses(event: Event) -> list[str]:
    """Restate the key facts: who and where, then cause, count and outcome as far as told."""
    points = [event.told[fact].clause for fact in _FACTS if fact in event.told]
    return [clause.format_map(event.slots) for clause in (event.kind.clause, *points)]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def summary(event: Event, style: Style) -> str:
    """Summarize: a line for each key fact, or one sentence of who, where and the outcome."""
    told = clauses(event)
    if style == "xsum":
        return f"{_capital(told[0])}, and {told[-1]}."
    return "\n".join(f"{_capital(clause)}." for clause in told)


class _Writer:
    """Writes the sentences of one article and keeps track of who has been introduced.

    ``apart`` tells for one person of the event's sentence, if for any, which half of the identity
    that sentence gives: the craft or the name. A later sentence gives the other half. It may be the
    other person as well, so that being identified does not tell who is the main one.
    """

    def __init__(self, event: Event, draws: Draws, opening: str) -> None:
        self._event, self._draws = event, draws
        role = "O" if "{O}" in opening and draws.chance(0.4) else "M"
        self.apart = {role: draws.pick(("craft", "name"))} if draws.chance(0.6) else {}
        self._seen: set[str] = set()

    def _mention(self, role: str) -> str:
        """Name somebody: in full at first, later by craft or name; if apart, by one only."""
        person = self._event.people[_ROLES.index(role)]
        apart = self.apart.get(role)
        first = role not in self._seen
        self._seen.add(role)
        if first and not apart:
            return self._draws.pick(_NAMED_JOINTLY).format(craft=person.craft, name=person.name)
        if apart == "craft" or (not apart and self._draws.chance(0.5)):
            return f"{'a' if first else 'the'} {person.craft}"
        return person.name

    def sentence(self, way: str) -> str:
        """Fill in one sentence."""
        if way[0] == "{" or way[0].islower():
            dated = way[0] == "{" or self._draws.chance(0.3)
            way = f"On {{day}} {way}." if dated else f"{_capital(way)}."
        # In the order of the text, since the first mention introduces.
        for role in sorted(
            (r for r in _ROLES if f"{{{r}}}" in way), key=lambda r: way.index(f"{{{r}}}")
        ):
            way = way.replace(f"{{{role}}}", self._mention(role))
        return way.format_map(self._event.slots)

    def identity(self) -> list[str]:
        """Say the half of an identity that the event's sentence leaves out."""
        for role, told in self.apart.items():
            person = self._event.people[_ROLES.index(role)]
            way = self._draws.pick(_CRAFT_OF_NAME if told == "name" else _NAME_OF_CRAFT)
            years = self._event.slots["a"]
            return [way.format(craft=person.craft, name=person.name, years=years)]
        return []


def _facts_told(event: Event, draws: Draws) -> list[str]:
    """Choose a sentence for each key fact; some correct a number that was believed before."""
    ways = {fact: draws.pick(point.ways) for fact, point in event.told.items()}
    if "count" in ways and event.kind.name != "price" and draws.chance(0.3):
        ways["count"] = draws.pick(_CORRECTIONS)
    return list(ways.values())


def _asides(event: Event, draws: Draws) -> list[str]:
    """Choose sentences that belong in no summary, those that mislead most before the others."""
    quote = draws.pick(_QUOTES).replace("{Q}", "{O}" if draws.chance(0.4) else "{T}")
    ways = [quote, *draws.shuffled(_ASIDES)]
    if draws.chance(0.8):
        other = event.kind if draws.chance(0.7) else draws.pick(KINDS)
        ways.insert(0, draws.pick(other.past))
    return ways


def article(event: Event, draws: Draws, style: Style) -> str:
    """Write an article, of six to eight sentences in CNN's style and four or five in XSum's."""
    opening = draws.pick(event.kind.events)
    writer = _Writer(event, draws, opening)
    inline = draws.chance(0.6)
    event.slots["in"] = f" in {event.slots['town']}" if inline else ""
    rest = [*_facts_told(event, draws), *writer.identity()]
    if not inline:
        rest.append(draws.pick(_PLACES))
    n_sentences = draws.between(4, 5) if style == "xsum" else draws.between(6, 8)
    asides = _asides(event, draws)[: max(0, n_sentences - 1 - len(rest))]
    first = []
    # A sentence of another matter may come first, but not one that mentions somebody.
    if asides and not any(f"{{{role}}}" in asides[0] for role in _ROLES) and draws.chance(0.3):
        first = [asides.pop(0)]
    ways = [*first, opening, *draws.shuffled(rest + asides)]
    sentences = [writer.sentence(way) for way in ways]
    return "\n".join(sentences) if style == "xsum" else DATELINE + " ".join(sentences)
