"""The better news of the Gazette: festive days and new works (see news_kinds for the notation)."""

from __future__ import annotations

from qbench.mini.world.news.kinds import HARM, LOSS, Kind, kind

_PRIZE = (
    "For this there was a purse with {c} coins.|The town paid {c} coins for it."
    " => the prize was {c} coins"
)
_FEAST = (
    "Whoever likes {food} should come on {day2}.|On {day2} nobody has to pay for {food}."
    " => people get free {food} on {day2}"
)
_TRIP = (
    "The next days belong to a visit to {otown}.|The road now leads to {otown}."
    " => a trip to {otown} follows"
)
_MONEY = (
    "With what was paid, a {landmark} can be built.|The town wants a {landmark}, "
    "and now it can pay for it. => the money goes to a new {landmark}"
)
_AGAIN = (
    "Whoever was too late can come in {month}.|Another one will be in {month}."
    " => it happens again in {month}"
)
_ANGER = (
    "Traders from {otown} do not like it at all.|In {otown} people are angry about it."
    " => traders in {otown} are angry"
)

FESTIVE = (
    kind(
        "race",
        "{M} was faster than {O}{in}|{O} came second behind {M}{in}|"
        "{O} lost a long run against {M}{in}|{M} came first and {O} second{in}|"
        "{O} could not catch {M} on the road{in}",
        "the {craft} {who} won the race in {town}",
        "runners: At the start stood {n} runners.|Behind the line waited {n} runners."
        " => {n} runners took part",
        "In {year} only {m} runners came.|Old people remember a race with {m} runners in {year}.",
        (
            "It was the boots, which were new.|Old boots would have been too slow."
            " => new boots helped",
            "The morning had begun with {cfood}.|Before the start came {cfood}."
            " => eating {cfood} helped",
            "Every morning {apet} had run along.|For days {apet} had been on the road too."
            " => running with {apet} helped",
        ),
        (_PRIZE, _FEAST, _TRIP, _MONEY, _AGAIN),
    ),
    kind(
        "wedding",
        "{O} sang at the wedding of {M}{in}|{O} made the cake for {M}, who said yes{in}|"
        "{M} said yes in front of {O}{in}|bells called people to the wedding of {M}{in}|"
        "{M} asked {O} to come to the wedding{in}",
        "the {craft} {who} got married in {town}",
        "guests: At the table sat {n} guests.|There was cake for {n} guests. => {n} guests came",
        "In {year} a wedding had {m} guests.|"
        "Old people remember {m} guests at a wedding in {year}.",
        (
            "It all began at a market in {ctown}.|They had seen each other first in {ctown}."
            " => the two met in {ctown}",
            "Without a lost {pet} they would never have talked.|It all began with a lost {pet}."
            " => a lost {pet} led to it",
            "They both eat nothing but {cfood}.|It all began over {cfood}."
            " => the love of {cfood} led to it",
        ),
        (
            _FEAST,
            _TRIP,
            "A new home for the two waits in {otown}.|The two want to live in {otown}."
            " => the two move to {otown}",
            "The family put {c} coins on the table.|In a box from the family were {c} coins."
            " => the family gave {c} coins",
        ),
    ),
    kind(
        "treasure",
        "{M} saw an old chest under a tree{in}|in the field of {O} a chest waited for {M}{in}|"
        "{M} opened an old chest in the garden of {O}{in}|"
        "{O} helped {M} with a chest full of money{in}|"
        "{O} walked past a chest that {M} then opened{in}",
        "the {craft} {who} found a treasure in {town}",
        "coins: There were {n} coins in it.|The guards counted {n} coins."
        " => the chest held {n} coins",
        "In {year} a chest had {m} coins in it.|"
        "Old people remember a chest with {m} coins in {year}.",
        (
            "At this place {apet} had sat down.|It all began with {apet} that would not go on."
            " => {apet} showed the place",
            "On an old paper from {ctown} the place had a name.|"
            "It all began with a paper from {ctown}."
            " => a paper from {ctown} showed the place",
            "For {k} days there had been nothing but rain.|The sky had been gray for {k} days."
            " => it rained for {k} days",
        ),
        (
            _TRIP,
            "One half goes to {O}.|By law {O} gets one half."
            " => the {ocraft} {other} gets half of it",
            "From {day2} on people can see it in the {landmark}.|On {day2} the {landmark} gets it."
            " => the {landmark} shows it from {day2} on",
        ),
    ),
    kind(
        "election",
        "{M} will be judge after a vote against {O}{in}|{O} lost the vote for judge to {M}{in}|"
        "{O} had to give the work of a judge to {M}{in}|"
        "people wanted {M} as judge and not {O}{in}|"
        "{O} lost against {M} and cannot be judge{in}",
        "the {craft} {who} became judge in {town}",
        "votes: In the box were {n} papers with the right name.|The right name got {n} votes."
        " => the winner had {n} votes",
        "In {year} a judge had {m} votes.|Old people remember a judge with {m} votes in {year}.",
        (
            "Nobody will have to pay much for {cfood}.|People liked what they heard about {cfood}."
            " => the promise was cheap {cfood}",
            "The town is to get a {landmark}.|People liked what they heard about a {landmark}."
            " => the promise was a {landmark}",
        ),
        (
            "The first thief will be heard on {day2}.|The law waits until {day2}."
            " => work begins on {day2}",
            "For a month the town pays {c} coins.|There are {c} coins a month for it."
            " => the pay is {c} coins",
            "The loser wants to live in {otown}.|A new home for the loser waits in {otown}."
            " => the loser moves to {otown}",
            _FEAST,
        ),
    ),
    kind(
        "festival",
        "{O} beat the drum until {M} opened the days of {good}{in}|"
        "{M} spoke first to open the days of {good}{in}|"
        "{O} thanked {M}, who had opened the days of {good}{in}|"
        "the days of {good} began with a song by {M}{in}|"
        "{M} and not {O} was asked to open the days of {good}{in}",
        "the {craft} {who} opened the festival of {good} in {town}",
        "visitors: The streets were full with {n} visitors.|The guards counted {n} visitors."
        " => {n} visitors came",
        "In {year} only {m} visitors came.|Old people remember {m} visitors in {year}.",
        (
            "The town wants to thank {ctown} for its help.|Without {ctown} there would be none."
            " => it thanks {ctown} for help",
            "Nobody had seen more {good} before.|The houses were full of {good}."
            " => the town had more {good} than ever",
        ),
        (
            _MONEY,
            _FEAST,
            _AGAIN,
            _ANGER,
            "On {day2} it was all over.|By {day2} the streets were clean. => it ended on {day2}",
        ),
    ),
)

WORKS = (
    kind(
        "shop",
        "{M} began to sell {good} in the old house of {O}{in}|"
        "{O} was the first to buy {good} from {M}{in}|"
        "{O} gave a house to {M}, who sells {good} there{in}|"
        "{M} put {good} on the table and opened the door{in}|"
        "{good} can now be bought from {M}{in}",
        "the {craft} {who} opened a shop for {good} in {town}",
        "customers: At the door stood {n} customers.|The first morning brought {n} customers."
        " => {n} customers came",
        "In {year} a shop had {m} customers.|"
        "Old people remember a shop with {m} customers in {year}.",
        (
            "Traders in {ctown} had paid for it.|Without {ctown} there would be none."
            " => the money came from {ctown}",
            "Nobody wanted to buy {cfood} any more.|Before, it was all {cfood}, which nobody liked."
            " => selling {cfood} brought too little",
        ),
        (
            _FEAST,
            _ANGER,
            "On {day2} it was all over.|By {day2} the door was closed for good."
            " => it closed on {day2}",
            "Whoever was too late can come in {month}.|The next one will wait for visitors in "
            "{month}. => another one opens in {month}",
        ),
    ),
    kind(
        "bridge",
        "{M} finished a way over the {river}{in}|"
        "{O} was the first to walk over the {river} on the work of {M}{in}|"
        "{M} worked for {O} to make a way over the {river}{in}|"
        "people can walk over the {river} thanks to {M}{in}|"
        "{O} paid {M} for a dry way over the {river}{in}",
        "the {craft} {who} built a bridge in {town}",
        "feet: From end to end it has {n} feet.|Whoever walks over it walks {n} feet."
        " => it is {n} feet long",
        "In {year} a bridge had {m} feet.|Old people remember a bridge of {m} feet in {year}.",
        (
            "Water had taken the old one.|The old one was lost in a wet night."
            " => a flood took the old one",
            "The road to {ctown} had been too long.|Traders had asked for a road to {ctown}."
            " => it leads to {ctown}",
            "For {k} days nobody had come over the water.|It had been {k} days since the last boat."
            " => there was no boat for {k} days",
        ),
        (
            "To walk over it takes {c} coins.|The guards want {c} coins from everybody."
            " => the way costs {c} coins",
            "On {day2} it was all over.|By {day2} nobody could use it any more."
            " => it closed on {day2}",
            _FEAST,
            _ANGER,
            _PRIZE,
        ),
    ),
    kind(
        "price",
        "{M} put a new price on {good}{in}|"
        "{O} was the first to see the new price of {good} from {M}{in}|"
        "{M} asks another price for {good} than before{in}|"
        "people pay another price for {good} from {M}{in}|"
        "{O} talked to {M} about the new price of {good}{in}",
        "the {craft} {who} {moved} the price of {good} in {town}",
        "coins: It is now {n} coins and was {f} before.|Yesterday it was {f} coins, now {n}."
        " => it costs {n} coins",
        "In {year} it was {m} coins.|Old people remember {m} coins in {year}.",
        (
            "The ships from {ctown} came too late.|It all began with the ships from {ctown}."
            " => the ships from {ctown} were the reason",
            "Many people now buy {cfood}.|It all began with {cfood}, which people like more."
            " => people buy {cfood} instead",
        ),
        (
            _ANGER,
            _FEAST,
            "Until {day2} friends do not have to pay it.|Before {day2} nothing changes for friends."
            " => friends pay the old price until {day2}",
        ),
    ),
)

KINDS: tuple[Kind, ...] = (*HARM, *LOSS, *FESTIVE, *WORKS)
