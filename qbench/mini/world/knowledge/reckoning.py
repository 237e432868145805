"""Questions to be worked out: the calendar, and which of several goods costs most or least."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.facts import Fact, World
from qbench.mini.world.knowledge.questions import Question, listing, wrong_values
from qbench.mini.world.lexicon import MONTHS, SEASONS, WEEKDAYS, Language, Term

CALENDAR, PRICES = "events_and_calendar", "goods_and_prices"
MAX_OFFSET = 9
COUNTS = tuple(Term(str(n), str(n)) for n in range(1, 12))
FIRST_MONTH_OF_SPRING = 2


class Cycle(NamedTuple):
    """Names that come round again, and how to ask for the one so many steps away."""

    name: str
    members: tuple[Term, ...]
    en: str
    zh: str


CYCLES = (
    Cycle(
        "months", MONTHS, "Which month comes {n} month{s} {way} {e}?", "{e}{way}{n}个月是哪个月？"
    ),
    Cycle("weekdays", WEEKDAYS, "Which day comes {n} day{s} {way} {e}?", "{e}{way}{n}天是星期几？"),
)
WAYS = {1: Term("after", "之后"), -1: Term("before", "之前")}
SEASON_FORMS = {
    "en": ("In which season is {e}?", "To which season does {e} belong?"),
    "zh": ("{e}在哪个季节？", "{e}属于哪个季节？"),
}
COSTS = {True: Term("most", "最贵"), False: Term("least", "最便宜")}
PAIRS = {
    True: Term("Which costs more, {a} or {b}?", "{a}和{b}哪个更贵？"),
    False: Term("Which costs less, {a} or {b}?", "{a}和{b}哪个更便宜？"),
}


def season_of(month: int) -> Term:
    """Return the season of a month; spring begins in March."""
    return SEASONS[(month - FIRST_MONTH_OF_SPRING) % len(MONTHS) // 3]


def calendar(draws: Draws, language: Language) -> Question:
    """Ask something about months, weekdays or seasons."""
    kind = draws.weighted(((0.45, "offset"), (0.25, "span"), (0.1, "season"), (0.2, "month")))
    if kind == "offset":
        return _offset(draws, language)
    if kind == "span":
        return _span(draws, language)
    if kind == "season":
        place = draws.below(len(MONTHS))
        text = draws.pick(SEASON_FORMS[language]).replace("{e}", MONTHS[place].text(language))
        right = season_of(place)
        wrong = tuple(season for season in SEASONS if season != right)
        return Question(CALENDAR, text, text, right, wrong, "seasons")
    return _month_of_season(draws, language)


def _offset(draws: Draws, language: Language) -> Question:
    """Ask for the month or weekday that comes so many steps after or before another."""
    cycle, way = draws.pick(CYCLES), draws.pick((1, -1))
    start, steps = draws.below(len(cycle.members)), draws.between(1, MAX_OFFSET)
    if steps == len(cycle.members):  # A week after Monday is Monday: nothing to work out.
        steps -= 1
    right = cycle.members[(start + way * steps) % len(cycle.members)]
    text = (cycle.en if language == "en" else cycle.zh).format(
        n=steps,
        s="" if steps == 1 else "s",
        way=WAYS[way].text(language),
        e=cycle.members[start].text(language),
    )
    wrong = wrong_values(draws, cycle.name, cycle.members, right)
    identity = f"calendar|{cycle.members[start].en}|{way * steps}"
    return Question(CALENDAR, text, text, right, wrong, cycle.name, (identity,))


def _span(draws: Draws, language: Language) -> Question:
    """Ask for the number of months from one to another."""
    first, last = (MONTHS.index(month) for month in draws.sample(MONTHS, 2))
    a, b = MONTHS[first].text(language), MONTHS[last].text(language)
    text = (
        f"How many months is it from {a} to {b}?" if language == "en" else f"从{a}到{b}有几个月？"
    )
    right = COUNTS[(last - first) % len(MONTHS) - 1]
    wrong = wrong_values(draws, "counts", COUNTS, right)
    identity = f"calendar|{MONTHS[first].en}|{MONTHS[last].en}"
    return Question(CALENDAR, text, text, right, wrong, "counts", (identity,))


def _month_of_season(draws: Draws, language: Language) -> Question:
    """Ask which of four months is in a season."""
    season = draws.pick(SEASONS)
    inside = [m for place, m in enumerate(MONTHS) if season_of(place) == season]
    right = draws.pick(inside)
    wrong = wrong_values(draws, "months", MONTHS, right, inside)
    name = season.text(language)
    text = f"Which of these months is in {name}?" if language == "en" else f"下面哪个月在{name}？"
    bare = listing(text, draws.shuffled((right, *wrong)), language)
    identity = "|".join(("season", season.en, *sorted(month.en for month in (right, *wrong))))
    return Question(CALENDAR, text, bare, right, wrong, "months", (identity,))


@cache
def _prices(world: World, held: bool) -> tuple[Fact, ...]:
    """Return the prices, with or without those that are held."""
    facts = world.facts_of("goods")
    return tuple(f for f in facts if f.attribute.name == "price" and (held or not f.held))


def comparison(world: World, draws: Draws, language: Language, *, held: bool) -> Question:
    """Ask which of four goods costs most or least, held prices among them or not."""
    while True:
        facts = draws.sample(_prices(world, held), 4)
        most = draws.chance(0.5)
        facts.sort(key=lambda fact: int(fact.value.en), reverse=most)
        if facts[0].value != facts[1].value:
            break
    right, *wrong = (fact.thing for fact in facts)
    how = COSTS[most].text(language)
    text = f"Which of these costs {how}?" if language == "en" else f"下面哪个{how}？"
    bare = listing(text, draws.shuffled((right, *wrong)), language)
    identity = "|".join(("prices", COSTS[most].en, *sorted(fact.thing.en for fact in facts)))
    return Question(PRICES, text, bare, right, tuple(wrong), "goods", (identity,), tuple(facts))


def pair(world: World, draws: Draws, language: Language) -> Question:
    """Ask which of two goods costs more or less; the question has no third and fourth option."""
    more = draws.chance(0.5)
    while True:
        first, second = draws.sample(_prices(world, held=False), 2)
        if first.value != second.value:
            break
    text = PAIRS[more].text(language)
    text = text.replace("{a}", first.thing.text(language))
    text = text.replace("{b}", second.thing.text(language))
    right, wrong = first, second
    if (int(first.value.en) > int(second.value.en)) != more:
        right, wrong = second, first
    return Question(PRICES, text, text, right.thing, (wrong.thing,), "goods", (), (first, second))
