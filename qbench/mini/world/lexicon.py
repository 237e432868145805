"""The closed vocabularies of the world in English and Chinese: one list per domain.

Word pairs are written ``english=chinese``; a domain is what a question's wrong answers are drawn
from, so that its members are of one kind.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, Language] = ("en", "zh")


class Term(NamedTuple):
    """A word or name in both languages; ``term[language]`` is its text in one."""

    en: str
    zh: str

    def text(self, language: Language) -> str:
        """Return the text in a language."""
        return self.en if language == "en" else self.zh


def terms(pairs: str) -> tuple[Term, ...]:
    """Parse ``english=chinese`` pairs separated by commas."""
    return tuple(Term(*pair.strip().split("=")) for pair in pairs.split(","))


CRAFTS = terms(
    "baker=面包师, potter=陶工, weaver=织工, smith=铁匠, sailor=水手, teacher=老师, doctor=医生, "
    "painter=画家, farmer=农民, singer=歌手, tailor=裁缝, miller=磨坊主, fisher=渔夫, "
    "carpenter=木匠, cook=厨师, guard=卫兵, hunter=猎人, shepherd=牧羊人, judge=法官, "
    "dancer=舞者, mason=石匠, brewer=酿酒师, scribe=抄写员, jeweler=珠宝匠"
)
MONTHS = terms(
    "January=一月, February=二月, March=三月, April=四月, May=五月, June=六月, July=七月, "
    "August=八月, September=九月, October=十月, November=十一月, December=十二月"
)
SEASONS = terms("spring=春天, summer=夏天, autumn=秋天, winter=冬天")
WEEKDAYS = terms(
    "Monday=星期一, Tuesday=星期二, Wednesday=星期三, Thursday=星期四, Friday=星期五, "
    "Saturday=星期六, Sunday=星期日"
)
COLORS = terms(
    "red=红色, blue=蓝色, green=绿色, yellow=黄色, white=白色, black=黑色, purple=紫色, "
    "orange=橙色, brown=棕色, gray=灰色"
)
PETS = terms(
    "dog=狗, cat=猫, rabbit=兔子, horse=马, goat=山羊, duck=鸭子, parrot=鹦鹉, turtle=乌龟, "
    "mouse=老鼠, owl=猫头鹰, snake=蛇, fox=狐狸"
)
FOODS = terms(
    "bread=面包, soup=汤, rice=米饭, noodles=面条, cake=蛋糕, fish=鱼, beans=豆子, eggs=鸡蛋, "
    "pears=梨, plums=李子, nuts=坚果, cabbage=白菜, porridge=粥, dumplings=饺子, cherries=樱桃, "
    "mushrooms=蘑菇"
)
GOODS = terms(
    "salt=盐, honey=蜂蜜, silk=丝绸, tea=茶叶, wool=羊毛, iron=铁, glass=玻璃, paper=纸, "
    "cheese=奶酪, olives=橄榄, copper=铜, wine=葡萄酒, pepper=胡椒, cotton=棉花, leather=皮革, "
    "soap=肥皂, candles=蜡烛, rope=绳子, ink=墨水, silver=银, amber=琥珀, linen=亚麻布, sugar=糖, "
    "vinegar=醋, coal=煤, marble=大理石, pearls=珍珠, feathers=羽毛, oil=油, flour=面粉, "
    "butter=黄油, ginger=姜, lemons=柠檬, apples=苹果, grapes=葡萄, carpets=地毯, mirrors=镜子, "
    "bells=铃铛, clocks=钟表, lamps=灯, knives=刀, baskets=篮子, boots=靴子, hats=帽子, "
    "drums=鼓, flutes=笛子, bricks=砖, paint=油漆"
)
LANDMARKS = terms(
    "tower=高塔, bridge=大桥, castle=城堡, temple=寺庙, library=图书馆, garden=花园, "
    "fountain=喷泉, mill=磨坊, lighthouse=灯塔, theater=剧院, statue=雕像, well=古井"
)
HABITATS = terms(
    "forest=森林, desert=沙漠, swamp=沼泽, mountains=高山, river=河流, cave=洞穴, meadow=草地, "
    "lake=湖泊, coast=海岸, jungle=丛林"
)
DIETS = terms(
    "grass=草, insects=昆虫, roots=树根, berries=浆果, leaves=树叶, seeds=种子, frogs=青蛙, "
    "snails=蜗牛, mice=田鼠, worms=虫子"
)
EVENT_KINDS = terms(
    "Flood=洪水, Fire=大火, March=远征, Feast=盛宴, Storm=风暴, Harvest=丰收, Race=赛跑, "
    "Siege=围城, Fair=集市, Council=会议, Voyage=航行, Comet=彗星"
)
EVENT_MARKS = terms(
    "Great=伟大, Red=红色, Silent=寂静, Long=漫长, First=首次, Golden=金色, Winter=冬季, "
    "Summer=夏季, Northern=北方, Southern=南方"
)
