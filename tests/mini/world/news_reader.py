"""A reader of the Gazette: from the text of an article to the summary that it must have.

Written against the articles and the rules for summaries, apart from the generator; of that it knows
the list of crafts only.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from qbench.mini.world.lexicon import CRAFTS
from qbench.mini.world.names import CODAS, ONSETS

CRAFT = f"(?:{'|'.join(term.en for term in CRAFTS)})"
# Names never begin a sentence.
NAME = rf"(?<= )(?:{'|'.join(map(str.capitalize, ONSETS))})(?:{'|'.join(CODAS)})\b"
TOWN = r"[A-Z][a-z]+(?:ford|burg|ton|haven)\b"
DAY = r"[A-Z][a-z]+day\b"
N = r"\d{1,2}\b"
PERSON = (
    rf"(?:(?:[Tt]he|[Aa]) {CRAFT} named {NAME}|[Tt]he {CRAFT} {NAME}|{NAME} the {CRAFT}|"
    rf"(?:[Tt]he|[Aa]) {CRAFT}\b|{NAME})"
)
FULL = (
    rf"(?:[Tt]he|[Aa]) (?P<c>{CRAFT}) named (?P<n>{NAME})",
    rf"[Tt]he (?P<c>{CRAFT}) (?P<n>{NAME})",
    rf"(?P<n>{NAME}) the (?P<c>{CRAFT})\b",
    rf"By trade (?P<n>{NAME}) is a (?P<c>{CRAFT})\b",
    rf"(?P<n>{NAME}) has been a (?P<c>{CRAFT})\b",
    rf"knows (?P<n>{NAME}) as a (?P<c>{CRAFT})\b",
    rf"The name of the (?P<c>{CRAFT}) is (?P<n>{NAME})",
    rf"The (?P<c>{CRAFT}) is called (?P<n>{NAME})",
    rf"the (?P<c>{CRAFT}) by the name (?P<n>{NAME})",
)

# Kind: what its event looks like (_ the main person, @ the other), and the clause.
EVENTS: dict[str, tuple[str, str]] = {
    "fire": (
        r"house of _ went up in flames|lames took the house of _|_ had to run from a house on fire|"
        r"_ could not save a home|see flames over the house of _",
        "A fire destroyed the house of _",
    ),
    "flood": (
        r"[Ww]ater filled the house of _|River came into the house of _|_ stood in water|"
        r"_ had to leave home by boat|with a boat for _,",
        "A flood destroyed the house of _",
    ),
    "storm": (
        r"wind left _ without a roof|roof of _ (?:is gone|fell)|_ had to sleep under|"
        r"found the roof of _ in",
        "A storm took the roof of _",
    ),
    "sickness": (
        r"fever sent _ to bed|_ could not get up|to the bed of _,|_ has a fever and|the work of _,",
        "_ fell ill",
    ),
    "theft": (
        r"@ took a purse from _|_ (?:had to give|lost) a purse to @|@ is the thief .* purse of _|"
        r"@ ran away with the purse of _",
        "@ robbed _",
    ),
    "lost pet": (
        r"[Tt]he (?P<pet>\w+) of _ ran away|_ is looking for an? (?P<pet>\w+)|"
        r"_ came home and the (?P<pet>\w+) was gone|saw the (?P<pet>\w+) of _ run away|"
        r"hears _ call for an? (?P<pet>\w+) every night",
        "_ lost %pet",
    ),
    "race": (
        r"_ was faster than|second behind _|a long run against _|_ came first|could not catch _",
        "_ won the race",
    ),
    "wedding": (
        r"the wedding of _|the cake for _,|_ said yes in front of|_ asked @ to come to the wedding",
        "_ got married",
    ),
    "treasure": (
        r"_ saw an old chest|a chest waited for _|_ opened an old chest|helped _ with a chest|"
        r"a chest that _ then opened",
        "_ found a treasure",
    ),
    "election": (
        r"_ will be judge|lost the vote for judge to _|give the work of a judge to _|"
        r"wanted _ as judge|lost against _ and cannot be judge",
        "_ became judge",
    ),
    "festival": (
        r"until _ opened the days of (?P<good>\w+)|_ spoke first to open the days of (?P<good>\w+)|"
        r"thanked _, who had opened the days of (?P<good>\w+)|"
        r"days of (?P<good>\w+) began with a song by _|"
        r"_ and not @ was asked to open the days of (?P<good>\w+)",
        "_ opened the festival of %good",
    ),
    "shop": (
        r"_ began to sell (?P<good>\w+) in the old house|the first to buy (?P<good>\w+) from _|"
        r"gave a house to _, who sells (?P<good>\w+)|_ put (?P<good>\w+) on the table|"
        r"(?P<good>\w+) can now be bought from _",
        "_ opened a shop for %good",
    ),
    "bridge": (
        r"_ finished a way over|on the work of _|_ worked for @ to make a way|thanks to _|"
        r"@ paid _ for a dry way",
        "_ built a bridge",
    ),
    "price": (
        r"_ put a new price on (?P<good>\w+)|the new price of (?P<good>\w+) from _|"
        r"_ asks another price for (?P<good>\w+)|pay another price for (?P<good>\w+) from _|"
        r"talked to _ about the new price of (?P<good>\w+)",
        "_ %moved the price of %good",
    ),
}
COUNTS = {
    "fire": rf"house (?P<x>{N}) sacks of \w+ were lost|Of (?P<x>{N}) sacks of \w+ nothing",
    "flood": rf"water had (?P<x>{N}) feet|a line at (?P<x>{N}) feet",
    "storm": rf"Outside (?P<x>{N}) trees|wind broke (?P<x>{N}) trees",
    "sickness": rf"In all (?P<x>{N}) people|look after (?P<x>{N}) people",
    "theft": rf"There were (?P<x>{N}) coins in it|full, with (?P<x>{N}) coins",
    "lost pet": rf"(?P<x>{N}) people (?:went out|called)",
    "race": rf"(?:stood|waited) (?P<x>{N}) runners",
    "wedding": rf"(?:sat|cake for) (?P<x>{N}) guests",
    "treasure": rf"There were (?P<x>{N}) coins in it|counted (?P<x>{N}) coins",
    "election": rf"(?P<x>{N}) papers with the right name|The right name got (?P<x>{N}) votes",
    "festival": rf"full with (?P<x>{N}) visitors|counted (?P<x>{N}) visitors",
    "shop": rf"(?:stood|brought) (?P<x>{N}) customers",
    "bridge": rf"end it has (?P<x>{N}) feet|walks (?P<x>{N}) feet",
    "price": rf"It is now (?P<x>{N}) coins|before, now (?P<x>{N})|coins, now (?P<x>{N})",
}
CORRECTED = rf"spoke of {N} .*, but there were (?P<x>{N})|It was (?P<x>{N}) .* and not {N}"
COUNT_LINES = {
    "fire": "The flames took %x sacks of %good.",
    "flood": "The water was %x feet high.",
    "storm": "%x trees fell.",
    "sickness": "%x people have the fever.",
    "theft": "The purse held %x coins.",
    "lost pet": "%x people looked for it.",
    "race": "%x runners took part.",
    "wedding": "%x guests came.",
    "treasure": "The chest held %x coins.",
    "election": "The winner had %x votes.",
    "festival": "%x visitors came.",
    "shop": "%x customers came.",
    "bridge": "It is %x feet long.",
    "price": "It costs %x coins.",
}
HOUSE = "fire flood storm"
# Kinds, the sentences, the line.
CAUSES: tuple[tuple[str, str, str], ...] = (
    ("fire", r"A lamp had been|began with a lamp", "A lamp started it."),
    ("fire", r"left (?P<x>\w+) in the oven|with (?P<x>\w+) in a hot", "%x in the oven started it."),
    ("fire", r"By the bed (?P<x>an? \w+) had|a candle and (?P<x>an? \w+)", "%x ran into a candle."),
    (
        "flood treasure",
        rf"For (?P<x>{N}) days there had|gray for (?P<x>{N})",
        "It rained for %x days.",
    ),
    ("flood", r"old wall had given way|hole in an old wall", "An old wall broke."),
    ("storm", r"From the (?P<x>\w+) a black|begun over the (?P<x>\w+)", "It came from the %x."),
    ("storm", rf"hot for (?P<x>{N})|After (?P<x>{N}) hot", "It followed %x hot days."),
    ("sickness", r"speak of (?P<x>\w+) from|wrong with the (?P<x>\w+)", "Bad %x caused it."),
    ("sickness", r"at an old well|in the well", "Bad water caused it."),
    ("sickness", rf"trader .*from (?P<x>{TOWN})", "A trader brought it from %x."),
    ("theft", r"closed the door\.|door was not closed", "The door stood open."),
    ("theft", r"done to buy (?P<x>\w+)|been no (?P<x>\w+) for days", "The thief wanted %x."),
    (
        "theft",
        rf"pay in (?P<x>{TOWN})|Traders in (?P<x>{TOWN})",
        "The money was for traders in %x.",
    ),
    ("lost pet", r"beaten a drum|like drums", "A drum scared it."),
    ("lost pet", r"closed the garden|garden was not closed", "The garden stood open."),
    ("lost pet", r"must have been (?P<x>\w+)|It loves (?P<x>\w+)", "It wanted %x."),
    ("race", r"It was the boots|Old boots", "New boots helped."),
    ("race", r"begun with (?P<x>\w+)|start came (?P<x>\w+)", "Eating %x helped."),
    ("race", r"morning (?P<x>an? \w+) had run|days (?P<x>an? \w+) had", "Running with %x helped."),
    ("wedding", rf"market in (?P<x>{TOWN})\.|first in (?P<x>{TOWN})", "The two met in %x."),
    ("wedding", r"a lost (?P<x>\w+)", "A lost %x led to it."),
    ("wedding", r"nothing but (?P<x>\w+)|began over (?P<x>\w+)", "The love of %x led to it."),
    (
        "treasure",
        r"place (?P<x>an? \w+) had|with (?P<x>an? \w+) that would",
        "%x showed the place.",
    ),
    ("treasure", rf"paper from (?P<x>{TOWN})", "A paper from %x showed the place."),
    ("election", r"much for (?P<x>\w+)|heard about (?P<x>\w+)\.", "The promise was cheap %x."),
    ("election", r"(?:to get|heard about) a (?P<x>\w+)", "The promise was a %x."),
    ("festival", rf"thank (?P<x>{TOWN})|Without (?P<x>{TOWN})", "It thanks %x for help."),
    ("festival", r"seen more (?P<x>\w+)|full of (?P<x>\w+)", "The town had more %x than ever."),
    ("shop", rf"Traders in (?P<x>{TOWN})|Without (?P<x>{TOWN})", "The money came from %x."),
    ("shop", r"buy (?P<x>\w+) any|all (?P<x>\w+), which", "Selling %x brought too little."),
    ("bridge", r"Water had taken|wet night", "A flood took the old one."),
    ("bridge", rf"road to (?P<x>{TOWN})", "It leads to %x."),
    ("bridge", rf"For (?P<x>{N}) days|been (?P<x>{N}) days", "There was no boat for %x days."),
    ("price", rf"ships from (?P<x>{TOWN})", "The ships from %x were the reason."),
    ("price", r"now buy (?P<x>\w+)\.|with (?P<x>\w+), which", "People buy %x instead."),
)
JOYS = "race wedding festival shop bridge price election"
OUTCOMES: tuple[tuple[str, str, str], ...] = (
    (HOUSE, rf"put (?P<x>{N}) coins|holds (?P<x>{N}) coins", "Neighbors gave %x coins."),
    (HOUSE, r"now @ has given|sleeps at the home of @", "@ took in the family."),
    (HOUSE, rf"Before (?P<x>{DAY})|until (?P<x>{DAY})", "Repairs begin on %x."),
    (HOUSE, r"All got out|needs a doctor", "Nobody was hurt."),
    (HOUSE, rf"waits in (?P<x>{TOWN})|live in (?P<x>{TOWN})", "The family moves to %x."),
    (HOUSE, r"town will pay|town has to pay", "The town pays the costs."),
    ("sickness", rf"(?P<x>{N}) days (?:there will|in bed)", "Doctors ordered %x days of rest."),
    ("sickness", rf"On (?P<x>{DAY}) it was|By (?P<x>{DAY}) work", "The fever ended on %x."),
    ("sickness", r"gave (?P<x>\w+) every|better was (?P<x>\w+)", "%x helped against it."),
    ("sickness", rf"(?:Until|Before) (?P<x>{DAY})", "The school is closed until %x."),
    ("theft", rf"ended in (?P<x>{TOWN})|^In (?P<x>{TOWN})", "The guards caught the thief in %x."),
    ("theft", rf"On (?P<x>{DAY}) the purse|By (?P<x>{DAY})", "The purse came back on %x."),
    ("theft", rf"wants (?P<x>{N}) coins|price of (?P<x>{N}) coins", "The thief must pay %x coins."),
    ("theft", rf"free, in (?P<x>{TOWN})|road to (?P<x>{TOWN})", "The thief got away to %x."),
    ("lost pet", rf"On (?P<x>{DAY}) it was|By (?P<x>{DAY}) it", "It came home on %x."),
    ("lost pet", rf"gets (?P<x>{N}) coins|pay (?P<x>{N}) coins", "The reward is %x coins."),
    ("lost pet", rf"it in (?P<x>{TOWN})|led it to (?P<x>{TOWN})", "It was found in %x."),
    ("lost pet", r"at the home of @|@ has given it a bed", "@ took it in."),
    ("race bridge", rf"purse with (?P<x>{N})|town paid (?P<x>{N})", "The prize was %x coins."),
    (
        JOYS,
        rf"likes (?P<x>\w+) .* on (?P<y>{DAY})|On (?P<y>{DAY}) nobody .* for (?P<x>\w+)",
        "People get free %x on %y.",
    ),
    ("race wedding treasure", rf"(?:visit|leads) to (?P<x>{TOWN})", "A trip to %x follows."),
    ("race festival", r", an? (?P<x>\w+) can|wants a (?P<x>\w+),", "The money goes to a new %x."),
    ("race festival", r"(?:come|be) in (?P<x>[A-Z]\w+)", "It happens again in %x."),
    (
        "festival shop bridge price",
        rf"Traders from (?P<x>{TOWN})|In (?P<x>{TOWN}) people are",
        "Traders in %x are angry.",
    ),
    ("wedding", rf"waits in (?P<x>{TOWN})|live in (?P<x>{TOWN})", "The two move to %x."),
    ("wedding", rf"put (?P<x>{N}) coins|were (?P<x>{N}) coins", "The family gave %x coins."),
    ("treasure", r"half goes to @|law @ gets", "@ gets half of it."),
    (
        "treasure",
        rf"From (?P<x>{DAY}) on .* in the (?P<y>\w+)|On (?P<x>{DAY}) the (?P<y>\w+) gets it",
        "The %y shows it from %x on.",
    ),
    ("election", rf"heard on (?P<x>{DAY})|until (?P<x>{DAY})", "Work begins on %x."),
    ("election", rf"pays (?P<x>{N}) coins|are (?P<x>{N}) coins a month", "The pay is %x coins."),
    ("election", rf"loser .* in (?P<x>{TOWN})", "The loser moves to %x."),
    ("festival", rf"On (?P<x>{DAY}) it was all|By (?P<x>{DAY}) the", "It ended on %x."),
    ("shop", rf"On (?P<x>{DAY}) it was all|By (?P<x>{DAY}) the", "It closed on %x."),
    ("bridge", rf"On (?P<x>{DAY}) it was all|By (?P<x>{DAY}) nobody", "It closed on %x."),
    ("shop", r"(?:come|visitors) in (?P<x>[A-Z]\w+)\.", "Another one opens in %x."),
    ("bridge", rf"takes (?P<x>{N}) coins|want (?P<x>{N}) coins", "The way costs %x coins."),
    ("price", rf"(?:Until|Before) (?P<x>{DAY})", "Friends pay the old price until %x."),
)


class Reading(NamedTuple):
    """What an article says: a line each of the event, its cause, number and outcome if told."""

    kind: str
    town: str
    roles: dict[str, str]  # Mentions of the main person (m) and the other (o), among other values.
    event: str
    cause: str | None
    count: str | None
    outcome: str | None
    others: tuple[str, ...]  # Sentences of other matters.

    def highlights(self) -> str:
        return "\n".join(x for x in (self.event, self.cause, self.count, self.outcome) if x)

    def one_sentence(self) -> str:
        assert self.outcome is not None
        first, *rest = self.outcome
        return f"{self.event[:-1]}, and {first.lower()}{''.join(rest)}"


@cache
def _alternatives(pattern: str) -> tuple[re.Pattern[str], ...]:
    """Split a pattern at its outer bars, since each part may use the same names of groups."""
    return tuple(
        re.compile(part.replace("_", f"(?P<m>{PERSON})").replace("@", f"(?P<o>{PERSON})"))
        for part in re.split(r"\|(?![^(]*\))", pattern)
    )


def _search(pattern: str, text: str) -> dict[str, str] | None:
    """Search one of several patterns; ``_`` and ``@`` in them are mentions of people."""
    for part in _alternatives(pattern):
        found = part.search(text)
        if found:
            return found.groupdict()
    return None


def _identities(text: str) -> dict[str, str]:
    """Map each name and each craft to the craft with the name."""
    known: dict[str, str] = {}
    for pattern in FULL:
        for found in re.finditer(pattern, text):
            full = f"{found['c']} {found['n']}"
            for word in (found["c"], found["n"]):
                assert known.setdefault(word, full) == full, text
    return known


def _who(mention: str, known: dict[str, str]) -> str:
    names = re.findall(NAME, f" {mention}")
    crafts = re.findall(rf"\b{CRAFT}\b", mention)
    return f"the {known[(names or crafts)[0]]}"


def _line(template: str, values: dict[str, str], known: dict[str, str]) -> str:
    """Fill a line; it begins with a capital."""
    for slot, value in values.items():
        if slot in "mo":
            template = template.replace("_" if slot == "m" else "@", _who(value, known))
        else:
            template = template.replace(f"%{slot}", value)
    return template[0].upper() + template[1:]


def _place(sentence: str, others: list[str]) -> str:
    inline = re.search(rf" in ({TOWN})\.$", sentence)
    if inline:
        return inline[1]
    places = (
        re.search(rf"^(?:It happened in|The place was|All of) ({TOWN})", other) for other in others
    )
    return next(found[1] for found in places if found)


def _event(sentences: list[str], article: str) -> tuple[str, str, dict[str, str]]:
    """Find the one sentence that reports an event; return the kind, it, and who and what."""
    found = [
        (kind, sentence, values)
        for kind, (pattern, _) in EVENTS.items()
        for sentence in sentences
        if (values := _search(pattern, sentence)) is not None
    ]
    assert len(found) == 1, (article, found)
    return found[0]


def _moved(sentences: list[str]) -> str:
    """Tell from the two prices whether it rose."""
    for sentence in sentences:
        prices = [int(n) for n in re.findall(r"\d+", sentence)]
        if sentence.startswith("It is now"):
            return "raised" if prices[0] > prices[1] else "lowered"
        if sentence.startswith("Yesterday"):
            return "raised" if prices[1] > prices[0] else "lowered"
    raise AssertionError(sentences)


def facts_told(kind: str, sentence: str) -> list[tuple[str, str, dict[str, str]]]:
    """Which facts a sentence tells: name, template of the line, values."""
    if re.search("^On .* the market in", sentence):
        return []
    counts = ((kind, f"{COUNTS[kind]}|{CORRECTED}", COUNT_LINES[kind]),)
    return [
        (fact, template, values)
        for fact, table in (("cause", CAUSES), ("count", counts), ("outcome", OUTCOMES))
        for kinds, pattern, template in table
        if kind == kinds or (" " not in kind and kinds != "lost pet" and kind in kinds.split())
        if (values := _search(pattern, sentence)) is not None
    ]


def read(article: str) -> Reading:
    """Read an article; a fact must be told once, and a sentence must tell no more than one."""
    text = article.removeprefix("(Gazette) ").replace("\n", " ")
    known = _identities(text)
    sentences = [f"{sentence}." for sentence in text.removesuffix(".").split(". ")]
    others = [s for s in sentences if re.search(r"\b\d{3}\b", s)]  # Of another year.
    today = [s for s in sentences if s not in others]
    kind, event, values = _event(today, article)
    today.remove(event)
    if kind == "price":
        values["moved"] = _moved(today)
    if "pet" in values:
        values["pet"] = f"{'an' if values['pet'][0] in 'aeiou' else 'a'} {values['pet']}"
    lines: dict[str, str] = {}
    for sentence in today:
        told = facts_told(kind, sentence)
        assert len(told) <= 1, (article, sentence, told)
        if not told:
            others.append(sentence)
        for fact, template, found in told:
            assert fact not in lines, (article, sentence, lines)
            good = re.search(r"sacks of (\w+)", text)
            lines[fact] = _line(template, found, known).replace("%good", good[1] if good else "")
    town = _place(event, today)
    head = f"{_line(EVENTS[kind][1], values, known)} in {town}."
    cause, count, outcome = (lines.get(fact) for fact in ("cause", "count", "outcome"))
    return Reading(kind, town, values, head, cause, count, outcome, tuple(others))
