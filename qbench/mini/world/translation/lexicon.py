"""The words of the translation exercises: nouns with measure words, verbs with what they take.

Tables are written ``english=chinese``; further forms and properties stand behind slashes and
colons, as each table says. Nouns are of kinds, each a letter, and a verb lists the kinds of its
objects: p people, a animals, f food, d drinks, g goods, t things, x texts, c clothes, h what is
worn without being pulled over, u what is blown, r what is beaten, b buildings.
"""

from __future__ import annotations

from typing import NamedTuple

from qbench.mini.world import lexicon
from qbench.mini.world.lexicon import Term


class Noun(NamedTuple):
    """A noun; one that cannot be counted has a ``container`` that can (a bag of salt)."""

    en: str
    plural: str
    zh: str
    measure: str
    kind: str
    container: str = ""


class Verb(NamedTuple):
    """A verb; ``zh`` is used with objects of one of ``kinds``, so that a verb may occur twice.

    ``stem`` is the Chinese verb before a duration, of verbs without object.
    """

    en: str
    third: str
    past: str
    zh: str
    kinds: str = ""
    stem: str = ""


class Adjective(NamedTuple):
    """An adjective before nouns of ``kinds``; ``more`` is its comparative, if it is used in one."""

    en: str
    zh: str
    kinds: str
    more: str
    rank: int


class Place(NamedTuple):
    """What a place phrase may name, and the relations (see RELATIONS) that it may be named with."""

    noun: Noun
    relations: tuple[Term, ...]


VOWELS = "aeiou"
IRREGULAR_PLURALS = {"mouse": "mice", "knife": "knives"}


def plural(noun: str) -> str:
    """Return the English plural."""
    if noun in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[noun]
    if noun.endswith("y") and noun[-2] not in VOWELS:
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def _nouns(kind: str, table: str) -> tuple[Noun, ...]:
    """Parse ``english=chinese/measure``, with ``/container`` behind nouns that need one."""
    found = []
    for entry in table.split(","):
        english, chinese = entry.strip().split("=")
        zh, measure, *container = chinese.split("/")
        plural_form = english if container else plural(english)
        found.append(Noun(english, plural_form, zh, measure, kind, *container))
    return tuple(found)


_RESPECTED = {"teacher", "doctor", "judge", "painter", "singer"}
CRAFTS = tuple(
    Noun(craft.en, plural(craft.en), craft.zh, "位" if craft.en in _RESPECTED else "个", "p")
    for craft in lexicon.CRAFTS
)
_PET_MEASURES = {"horse": "匹", "goat": "头", "snake": "条"}
ANIMALS = tuple(
    Noun(pet.en, plural(pet.en), pet.zh, _PET_MEASURES.get(pet.en, "只"), "a")
    for pet in lexicon.PETS
) + _nouns("a", "cow=牛/头")
BUILDINGS = _nouns(
    "b",
    "tower=高塔/座, bridge=大桥/座, castle=城堡/座, temple=寺庙/座, library=图书馆/座, "
    "garden=花园/个, fountain=喷泉/个, mill=磨坊/个, lighthouse=灯塔/座, theater=剧院/家, "
    "statue=雕像/座, house=房子/座, market=市场/个",
)
NOUNS = (
    *ANIMALS,
    *BUILDINGS,
    *_nouns(
        "f",
        "cake=蛋糕/块, egg=鸡蛋/个, pear=梨/个, plum=李子/个, nut=坚果/颗, cherry=樱桃/颗, "
        "lemon=柠檬/个, mushroom=蘑菇/个, dumpling=饺子/个, cabbage=白菜/棵, apple=苹果/个, "
        "bread=面包/块/piece, cheese=奶酪/块/piece, butter=黄油/块/piece, rice=米饭/碗/bowl, "
        "noodles=面条/碗/bowl, porridge=粥/碗/bowl, beans=豆子/袋/bag, grapes=葡萄/串/bunch, "
        "honey=蜂蜜/瓶/bottle, sugar=糖/袋/bag",
    ),
    *_nouns("d", "soup=汤/碗/bowl, wine=葡萄酒/瓶/bottle, water=水/杯/cup, milk=牛奶/杯/cup"),
    *_nouns(
        "g",
        "salt=盐/袋/bag, tea=茶叶/袋/bag, wool=羊毛/袋/bag, coal=煤/袋/bag, flour=面粉/袋/bag, "
        "silk=丝绸/块/piece, linen=亚麻布/块/piece, soap=肥皂/块/piece, paper=纸/张/sheet, "
        "ink=墨水/瓶/bottle, oil=油/瓶/bottle, vinegar=醋/瓶/bottle, paint=油漆/瓶/bottle",
    ),
    *_nouns(
        "t",
        "mirror=镜子/面, clock=钟表/个, lamp=灯/盏, knife=刀/把, basket=篮子/个, rope=绳子/根, "
        "candle=蜡烛/支, carpet=地毯/块, brick=砖/块, pearl=珍珠/颗, feather=羽毛/根, "
        "table=桌子/张, boat=船/条, flower=花/朵, stone=石头/块",
    ),
    *_nouns("x", "book=书/本, letter=信/封, map=地图/张, song=歌/首"),
    *_nouns("c", "coat=外套/件, boots=靴子/双/pair"),
    *_nouns("h", "hat=帽子/顶"),
    *_nouns("u", "flute=笛子/支"),
    *_nouns("r", "drum=鼓/面, bell=铃铛/个"),
)
RELATIVES = lexicon.terms(
    "brother=哥哥, sister=姐姐, mother=母亲, father=父亲, son=儿子, daughter=女儿, friend=朋友, "
    "neighbor=邻居"
)

RELATIONS = {
    "i": Term("in", "里"),
    "a": Term("at", ""),
    "o": Term("on", "上"),
    "n": Term("near", "附近"),
    "b": Term("behind", "后面"),
    "f": Term("in front of", "前面"),
    "x": Term("next to", "旁边"),
    "u": Term("under", "下面"),
}
_PLACES = (
    "tower:infbx, bridge:onu, castle:infbx, temple:infbx, library:infbx, garden:inb, fountain:nx, "
    "mill:infbx, lighthouse:infbx, theater:infbx, statue:nfbx, house:infbx, "
    "market:an, table:oux, tree:unb, forest:in, desert:i, swamp:in, cave:in, lake:nx, coast:on, "
    "jungle:in, meadow:on, kitchen:i, harbor:an, well:nx, roof:o"
)
_OTHER_PLACES = _nouns(
    "", "tree=树/棵, kitchen=厨房/个, harbor=港口/个, well=古井/口, roof=屋顶/个"
) + tuple(
    Noun(h.en, h.en, h.zh, "", "") for h in lexicon.HABITATS if h.en not in {"mountains", "river"}
)
_BY_NAME = {noun.en: noun for noun in (*NOUNS, *_OTHER_PLACES)}
PLACES = tuple(
    Place(_BY_NAME[name], tuple(RELATIONS[code] for code in codes))
    for name, codes in (entry.strip().split(":") for entry in _PLACES.split(","))
)


def _third(verb: str) -> str:
    """Return the third person singular of the present."""
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "x", "ch", "sh", "o")) else "s")


def _regular_past(verb: str) -> str:
    """Return the past of a regular verb."""
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ied"
    return verb + ("d" if verb.endswith("e") else "ed")


def _verbs(table: str) -> tuple[Verb, ...]:
    """Parse ``verb=chinese:kinds``, with ``/past`` if irregular and ``/stem`` if different."""
    found = []
    for entry in table.split(","):
        english, rest = entry.strip().split("=")
        chinese, _, kinds = rest.partition(":")
        zh, _, stem = chinese.partition("/")
        words, _, irregular = english.partition("/")
        verb, _, particle = words.partition(" ")
        tail = f" {particle}" if particle else ""
        past = irregular or _regular_past(verb)
        found.append(Verb(words, _third(verb) + tail, past + tail, zh, kinds, stem or zh))
    return tuple(found)


VERBS = _verbs(
    "buy/bought=买:afdgtxchur, sell/sold=卖:afdgtxchur, find/found=找到:aftxchur, "
    "lose/lost=丢:tchur, steal/stole=偷:afgtxchur, carry=搬:fgt, "
    "bring/brought=带来:afdgtxchur, see/saw=看见:patb, draw/drew=画:patb, repair=修理:turc, "
    "break/broke=打破:tur, make/made=做:tchur, choose/chose=选:afgtxchur, borrow=借:txchur, "
    "wash=洗:ac, burn=烧:gx, build/built=建:b, enter=进:b, "
    "leave/left=离开:b, reach=到达:b, visit=参观:b, "
    "write/wrote=写:x, forget/forgot=忘记:px, eat/ate=吃:f, "
    "cook=煮:f, slice=切:f, drink/drank=喝:d, feed/fed=喂:a, "
    "catch/caught=抓住:a, chase=追:pa, hear/heard=听见:paur, follow=跟随:pa, help=帮助:p, "
    "meet/met=遇见:p, teach/taught=教:p, invite=请:p, wait for=等:p, "
    "look for=寻找:patxchur, wear/wore=穿:c, wear/wore=戴:h, play=吹:u, play=打:r"
)
STATES = _verbs(
    "like=喜欢:pafdtxchurb, need=需要:pfgtxch, want=想要:aftxchur, "
    "fear=害怕:pa, trust=相信:p, own=拥有:atxb"
)
# With a receiver: give a lamp to the singer.
GIVING = _verbs(
    "give/gave=给:afgtxchur, sell/sold=卖给:afgtxchur, send/sent=寄给:gtxch, "
    "lend/lent=借给:tchur, bring/brought=带给:afdgtxchur"
)
# With somebody for whom it is done: bake a cake for the singer.
FAVORS = frozenset(
    {"buy", "find", "make", "cook", "repair", "choose", "write", "draw", "wash", "slice"}
)
# With the place where something is put, in Chinese with 把.
PLACING = _verbs("place=放:aftxchur, hang/hung=挂:tch, hide/hid=藏:ftxchur, leave/left=留:ftxchur")
ALONE = _verbs(
    "sleep/slept=睡觉/睡, work=工作, rest=休息, wait=等, cry=哭, "
    "sing/sang=唱歌/唱, dance=跳舞/跳, swim/swam=游泳/游, run/ran=跑步/跑, laugh=笑"
)
# What animals do, too.
ANIMAL_VERBS = frozenset(
    {"chase", "see", "hear", "follow", "eat", "find", "fear", "sleep", "rest", "run"}
)


def _adjectives(rank: int, table: str) -> tuple[Adjective, ...]:
    """Parse ``english=chinese:kinds`` with ``/comparative`` where there is one."""
    found = []
    for entry in table.split(","):
        english, rest = entry.strip().split("=")
        word, _, more = english.partition("/")
        zh, _, kinds = rest.partition(":")
        found.append(Adjective(word, zh, kinds, more, rank))
    return tuple(found)


ADJECTIVES = (
    *_adjectives(
        0,
        "beautiful/more beautiful=好看的:atchb, "
        "famous/more famous=有名的:pxb, clever/cleverer=聪明的:pa, "
        "poor/poorer=穷的:p, "
        "rich/richer=富有的:p, careful/more careful=小心的:p, honest/more honest=老实的:p, "
        "cheap/cheaper=便宜的:fdgtchur, heavy/heavier=重的:tr, clean/cleaner=干净的:tcb, "
        "dirty/dirtier=脏的:atcb, fresh/fresher=新鲜的:f, useful/more useful=有用的:tx, "
        "good/better=好:fdgxur, quiet/quieter=安静的:pab",
    ),
    *_adjectives(1, "big/bigger=大:afturb, small/smaller=小:aftxchurb, long/longer=长:xc"),
    *_adjectives(
        2,
        "old/older=老:pa, old/older=旧:txchur, old/older=古老的:b, new=新:txchurb, "
        "young/younger=年轻的:p",
    ),
    *_adjectives(
        3,
        ", ".join(f"{c.en}={c.zh}的:atchur" for c in lexicon.COLORS),
    ),
)

# Adverbs of what is done again and again, and of how something is done
FREQUENCIES = lexicon.terms("often=经常, always=总是, sometimes=有时")
MANNERS = lexicon.terms(
    "quickly=很快地, slowly=慢慢地, secretly=偷偷地, happily=开心地, carefully=小心地, "
    "quietly=安静地"
)
UNITS = lexicon.terms("hour=个小时, day=天, week=周, month=个月, year=年")

_ZH_DIGITS = " 一二三四五六七八九"
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
_EN_NUMBERS = _NUMBER_WORDS.split(" ")


def _zh_number(n: int) -> str:
    """Write a number up to 20 as it stands before a measure word."""
    tens, ones = divmod(n, 10)
    if n == 2:
        return "两"
    return ("十" if tens == 1 else "二十" if tens else "") + (_ZH_DIGITS[ones] if ones else "")


NUMBERS = {n: Term(_EN_NUMBERS[n], _zh_number(n)) for n in range(1, 21)}
_DAYTIMES = lexicon.terms("morning=早上, afternoon=下午, evening=晚上")
_POINTS = (
    *(Term(f"on {d.en}", d.zh) for d in lexicon.WEEKDAYS),
    *(Term(f"in {m.en}", m.zh) for m in lexicon.MONTHS),
)
_SPANS = lexicon.terms("week=周, month=个月")
PAST_TIMES = (
    *_POINTS,
    *(Term(f"last {d.en}", f"上{d.zh}") for d in lexicon.WEEKDAYS),
    *(Term(f"last {s.en}", f"去年{s.zh}") for s in lexicon.SEASONS),
    *(Term(f"last {s.en}", f"上{s.zh}") for s in _SPANS),
    *(Term(f"yesterday {d.en}", f"昨天{d.zh}") for d in _DAYTIMES),
    *(Term("yesterday", "昨天"), Term("last year", "去年"), Term("this morning", "今天早上")) * 2,
    *(
        Term(f"{NUMBERS[n].en} {u.en}s ago", f"{NUMBERS[n].zh}{u.zh}前")
        for n in range(2, 11)
        for u in UNITS
    ),
)
FUTURE_TIMES = (
    *_POINTS,
    *(Term(f"next {d.en}", f"下{d.zh}") for d in lexicon.WEEKDAYS),
    *(Term(f"next {s.en}", f"明年{s.zh}") for s in lexicon.SEASONS),
    *(Term(f"next {s.en}", f"下{s.zh}") for s in _SPANS),
    *(Term(f"tomorrow {d.en}", f"明天{d.zh}") for d in _DAYTIMES),
    *(Term("tomorrow", "明天"), Term("next year", "明年"), Term("this evening", "今天晚上")) * 2,
    *(
        Term(f"in {NUMBERS[n].en} {u.en}s", f"{NUMBERS[n].zh}{u.zh}后")
        for n in range(2, 11)
        for u in UNITS
    ),
)
PRESENT_TIMES = (
    *(Term(f"in {m.en}", m.zh) for m in lexicon.MONTHS),
    *(Term(f"in {s.en}", s.zh) for s in lexicon.SEASONS),
    *(Term(f"every {d.en}", f"每个{d.zh}") for d in lexicon.WEEKDAYS),
    *(Term(f"every {d.en}", f"每天{d.zh}") for d in _DAYTIMES),
    *(Term("every day", "每天"), Term("every week", "每周"), Term("every year", "每年")) * 2,
)
