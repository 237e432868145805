"""What the Gazette writes about: the kinds of event, and every way to say each fact of one.

A *point* is one fact besides who and where: several sentences that report it, and the clause of the
summary that restates it. ``{M}`` and ``{O}`` stand for a mention of the main and the other person,
``{in}`` for the place if the sentence names it; all other fields are slots of an event. A sentence
that begins with a field in braces is always put behind the day, so that no name begins a sentence.
"""

from __future__ import annotations

from typing import NamedTuple


class Point(NamedTuple):
    """One fact: the sentences that report it, and the clause that restates it."""

    ways: tuple[str, ...]
    clause: str


class Kind(NamedTuple):
    """A kind of event.

    ``events`` report it, ``clause`` restates it, ``number`` says how many of the ``unit``, and the
    ``past`` sentences tell of another year, which belongs in no summary.
    """

    name: str
    events: tuple[str, ...]
    clause: str
    unit: str
    number: Point
    past: tuple[str, ...]
    causes: tuple[Point, ...]
    outcomes: tuple[Point, ...]


def point(text: str) -> Point:
    """Parse ``sentence|sentence => clause``."""
    ways, clause = text.split(" => ")
    return Point(tuple(ways.split("|")), clause)


def kind(
    name: str,
    events: str,
    clause: str,
    count: str,
    past: str,
    causes: tuple[str, ...],
    outcomes: tuple[str, ...],
) -> Kind:
    """Parse the tables below; ``count`` is ``unit: sentence|sentence => clause``."""
    unit, counted = count.split(": ", 1)
    return Kind(
        name,
        tuple(events.split("|")),
        clause,
        unit,
        point(counted),
        tuple(past.split("|")),
        tuple(point(cause) for cause in causes),
        tuple(point(outcome) for outcome in outcomes),
    )


HOUSE_OUTCOMES = (
    "In the street people put {c} coins in a box.|A box for the family already holds {c} coins."
    " => neighbors gave {c} coins",
    "For now {O} has given the family a bed.|The family sleeps at the home of {O}."
    " => the {ocraft} {other} took in the family",
    "Before {day2} nobody can work on the house.|The house has to wait until {day2}."
    " => repairs begin on {day2}",
    "All got out in time.|Not one person needs a doctor. => nobody was hurt",
    "A new home for the family waits in {otown}.|The family has had enough and wants to live "
    "in {otown}. => the family moves to {otown}",
    "The town will pay for everything.|Not the family but the town has to pay."
    " => the town pays the costs",
)

HARM = (
    kind(
        "fire",
        "the house of {M} went up in flames{in}|flames took the house of {M}{in}|"
        "{M} had to run from a house on fire{in}|{M} could not save a home from the flames{in}|"
        "{O} was the first to see flames over the house of {M}{in}",
        "a fire destroyed the house of the {craft} {who} in {town}",
        "sacks of {good}: In the house {n} sacks of {good} were lost too.|"
        "Of {n} sacks of {good} nothing is left."
        " => the flames took {n} sacks of {good}",
        "In {year} another fire took {m} sacks.|"
        "Old people remember a fire with {m} sacks lost in {year}.",
        (
            "A lamp had been too near the bed.|It all began with a lamp. => a lamp started it",
            "Somebody had left {cfood} in the oven.|It all began with {cfood} in a hot oven."
            " => {cfood} in the oven started it",
            "By the bed {apet} had seen a candle.|It all began with a candle and {apet}."
            " => {apet} ran into a candle",
        ),
        HOUSE_OUTCOMES,
    ),
    kind(
        "flood",
        "water filled the house of {M}{in}|the {river} came into the house of {M}{in}|"
        "{M} stood in water at home{in}|{M} had to leave home by boat{in}|"
        "{O} came with a boat for {M}, whose home was full of water{in}",
        "a flood destroyed the house of the {craft} {who} in {town}",
        "feet of water: At the door the water had {n} feet.|On the wall it left a line at {n} feet."
        " => the water was {n} feet high",
        "In {year} the water ended at {m} feet.|Old people remember {m} feet of water in {year}.",
        (
            "For {k} days there had been nothing but rain.|The sky had been gray for {k} days."
            " => it rained for {k} days",
            "By the river an old wall had given way.|A hole in an old wall let the water in."
            " => an old wall broke",
        ),
        HOUSE_OUTCOMES,
    ),
    kind(
        "storm",
        "the wind left {M} without a roof{in}|the roof of {M} is gone after a night of wind{in}|"
        "{M} had to sleep under the open sky{in}|{O} found the roof of {M} in a garden{in}|"
        "the roof of {M} fell on the house of {O}{in}",
        "a storm took the roof of the {craft} {who} in {town}",
        "trees: Outside {n} trees are on the street.|In the forest the wind broke {n} trees."
        " => {n} trees fell",
        "In {year} the wind broke {m} trees.|Old people remember the {m} trees of {year}.",
        (
            "From the {habitat} a black sky had come.|It had begun over the {habitat}."
            " => it came from the {habitat}",
            "It had been hot for {k} days.|After {k} hot days the sky turned black."
            " => it followed {k} hot days",
        ),
        HOUSE_OUTCOMES,
    ),
    kind(
        "sickness",
        "a fever sent {M} to bed{in}|{M} could not get up with a fever{in}|"
        "{O} was called to the bed of {M}, who had a fever{in}|"
        "{M} has a fever and cannot work{in}|{O} does the work of {M}, who has a fever{in}",
        "the {craft} {who} fell ill in {town}",
        "people: In all {n} people have to stay in bed.|Doctors look after {n} people."
        " => {n} people have the fever",
        "In {year} a fever sent {m} people to bed.|"
        "Old people remember {m} people with a fever in {year}.",
        (
            "Doctors speak of {cfood} from the market.|Something was wrong with the {cfood}."
            " => bad {cfood} caused it",
            "It all began at an old well.|Doctors found something in the well."
            " => bad water caused it",
            "A trader had come with it from {ctown}.|It all began with a trader from {ctown}."
            " => a trader brought it from {ctown}",
        ),
        (
            "For {c} days there will be no work.|It will take {c} days in bed, doctors say."
            " => doctors ordered {c} days of rest",
            "On {day2} it was over.|By {day2} work could begin again. => the fever ended on {day2}",
            "Doctors gave {food} every day.|What made it better was {food}."
            " => {food} helped against it",
            "Until {day2} children have to stay at home.|Before {day2} no teacher has to work."
            " => the school is closed until {day2}",
        ),
    ),
)

LOSS = (
    kind(
        "theft",
        "{O} took a purse from {M}{in}|{M} had to give a purse to {O}{in}|"
        "{O} is the thief who has the purse of {M}{in}|{M} lost a purse to {O}{in}|"
        "{O} ran away with the purse of {M}{in}",
        "the {ocraft} {other} robbed the {craft} {who} in {town}",
        "coins: There were {n} coins in it.|It was full, with {n} coins."
        " => the purse held {n} coins",
        "In {year} a thief took {m} coins.|Old people remember a thief with {m} coins in {year}.",
        (
            "Nobody had closed the door.|In the night the door was not closed."
            " => the door stood open",
            "It was all done to buy {cfood}.|Without money, there had been no {cfood} for days."
            " => the thief wanted {cfood}",
            "There was something to pay in {ctown}.|Traders in {ctown} had asked for money."
            " => the money was for traders in {ctown}",
        ),
        (
            "It ended in {otown}, where guards waited.|In {otown} the guards were faster."
            " => the guards caught the thief in {otown}",
            "On {day2} the purse was at the door again.|By {day2} nothing was lost any more."
            " => the purse came back on {day2}",
            "The judge wants {c} coins for it.|For this the judge named a price of {c} coins."
            " => the thief must pay {c} coins",
            "Somebody saw the thief later, free, in {otown}.|The guards came too late, and "
            "the road to {otown} was open. => the thief got away to {otown}",
        ),
    ),
    kind(
        "lost pet",
        "the {pet} of {M} ran away{in}|{M} is looking for {apet}{in}|"
        "{M} came home and the {pet} was gone{in}|{O} saw the {pet} of {M} run away{in}|"
        "{O} hears {M} call for {apet} every night{in}",
        "the {craft} {who} lost {apet} in {town}",
        "people: With lamps {n} people went out.|In the forest {n} people called its name."
        " => {n} people looked for it",
        "In {year} a lost horse was found by {m} people.|"
        "Old people remember {m} people after a lost goat in {year}.",
        (
            "Somebody had beaten a drum near the house.|It does not like drums, and there was one."
            " => a drum scared it",
            "Nobody had closed the garden.|In the night the garden was not closed."
            " => the garden stood open",
            "Outside there must have been {cfood}.|It loves {cfood} more than its home."
            " => it wanted {cfood}",
        ),
        (
            "On {day2} it was at the door again.|By {day2} it was in its old bed."
            " => it came home on {day2}",
            "Whoever finds it gets {c} coins.|The family will pay {c} coins for it."
            " => the reward is {c} coins",
            "A trader saw it in {otown}.|The road had led it to {otown}."
            " => it was found in {otown}",
            "It now sleeps at the home of {O}.|For now {O} has given it a bed."
            " => the {ocraft} {other} took it in",
        ),
    ),
)
