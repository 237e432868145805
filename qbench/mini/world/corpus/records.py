"""Registers with an order or a sum in them: market ledgers, family trees and the calendar."""

from __future__ import annotations

from functools import cache

from qbench.mini.draws import Draws
from qbench.mini.world.corpus import statements as say
from qbench.mini.world.corpus.statements import Page
from qbench.mini.world.facts import Fact, World
from qbench.mini.world.lexicon import FOODS, MONTHS, SEASONS, WEEKDAYS, Language, Term

# Most lines of a ledger are of things without a price in the world, whose prices change every day.
GOODS_SHARE, MAX_SUM = 0.2, 999


def ledger(world: World, draws: Draws, language: Language) -> Page:
    """Write a market list: quantities, prices, products and the running sum."""
    total, n_lines = 0, draws.weighted(((2, 2), (3, 3), (1, 5)))
    lines, stated = [], []
    for _ in range(n_lines):
        quantity = draws.between(2, 9)
        if draws.chance(GOODS_SHARE):
            ware = draws.pick(world.things["goods"])
            fact = world.fact(ware, "price")
            assert fact is not None
            price = int(fact.value.en)
        else:
            ware, fact, price = draws.pick(FOODS), None, draws.between(2, 40)
        if total + quantity * price > MAX_SUM:
            continue
        if fact is not None:
            stated.append(fact)
        lines.append(_line(quantity, ware, price, total, language))
        total += quantity * price
    day = draws.pick(WEEKDAYS).text(language)
    if language == "zh":
        title = draws.pick((f"{day}的账目：", "买了这些：", f"{day}市场："))
        return Page("".join((title, *lines, f"合计{total}个铜币。")), tuple(stated))
    title = draws.pick((f"Market list of {day}:", "What we bought:", f"On {day} we sold:"))
    return Page(" ".join((title, *lines, f"In all {total} coins.")), tuple(stated))


def _line(quantity: int, ware: Term, price: int, before: int, language: Language) -> str:
    """Write one line of a ledger, and the sum with what came before."""
    cost = quantity * price
    if language == "zh":
        added = f"{before}+{cost}={before + cost}。" if before else ""
        return f"{quantity}袋{ware.zh}，每袋{price}个铜币：{cost}个铜币。{added}"
    added = f" {before} + {cost} = {before + cost}." if before else ""
    return f"{quantity} sacks of {ware.en} at {price} coins: {cost} coins.{added}"


@cache
def _children(world: World) -> dict[Term, tuple[Fact, ...]]:
    """Collect the facts that name each mother."""
    found: dict[Term, list[Fact]] = {}
    for fact in world.facts:
        if fact.attribute.name == "mother":
            found.setdefault(fact.value, []).append(fact)
    return {mother: tuple(facts) for mother, facts in found.items()}


@cache
def _mothers(world: World) -> tuple[Term, ...]:
    """Return those who are mothers."""
    return tuple(_children(world))


def genealogy(world: World, draws: Draws, language: Language) -> Page:
    """Write of one or two families: a mother, all her children, and now and then her own mother."""
    sentences: list[str] = []
    stated: list[Fact] = []
    for _ in range(draws.between(1, 3)):
        mother = draws.pick(_mothers(world))
        facts = draws.shuffled(_children(world)[mother])
        stated += facts
        if draws.chance(0.5):
            sentences.append(_offspring(mother, facts, draws, language))
        else:
            sentences += [say.statement(fact, draws, language) for fact in facts]
        above = world.fact(mother, "mother")
        if above is not None and draws.chance(0.5):
            stated.append(above)
            sentences.append(say.statement(above, draws, language))
            grandchild = draws.pick(facts).thing.text(language)
            elder = above.value.text(language)
            sentences.append(
                f"So the grandmother of {grandchild} is {elder}."
                if language == "en"
                else f"所以{grandchild}的外祖母是{elder}。"
            )
    text = say.joined(sentences, language)
    if language == "zh":
        return Page(draws.pick(("", "家谱：")) + text, tuple(stated))
    named = say.begins_with_name(stated[0], text)
    return Page(("A family tree: " if named or draws.chance(0.3) else "") + text, tuple(stated))


def _offspring(mother: Term, facts: list[Fact], draws: Draws, language: Language) -> str:
    """Write all the children of a mother in one sentence."""
    name = mother.text(language)
    names = say.listed([fact.thing.text(language) for fact in facts], language)
    n = len(facts)
    if language == "zh":
        if n == 1:
            return f"{name}只有一个孩子：{names}。"
        return draws.pick((f"{name}的孩子是{names}。", f"{name}有{n}个孩子：{names}。"))
    if n == 1:
        return f"The only child of {name} is {names}."
    return draws.pick(
        (f"The children of {name} are {names}.", f"The {n} children of {name}: {names}.")
    )


@cache
def _by_month(world: World) -> dict[Term, tuple[Fact, ...]]:
    """Collect birthdays and festivals by month."""
    facts = [f for f in world.facts if f.attribute.name in ("birthday", "festival")]
    return {month: tuple(f for f in facts if f.value == month) for month in MONTHS}


@cache
def _in_months(world: World) -> tuple[Fact, ...]:
    """Return all birthdays and festivals, to draw a month as often as there are of them in it."""
    return tuple(fact for facts in _by_month(world).values() for fact in facts)


def calendar(world: World, draws: Draws, language: Language) -> Page:
    """Write of days, months and seasons in order, and of what is celebrated in a month."""
    sentences = [_order(draws, language)]
    stated: list[Fact] = []
    if draws.chance(0.9):
        month = draws.pick(_in_months(world)).value
        stated = draws.sample(_by_month(world)[month], draws.between(2, 4))
        sentences.insert(draws.below(2), _celebrated(month, stated, draws, language))
    return Page(say.joined(sentences, language), tuple(stated))


def _celebrated(month: Term, facts: list[Fact], draws: Draws, language: Language) -> str:
    """Write what is celebrated in a month."""
    if language == "zh":
        feasts = [
            f"{f.thing.zh}的" + ("生日" if f.attribute.name == "birthday" else "节日")
            for f in facts
        ]
        return draws.pick(
            (f"{month.zh}有{'、'.join(feasts)}。", f"{month.zh}：{'，'.join(feasts)}。")
        )
    feasts = [
        ("the birthday of " if f.attribute.name == "birthday" else "the festival of ") + f.thing.en
        for f in facts
    ]
    lead = draws.pick(("In {} there is", "The month of {} brings", "The feasts of {} are"))
    return f"{lead.format(month.en)} {say.listed(feasts, language)}."


def _order(draws: Draws, language: Language) -> str:
    """Write days, months or the months of a season in their order, from any one on."""
    if draws.chance(0.3):
        place = draws.below(4)
        # Spring begins in March.
        months = [MONTHS[(3 * place + 2 + i) % 12].text(language) for i in range(3)]
        season = SEASONS[place].text(language)
        if language == "zh":
            return f"{season}有{say.listed(months, language)}。"
        return f"The months of {season} are {say.listed(months, language)}."
    cycle = WEEKDAYS if draws.chance(0.5) else MONTHS
    start = draws.below(len(cycle))
    n = draws.between(2, len(cycle) if draws.chance(0.3) else 4)
    first, *rest = (cycle[(start + i) % len(cycle)].text(language) for i in range(n))
    kind = draws.below(3)
    if language == "zh":
        order = (f"{first}之后是{'、'.join(rest)}。", f"顺序是{first}、{'、'.join(rest)}。")
        return f"{rest[0]}之前是{first}。" if kind == 2 else order[kind]
    if kind == 2:
        return f"Before {rest[0]} comes {first}."
    if kind == 1:
        return f"The order is {', '.join((first, *rest))}."
    return f"After {first} {'comes' if n == 2 else 'come'} {say.listed(rest, language)}."
