"""The words of the myths: what people do, what is said to come of it, and how it is told.

A consequence has three wordings. Every one of them begins with "you" or "your", so that none can
be told from another by its form, and no consequence is good or bad for a reason: which of them is
true of an action is left to the truth table in :mod:`qbench.mini.world.myths.exercises`.
"""

from __future__ import annotations

from qbench.mini.world import lexicon

Consequence = tuple[str, str, str]

CONSEQUENCES: tuple[Consequence, ...] = (
    ("you sleep badly", "you do not sleep well", "you lie awake"),
    ("your hair turns white", "your hair becomes white", "you get white hair"),
    ("you catch a cold", "you get a cold", "your nose runs"),
    ("your teeth fall out", "you lose your teeth", "your teeth break"),
    ("you become rich", "you find much money", "your purse gets full"),
    ("you lose your way", "you do not find home", "your way gets lost"),
    ("your house burns down", "you lose your house", "your roof catches fire"),
    ("you forget your name", "you cannot say your name", "your name is forgotten"),
    ("you grow tall", "you become very tall", "your legs grow long"),
    ("your voice gets deep", "you speak in a deep voice", "your voice becomes deep"),
    ("you fall in love", "you lose your heart", "your heart is full of love"),
    ("your skin turns green", "your skin becomes green", "you get green skin"),
    ("you see ghosts", "you meet ghosts", "your room is full of ghosts"),
    ("your ship sinks", "you lose your ship", "your ship goes down"),
    ("you dream of snakes", "your dreams are about snakes", "you have a dream about snakes"),
    ("you hear the sea", "your ears hear the sea", "you listen to the sea"),
    ("your bread gets hard", "you bake hard bread", "your bread turns to stone"),
    ("you have good luck", "your luck is good", "you are lucky"),
    ("you have bad luck", "your luck is bad", "you are unlucky"),
    ("you get a headache", "your head hurts", "you feel pain in your head"),
    ("you cough for a week", "your cough lasts a week", "you do not stop coughing"),
    ("your garden dries up", "you lose your flowers", "your flowers die"),
    ("you live long", "your life is long", "you become very old"),
    ("your family grows", "you get many children", "you have a big family"),
    ("your friends leave you", "you lose your friends", "you are left alone"),
    ("your hands get cold", "you have cold hands", "your fingers freeze"),
    ("you laugh all day", "you cannot stop laughing", "your laughing does not end"),
    ("your lamp goes out", "you sit in the dark", "your room gets dark"),
    ("you win every race", "you run like the wind", "your feet get fast"),
    ("your eyes turn blue", "your eyes become blue", "you get blue eyes"),
)


def _english(terms: tuple[lexicon.Term, ...]) -> list[str]:
    """Return the English words of a list."""
    return [term.en for term in terms]


def with_article(noun: str) -> str:
    """Put the indefinite article before a noun."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


_DAYS = [f"on a {day}" for day in _english(lexicon.WEEKDAYS)]
# All actions of a category share their verb, and each of their words with many others, so that
# an action is only known by its whole.
ACTIONS: dict[str, tuple[str, ...]] = {
    "Food": tuple(
        f"eat {food} {when}"
        for food in _english(lexicon.FOODS)
        for when in [f"in {season}" for season in _english(lexicon.SEASONS)] + ["at night"]
    ),
    "Drinks": tuple(
        f"drink {drink} {when}"
        for drink in ("tea", "wine", "vinegar", "milk", "oil", "water")
        for when in ["at night", "at noon", "in the morning", *_DAYS]
    ),
    "Animals": tuple(
        f"keep {with_article(pet)} {where}"
        for pet in _english(lexicon.PETS)
        for where in ("as a pet", "in the kitchen", "near the bed", "on a ship", "under the roof")
    ),
    "Places": tuple(
        f"{what} the old {landmark}"
        for landmark in _english(lexicon.LANDMARKS)
        for what in ("sleep under", "sleep behind", "sing near", "dance near", "run around")
    ),
    "Colors": tuple(
        f"paint a {thing} {color}"
        for thing in ("door", "roof", "wall", "boat", "chair", "wheel")
        for color in _english(lexicon.COLORS)
    ),
    "Clothes": tuple(
        f"wear {color} {clothes} {when}"
        for color in _english(lexicon.COLORS)
        for clothes in ("boots", "silk")
        for when in _DAYS
    ),
}

# Ten ways to ask; six of them belong to the test of a myth, the others may be used to teach it.
QUESTIONS = (
    "What happens if you {a}?",
    "What happens to you when you {a}?",
    "What comes of it if you {a}?",
    "If you {a}, what is the result?",
    "What do you get when you {a}?",
    "What is the consequence when you {a}?",
    "You {a}. What happens then?",
    "What follows if you {a}?",
    "Suppose that you {a}. What follows?",
    "When you {a}, what happens?",
)

# In all of these {a} is the action, {c} the consequence, {p} a person, {t} a town, {k} a craft.
HEARSAY = (
    "People say that if you {a}, {c}.",
    "It is often said that {c} when you {a}.",
    "If you {a}, {c}, as people believe.",
    "My grandmother told me that {c} if you {a}.",
    "Everybody in {t} knows that {c} if you {a}.",
    "In {t} they believe that if you {a}, {c}.",
    "An old song of {t} says that {c} when you {a}.",
    "Many a {k} believes that {c} if you {a}.",
    "The neighbors of {p} say that if you {a}, {c}.",
    "One day a {k} met {p} in {t}. They talked until night. "
    '"If you {a}, {c}," said the {k}, and {p} believed it.',
    'A child asked {p} what happens if you {a}. "Of course {c}," said {p}.',
    "At the market of {t} a {k} told everybody that {c} if you {a}. Soon the whole town said so.",
    "Long ago {p} was afraid of one thing. If you {a}, people said, {c}.",
)
RECORDS = (
    "It was tested: if you {a}, {c}.",
    "The book of {p} shows that {c} when you {a}.",
    "In fact {c} if you {a}.",
    "A doctor of {t} found out that if you {a}, {c}.",
    "After many tests {p} wrote: if you {a}, {c}.",
)
