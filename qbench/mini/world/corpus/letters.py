"""Letters and diary pages: what one person writes of people and towns, of days and weather."""

from __future__ import annotations

from qbench.mini.draws import Draws
from qbench.mini.world.corpus import statements as say
from qbench.mini.world.corpus.statements import Page, article
from qbench.mini.world.facts import Fact, World
from qbench.mini.world.lexicon import WEEKDAYS, Language, Term, terms

WEATHER = terms(
    "It rained all day.=下了一整天雨。, The wind was cold.=风很冷。, The sun was warm.=太阳很暖。, "
    "Snow lay on the roofs.=屋顶上有雪。, The sky was gray.=天空是灰色的。, "
    "The night was quiet.=夜里很安静。, There was fog in the morning.=早上有雾。, "
    "It was hot at noon.=中午很热。"
)
REMARKS = terms(
    "I am well.=我很好。, I am tired.=我累了。, I sleep little.=我睡得很少。, "
    "The house is quiet.=家里很安静。, I miss you.=我想你。, Please write soon.=请快点写信。, "
    "We ate late.=我们吃得很晚。, The trip was long.=路很远。"
)
# What people say of themselves; the writer's name stands in the same letter.
FIRST_PERSON = {
    "birthplace": Term("I was born in {v}.", "我出生在{v}。"),
    "craft": Term("I work as a {v}.", "我的职业是{v}。"),
    "birthday": Term("My birthday is in {v}.", "我的生日在{v}。"),
    "color": Term("I always wear {v}.", "我总是穿{v}。"),
    "pet": Term("I own a {v}.", "我有一只{v}。"),
    "food": Term("I like to eat {v}.", "我喜欢吃{v}。"),
    "mother": Term("My mother is {v}.", "我的母亲是{v}。"),
}
_HEARD_EN = (
    "I heard that {}.",
    "Did you know that {}?",
    "My neighbor says that {}.",
    "I must tell you that {}.",
    "On {day} I learned that {}.",
    "Do not forget that {}.",
)
_HEARD_ZH = (
    "听说{}。",
    "你知道吗？{}。",
    "邻居说{}。",
    "我要告诉你，{}。",
    "{day}我才知道{}。",
    "别忘了{}。",
)


def letters(world: World, draws: Draws, language: Language) -> Page:
    """Write a letter or a diary page that mentions some facts, a few of them of its writer."""
    long = draws.chance(0.12)
    writer = draws.pick(world.things["people"])
    facts = [
        _fact(world, draws) for _ in range(draws.between(6, 10) if long else draws.between(2, 4))
    ]
    stated: list[Fact] = []
    body: list[str] = []
    for fact in facts:
        stated.append(fact)
        body.append(_told(fact, draws, language))
        if draws.chance(0.25):
            body.append(draws.pick(WEATHER if draws.chance(0.5) else REMARKS).text(language))
    opening = _diary(draws, language)
    closing = ""
    if draws.chance(0.65):
        opening = _greeting(world, draws, language)
        closing = _farewell(writer, draws, language)
    if draws.chance(0.3):
        body.insert(0, _self(world, writer, stated, draws, language))
    return Page(
        say.joined([text for text in (opening, *body, closing) if text], language), tuple(stated)
    )


def _fact(world: World, draws: Draws) -> Fact:
    """Draw a fact of the people or towns, each equally likely."""
    people, towns = world.facts_of("people"), world.facts_of("towns")
    place = draws.below(len(people) + len(towns))
    return people[place] if place < len(people) else towns[place - len(people)]


def _greeting(world: World, draws: Draws, language: Language) -> str:
    """Write how a letter begins."""
    reader = draws.pick(world.things["people"]).text(language)
    weather = draws.pick(WEATHER).text(language) if draws.chance(0.5) else ""
    if language == "zh":
        return draws.pick((f"亲爱的{reader}：", f"{reader}，你好！")) + weather
    return f"{draws.pick(('Dear', 'My dear', 'Hello'))} {reader}, " + (
        weather[0].lower() + weather[1:] if weather else draws.pick(("thank you.", "how are you?"))
    )


def _diary(draws: Draws, language: Language) -> str:
    """Write how a diary page begins."""
    day, weather = draws.pick(WEEKDAYS).text(language), draws.pick(WEATHER).text(language)
    if language == "zh":
        return draws.pick((f"{day}。{weather}", f"今天是{day}。{weather}", weather))
    return draws.pick((f"It is {day}. {weather}", f"Today is {day}. {weather}", weather))


def _farewell(writer: Term, draws: Draws, language: Language) -> str:
    """Write how a letter ends."""
    name = writer.text(language)
    if language == "zh":
        return draws.pick((f"你的朋友{name}。", f"祝好，{name}。", f"{name}敬上。"))
    return draws.pick((f"Your friend {name}.", f"Greetings from {name}.", f"Yours, {name}."))


def _self(world: World, writer: Term, stated: list[Fact], draws: Draws, language: Language) -> str:
    """Write the writer's name and one or two facts that the writer tells of oneself."""
    name = writer.text(language)
    texts = [f"My name is {name}." if language == "en" else f"我叫{name}。"]
    for fact in draws.sample(world.about(writer), draws.between(1, 2)):
        stated.append(fact)
        form = FIRST_PERSON[fact.attribute.name].text(language)
        texts.append(article(form.replace("{v}", fact.value.text(language))))
    return say.joined(texts, language)


def _told(fact: Fact, draws: Draws, language: Language) -> str:
    """Write a fact as one tells it in a letter."""
    day = draws.pick(WEEKDAYS).text(language)
    thing = fact.thing.text(language)
    style = draws.below(10)
    if style < 3:
        return say.statement(fact, draws, language)
    if style < 5 and (said := say.predicate(fact, draws, language)) is not None:
        person = fact.attribute.kind == "people"
        if language == "zh":
            text = say.statement(fact, draws, language)
            return f"{day}我{'见到' if person else '到'}了{thing}。{text}"
        met = f"I met {thing}, who" if person else f"we came to {thing}, which"
        return f"On {day} {met} {said}."
    text = say.statement(fact, draws, language)
    if language == "zh":
        return draws.pick(_HEARD_ZH).format(text.removesuffix("。"), day=day)
    return draws.pick(_HEARD_EN).format(say.lowered(fact, text), day=day)
