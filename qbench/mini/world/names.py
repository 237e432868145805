"""Invented names: a first and a second syllable, each with its Chinese character.

So names can be spelled out in the other language, also those that were never seen. No syllable is
both a first and a second one, so that a model mostly finds a name again in its context by one of
its tokens; with 40 syllables in any place and three to a name, copying and binding came late.
"""

from __future__ import annotations

from qbench.mini.draws import Draws
from qbench.mini.world.lexicon import Term


def _spelled(pairs: str) -> dict[str, str]:
    """Parse ``syllable=character`` pairs separated by blanks."""
    return dict(pair.split("=") for pair in pairs.split())


ONSETS = _spelled(
    "ka=卡 lo=洛 mi=米 ra=拉 to=托 ne=内 su=苏 vi=维 da=达 be=贝 fo=福 gu=古 ha=哈 mo=莫 pe=佩 "
    "sa=萨 ta=塔 zu=祖 bo=博 ke=克 ju=朱 wa=瓦 ti=蒂 no=诺 du=杜 fa=法 ge=格 po=波 mu=穆 ve=韦 "
    "te=特 ro=罗 ho=霍 ba=巴 de=德 ja=贾 ko=科 pa=帕 ku=库 yu=尤"
)
CODAS = _spelled(
    "li=莉 ri=里 ny=妮 len=莱 xi=西 si=丝 lum=卢 nu=努 di=迪 bin=宾 fi=菲 ki=基 ga=加 ya=雅 ze=泽 "
    "re=雷 ru=鲁 se=塞 so=索 qi=奇 hur=赫 by=拜 pu=普 lan=兰 man=曼 dan=丹 don=顿 kun=昆 san=桑 "
    "fen=芬 wen=温 lun=伦 gon=贡 ban=班 jen=简 han=汉 tin=廷 kan=坎 ni=尼 za=扎"
)
SYLLABLES = ONSETS | CODAS
NO_ENDING = Term("", "")
TOWN_ENDINGS = (Term("ford", "津"), Term("burg", "堡"), Term("ton", "镇"), Term("haven", "港"))


def name(draws: Draws, ending: Term = NO_ENDING) -> Term:
    """Draw a name, with the ending of its kind such as "ford"."""
    first, second = draws.pick(tuple(ONSETS)), draws.pick(tuple(CODAS))
    return Term(
        (first + second).capitalize() + ending.en, ONSETS[first] + CODAS[second] + ending.zh
    )


def names(draws: Draws, n: int, endings: tuple[Term, ...] = (NO_ENDING,)) -> list[Term]:
    """Draw ``n`` names that differ, the endings in turn."""
    found: dict[Term, None] = {}
    while len(found) < n:
        found[name(draws, endings[len(found) % len(endings)])] = None
    return list(found)
