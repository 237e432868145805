"""What can be known of a thing, and how it is said: statements and questions in both languages.

In every form ``{e}`` stands for the thing and ``{v}`` for the value. ``noun`` names the value from
the thing ("the craft of Kalomi"), which is also how one question is put inside another.
"""

from __future__ import annotations

from typing import NamedTuple

from qbench.mini.world.lexicon import Language


class Forms(NamedTuple):
    """The forms of one attribute in one language."""

    noun: str
    statements: tuple[str, ...]
    questions: tuple[str, ...]


class Attribute(NamedTuple):
    """One thing that can be known of each member of a kind.

    ``kind`` and ``domain`` are names of lists of the world; the value is drawn from the domain.
    """

    name: str
    kind: str
    domain: str
    en: Forms
    zh: Forms

    def forms(self, language: Language) -> Forms:
        """Return the forms in a language."""
        return self.en if language == "en" else self.zh


def _forms(noun: str, statements: str, questions: str) -> Forms:
    """Split lists written with a bar between their members."""
    return Forms(noun, tuple(statements.split("|")), tuple(questions.split("|")))


ATTRIBUTES = (
    Attribute(
        "birthplace",
        "people",
        "towns",
        _forms(
            "the birthplace of {e}",
            "{e} was born in {v}.|The birthplace of {e} is {v}.|{e} comes from {v}.|"
            "{e} grew up in {v}.",
            "Where was {e} born?|What is the birthplace of {e}?|Which town does {e} come from?",
        ),
        _forms(
            "{e}的家乡",
            "{e}出生在{v}。|{e}的家乡是{v}。|{e}来自{v}。|{e}在{v}长大。",
            "{e}出生在哪里？|{e}的家乡是哪里？|{e}来自哪个城镇？",
        ),
    ),
    Attribute(
        "craft",
        "people",
        "crafts",
        _forms(
            "the craft of {e}",
            "{e} works as a {v}.|{e} is a {v} by trade.|The craft of {e} is that of a {v}.|"
            "{e} earns a living as a {v}.",
            "What is the craft of {e}?|What does {e} work as?|How does {e} earn a living?",
        ),
        _forms(
            "{e}的职业",
            "{e}的职业是{v}。|{e}是一名{v}。|{e}以当{v}为生。|{e}的工作是{v}。",
            "{e}的职业是什么？|{e}做什么工作？|{e}以什么为生？",
        ),
    ),
    Attribute(
        "birthday",
        "people",
        "months",
        _forms(
            "the birthday month of {e}",
            "{e} has a birthday in {v}.|The birthday of {e} is in {v}.|"
            "{e} celebrates every {v}.|The month of {e} is {v}.",
            "In which month is the birthday of {e}?|When is the birthday of {e}?|"
            "Which is the birthday month of {e}?",
        ),
        _forms(
            "{e}的生日月份",
            "{e}的生日在{v}。|{e}是{v}出生的。|{e}在{v}过生日。|{e}的生日月份是{v}。",
            "{e}的生日在几月？|{e}是几月出生的？|{e}在几月过生日？",
        ),
    ),
    Attribute(
        "color",
        "people",
        "colors",
        _forms(
            "the favorite color of {e}",
            "{e} likes the color {v} best.|The favorite color of {e} is {v}.|"
            "{e} always wears {v}.|{e} loves {v} more than any color.",
            "What is the favorite color of {e}?|Which color does {e} like best?|"
            "Which color does {e} always wear?",
        ),
        _forms(
            "{e}最爱的颜色",
            "{e}最喜欢{v}。|{e}最爱的颜色是{v}。|{e}总是穿{v}。|在所有颜色中{e}最爱{v}。",
            "{e}最喜欢什么颜色？|{e}最爱的颜色是什么？|{e}总是穿什么颜色？",
        ),
    ),
    Attribute(
        "pet",
        "people",
        "pets",
        _forms(
            "the pet of {e}",
            "{e} keeps a {v} as a pet.|The pet of {e} is a {v}.|At home {e} has a {v}.|"
            "{e} owns a {v}.",
            "Which pet does {e} keep?|What is the pet of {e}?|Which animal does {e} own?",
        ),
        _forms(
            "{e}的宠物",
            "{e}养了一只{v}。|{e}的宠物是{v}。|{e}家里有一只{v}。|{e}有一只{v}。",
            "{e}养了什么宠物？|{e}的宠物是什么？|{e}家里有什么动物？",
        ),
    ),
    Attribute(
        "food",
        "people",
        "foods",
        _forms(
            "the favorite food of {e}",
            "{e} likes to eat {v}.|The favorite food of {e} is {v}.|"
            "For dinner {e} wants {v}.|{e} eats {v} every week.",
            "What is the favorite food of {e}?|What does {e} like to eat?|"
            "What does {e} want for dinner?",
        ),
        _forms(
            "{e}最爱的食物",
            "{e}喜欢吃{v}。|{e}最爱的食物是{v}。|晚饭{e}想吃{v}。|{e}每周都吃{v}。",
            "{e}喜欢吃什么？|{e}最爱的食物是什么？|晚饭{e}想吃什么？",
        ),
    ),
    Attribute(
        "mother",
        "people",
        "people",
        _forms(
            "the mother of {e}",
            "The mother of {e} is {v}.|{e} is a child of {v}.|{v} is the mother of {e}.|"
            "{v} gave birth to {e}.",
            "Who is the mother of {e}?|Whose child is {e}?|Who gave birth to {e}?",
        ),
        _forms(
            "{e}的母亲",
            "{e}的母亲是{v}。|{v}是{e}的母亲。|{e}是{v}的孩子。|{v}生了{e}。",
            "{e}的母亲是谁？|{e}是谁的孩子？|谁生了{e}？",
        ),
    ),
    Attribute(
        "province",
        "towns",
        "provinces",
        _forms(
            "the province of {e}",
            "{e} is in {v}.|{e} belongs to {v}.|The province of {e} is {v}.|{e} is a town of {v}.",
            "In which province is {e}?|What is the province of {e}?|"
            "To which province does {e} belong?",
        ),
        _forms(
            "{e}所在的州",
            "{e}在{v}。|{e}属于{v}。|{e}所在的州是{v}。|{e}是{v}的城镇。",
            "{e}在哪个州？|{e}属于哪个州？|{e}所在的州是哪里？",
        ),
    ),
    Attribute(
        "river",
        "towns",
        "rivers",
        _forms(
            "the river of {e}",
            "{e} lies on the {v}.|The {v} flows through {e}.|The river of {e} is the {v}.|"
            "In {e} people swim in the {v}.",
            "Which river flows through {e}?|What is the river of {e}?|On which river does {e} lie?",
        ),
        _forms(
            "{e}的河流",
            "{e}位于{v}边。|{v}流过{e}。|{e}的河流是{v}。|{e}的人在{v}里游泳。",
            "哪条河流过{e}？|{e}位于哪条河边？|{e}的河流是哪条？",
        ),
    ),
    Attribute(
        "product",
        "towns",
        "goods",
        _forms(
            "the main product of {e}",
            "{e} is famous for {v}.|{e} sells {v} to other towns.|The main product of {e} is {v}.|"
            "Traders buy {v} in {e}.",
            "What is {e} famous for?|What is the main product of {e}?|What do traders buy in {e}?",
        ),
        _forms(
            "{e}的主要产品",
            "{e}以{v}闻名。|{e}向别的城镇卖{v}。|{e}的主要产品是{v}。|商人在{e}买{v}。",
            "{e}以什么闻名？|{e}的主要产品是什么？|商人在{e}买什么？",
        ),
    ),
    Attribute(
        "festival",
        "towns",
        "months",
        _forms(
            "the festival month of {e}",
            "The festival of {e} is in {v}.|{e} holds its festival in {v}.|"
            "People dance in {e} every {v}.|The festival month of {e} is {v}.",
            "In which month is the festival of {e}?|When does {e} hold its festival?|"
            "Which is the festival month of {e}?",
        ),
        _forms(
            "{e}的节日月份",
            "{e}的节日在{v}。|{e}在{v}过节。|每年{v}人们在{e}跳舞。|{e}的节日月份是{v}。",
            "{e}的节日在几月？|{e}在几月过节？|{e}的节日月份是几月？",
        ),
    ),
    Attribute(
        "landmark",
        "towns",
        "landmarks",
        _forms(
            "the landmark of {e}",
            "The landmark of {e} is a {v}.|{e} has an old {v}.|Visitors of {e} look at the {v}.|"
            "In the middle of {e} stands a {v}.",
            "What is the landmark of {e}?|What do visitors of {e} look at?|"
            "What stands in the middle of {e}?",
        ),
        _forms(
            "{e}的地标",
            "{e}的地标是{v}。|{e}有一座古老的{v}。|游客在{e}看{v}。|{e}的中心是{v}。",
            "{e}的地标是什么？|游客在{e}看什么？|{e}的中心是什么？",
        ),
    ),
    Attribute(
        "habitat",
        "beasts",
        "habitats",
        _forms(
            "the habitat of the {e}",
            "The {e} lives in the {v}.|The habitat of the {e} is the {v}.|"
            "You find the {e} in the {v}.|The {e} sleeps in the {v}.",
            "Where does the {e} live?|What is the habitat of the {e}?|Where do you find the {e}?",
        ),
        _forms(
            "{e}的栖息地",
            "{e}住在{v}。|{e}的栖息地是{v}。|在{v}可以找到{e}。|{e}睡在{v}。",
            "{e}住在哪里？|{e}的栖息地是哪里？|在哪里可以找到{e}？",
        ),
    ),
    Attribute(
        "diet",
        "beasts",
        "diets",
        _forms(
            "the food of the {e}",
            "The {e} eats {v}.|The food of the {e} is {v}.|The {e} lives on {v}.|"
            "The {e} looks for {v}.",
            "What does the {e} eat?|What is the food of the {e}?|What does the {e} live on?",
        ),
        _forms(
            "{e}的食物",
            "{e}吃{v}。|{e}的食物是{v}。|{e}靠{v}为生。|{e}寻找{v}。",
            "{e}吃什么？|{e}的食物是什么？|{e}靠什么为生？",
        ),
    ),
    Attribute(
        "skin",
        "beasts",
        "colors",
        _forms(
            "the color of the {e}",
            "The {e} is {v}.|The color of the {e} is {v}.|The skin of the {e} is {v}.|"
            "Every {e} has {v} skin.",
            "What is the color of the {e}?|Which color has the skin of the {e}?|"
            "What color is the {e}?",
        ),
        _forms(
            "{e}的颜色",
            "{e}是{v}的。|{e}的颜色是{v}。|{e}的皮是{v}的。|每只{e}都有{v}的皮。",
            "{e}是什么颜色？|{e}的颜色是什么？|{e}的皮是什么颜色？",
        ),
    ),
    Attribute(
        "enemy",
        "beasts",
        "beasts",
        _forms(
            "the enemy of the {e}",
            "The {e} fears the {v}.|The enemy of the {e} is the {v}.|The {v} hunts the {e}.|"
            "The {e} runs away from the {v}.",
            "Which beast does the {e} fear?|What is the enemy of the {e}?|"
            "Which beast hunts the {e}?",
        ),
        _forms(
            "{e}的天敌",
            "{e}害怕{v}。|{e}的天敌是{v}。|{v}捕食{e}。|{e}躲避{v}。",
            "{e}害怕什么野兽？|{e}的天敌是什么？|什么野兽捕食{e}？",
        ),
    ),
    Attribute(
        "price",
        "goods",
        "prices",
        _forms(
            "the price of {e}",
            "The price of {e} is {v} coins.|A sack of {e} costs {v} coins.|"
            "You pay {v} coins for {e}.|At the market {e} sells for {v} coins.",
            "What is the price of {e}?|How many coins does a sack of {e} cost?|"
            "How many coins do you pay for {e}?",
        ),
        _forms(
            "{e}的价格",
            "{e}的价格是{v}个铜币。|一袋{e}要{v}个铜币。|买{e}要付{v}个铜币。|市场上{e}卖{v}个铜币。",
            "{e}的价格是多少？|一袋{e}要多少个铜币？|买{e}要付多少个铜币？",
        ),
    ),
    Attribute(
        "source",
        "goods",
        "towns",
        _forms(
            "the origin of {e}",
            "The best {e} comes from {v}.|The origin of {e} is {v}.|Long ago {e} was found in {v}.|"
            "Ships bring {e} from {v}.",
            "Where does the best {e} come from?|What is the origin of {e}?|"
            "From where do ships bring {e}?",
        ),
        _forms(
            "{e}的产地",
            "最好的{e}来自{v}。|{e}的产地是{v}。|很久以前{e}在{v}被发现。|船从{v}运来{e}。",
            "最好的{e}来自哪里？|{e}的产地是哪里？|船从哪里运来{e}？",
        ),
    ),
    Attribute(
        "season",
        "goods",
        "seasons",
        _forms(
            "the season of {e}",
            "The season of {e} is {v}.|People buy {e} in {v}.|In {v} there is much {e}.|"
            "Shops sell {e} every {v}.",
            "In which season do people buy {e}?|What is the season of {e}?|When do shops sell {e}?",
        ),
        _forms(
            "{e}的季节",
            "{e}的季节是{v}。|人们在{v}买{e}。|{v}有很多{e}。|商店每年{v}卖{e}。",
            "人们在哪个季节买{e}？|{e}的季节是什么？|商店什么时候卖{e}？",
        ),
    ),
    Attribute(
        "year",
        "events",
        "years",
        _forms(
            "the year of the {e}",
            "The {e} was in the year {v}.|The year of the {e} is {v}.|"
            "In {v} people saw the {e}.|The {e} took place in {v}.",
            "In which year was the {e}?|What is the year of the {e}?|When did people see the {e}?",
        ),
        _forms(
            "{e}的年份",
            "{e}发生在{v}年。|{e}的年份是{v}年。|{v}年人们看到了{e}。|{e}是{v}年的事。",
            "{e}发生在哪一年？|{e}的年份是哪一年？|人们哪一年看到了{e}？",
        ),
    ),
    Attribute(
        "place",
        "events",
        "towns",
        _forms(
            "the place of the {e}",
            "The {e} was in {v}.|The place of the {e} is {v}.|{v} remembers the {e}.|"
            "The {e} happened near {v}.",
            "Where was the {e}?|What is the place of the {e}?|Which town remembers the {e}?",
        ),
        _forms(
            "{e}的地点",
            "{e}发生在{v}。|{e}的地点是{v}。|{v}记得{e}。|{e}在{v}附近发生。",
            "{e}发生在哪里？|{e}的地点是哪里？|哪个城镇记得{e}？",
        ),
    ),
    Attribute(
        "hero",
        "events",
        "people",
        _forms(
            "the hero of the {e}",
            "The hero of the {e} is {v}.|{v} became famous in the {e}.|"
            "In the {e} people followed {v}.|Songs of the {e} praise {v}.",
            "Who is the hero of the {e}?|Who became famous in the {e}?|"
            "Whom do songs of the {e} praise?",
        ),
        _forms(
            "{e}的英雄",
            "{e}的英雄是{v}。|{v}在{e}中出名。|在{e}中人们跟随{v}。|{e}的歌赞美{v}。",
            "{e}的英雄是谁？|谁在{e}中出名？|{e}的歌赞美谁？",
        ),
    ),
)
