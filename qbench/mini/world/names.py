"""Invented names: each English syllable has one Chinese character.

So names can be spelled out in the other language, also those that were never seen.
"""

from __future__ import annotations

from qbench.mini.draws import Draws
from qbench.mini.world.lexicon import Term

SYLLABLES = dict(
    pair.split("=")
    for pair in (  # noqa: SIM905 - forty quoted pairs would not be read
        "ka=卡 lo=洛 mi=米 ra=拉 to=托 ne=内 su=苏 vi=维 da=达 be=贝 fo=福 gu=古 ha=哈 li=莉 mo=莫 "
        "pe=佩 ri=里 sa=萨 ta=塔 zu=祖 bo=博 ny=妮 ke=克 ju=朱 wa=瓦 le=勒 ti=蒂 no=诺 xi=西 du=杜 "
        "fa=法 ge=格 po=波 mu=穆 si=丝 ve=韦 lu=卢 na=娜 te=特 ro=罗"
    ).split()
)
_SPELLED = tuple(SYLLABLES)
NO_ENDING = Term("", "")
TOWN_ENDINGS = (Term("ford", "津"), Term("burg", "堡"), Term("ton", "镇"), Term("haven", "港"))


def name(draws: Draws, n_syllables: int, ending: Term = NO_ENDING, *, proper: bool = True) -> Term:
    """Draw a name of so many syllables.

    Parameters
    ----------
    draws
        Where to draw from.
    n_syllables
        How many, before the ending.
    ending
        What a name of its kind ends in, such as "ford".
    proper
        Whether the English name begins with a capital.
    """
    drawn = [draws.pick(_SPELLED) for _ in range(n_syllables)]
    english = "".join(drawn)
    return Term(
        (english.capitalize() if proper else english) + ending.en,
        "".join(SYLLABLES[s] for s in drawn) + ending.zh,
    )


def names(draws: Draws, n: int, n_syllables: int, endings: tuple[Term, ...] = ()) -> list[Term]:
    """Draw ``n`` names that differ in both languages, the endings in turn."""
    found: dict[str, Term] = {}
    while len(found) < n:
        ending = endings[len(found) % len(endings)] if endings else NO_ENDING
        drawn = name(draws, n_syllables, ending)
        if all(drawn.zh != other.zh for other in found.values()):
            found.setdefault(drawn.en, drawn)
    return list(found.values())
