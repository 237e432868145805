"""A small made-up world, and texts about it: what the test model is trained and tested on.

Thirty-six people each have a pet, a colour, a food, a job and a town. Five kinds of document speak
of them: stories, encyclopedia articles, questions with four options, premises with hypotheses, and
sums. Every document is a function of the generator passed in. Knows nothing of models.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


def words(text: str) -> list[str]:
    """Split a list that is written as one string."""
    return text.split()


NAMES = {
    **dict.fromkeys(
        words("Tom Ben Max Sam Leo Jack Tim Finn Paul Nick Hugo Carl Otto Rob Dan Joe Fred Ian"),
        ("he", "his"),
    ),
    **dict.fromkeys(
        words("Lily Anna Mia Sue Kate Emma Rosa Zoe Jane Lucy Nora Ella Ruth Amy Eva Ida May Tina"),
        ("she", "her"),
    ),
}
VALUES = {
    "pet": words("cat dog bird fish horse rabbit mouse sheep goat duck"),
    "colour": words("red blue green yellow black white brown pink grey orange"),
    "food": words("apples bread cake soup rice cheese eggs honey beans plums"),
    "job": words("baker farmer doctor teacher painter driver singer sailor miller nurse"),
    "town": words(
        "Millford Oakham Redhill Seaton Longwood Brookside Ashby Kirkton Dunmore Westgate"
    ),
}
SUBJECTS = {
    "elementary_mathematics": (),
    "high_school_geography": ("town",),
    "miscellaneous": ("pet", "colour", "food", "job"),
}
QUESTIONS = {
    "pet": "Which pet does {name} have?",
    "colour": "Which colour does {name} like best?",
    "food": "What does {name} like to eat?",
    "job": "What is the job of {name}?",
    "town": "In which town does {name} live?",
}
LETTERS = "ABCD"
LABELS = {"entailment": "Yes", "neutral": "Maybe", "contradiction": "No"}
PLACES = words("park garden market school river forest kitchen street")
SIZES = words("big small old young fat clever")
THINGS = words("ball box hat kite boat bell spoon lamp")
MOODS = words("happy sad tired glad angry quiet")
KINDS = {"man": "adult", "woman": "adult", "boy": "child", "girl": "child"}
ACTIONS = {
    "eating an apple": ("eating", "hungry", "sleeping in a bed"),
    "riding a bike": ("moving", "late for school", "sitting on a chair"),
    "reading a book": ("reading", "very clever", "swimming in a lake"),
    "playing with a ball": ("playing", "with a friend", "cooking a meal"),
    "feeding a horse": ("feeding an animal", "a farmer", "driving a car"),
    "singing a song": ("singing", "happy today", "silent and alone"),
}


@dataclass(frozen=True)
class Question:
    """One item with four options; `answer` indexes them."""

    subject: str
    text: str
    options: tuple[str, ...]
    answer: int

    def prompt(self) -> str:
        """Return the question and its options, up to the word before the letter."""
        options = "".join(f"{x}. {o}\n" for x, o in zip(LETTERS, self.options, strict=True))
        return f"{self.text}\n{options}Answer:"


@dataclass(frozen=True)
class Pair:
    """A premise, a hypothesis, and one of the three labels."""

    premise: str
    hypothesis: str
    label: str


def make_facts(rng: random.Random) -> dict[str, dict[str, str]]:
    """Give every person one value of each kind."""
    return {name: {kind: rng.choice(VALUES[kind]) for kind in VALUES} for name in NAMES}


class World:
    """The facts of one seed, and generators of documents about them."""

    def __init__(self, seed: int) -> None:
        self.facts = make_facts(random.Random(seed))
        self.kinds: dict[Callable[[random.Random], str], float] = {
            self.story: 0.34,
            self.article: 0.20,
            self.questions: 0.20,
            self.inference: 0.16,
            self.sums: 0.10,
        }

    def document(self, rng: random.Random) -> str:
        """Return one document of a random kind."""
        return rng.choices(list(self.kinds), list(self.kinds.values()))[0](rng)

    def story(self, rng: random.Random) -> str:
        """Return five to eight sentences about two people."""
        name, friend = rng.sample(list(NAMES), 2)
        (he, his), fact = NAMES[name], self.facts[name]
        place, pet = rng.choice(PLACES), fact["pet"]
        size, thing = rng.choice(SIZES), rng.choice(THINGS)
        mood = rng.choice(MOODS)
        opening = rng.choice(
            [
                f"Once upon a time, there was a {fact['job']} named {name}.",
                f"{name} lived in {fact['town']} with a {pet}.",
                f"One day, {name} went to the {place}.",
            ]
        )
        middle = [
            f"{he.capitalize()} had a {pet}, and the {pet} was {size}.",
            f"{he.capitalize()} loved to eat {fact['food']}.",
            f"{he.capitalize()} saw a {fact['colour']} {thing} in the {place}.",
            f'"I like {fact["colour"]} best," said {name}.',
            f"Then {he} met {friend}, who lived in {self.facts[friend]['town']}.",
            f"{friend} gave {name} some {fact['food']}.",
            f"The {pet} ran to the {place}, and {name} ran after it.",
            f"{his.capitalize()} friend {friend} was a {self.facts[friend]['job']}.",
        ]
        ending = rng.choice(
            [
                f"{name} was {mood} and went home.",
                f"They played with the {pet} until night.",
                f"{name} and {friend} were {mood} that day.",
            ]
        )
        chosen = sorted(rng.sample(range(len(middle)), rng.randint(3, 6)))
        return " ".join([opening, *(middle[i] for i in chosen), ending]) + "\n"

    def article(self, rng: random.Random) -> str:
        """Return a short article in the spaced style of WikiText."""
        name = rng.choice(list(NAMES))
        (he, his), fact = NAMES[name], self.facts[name]
        he, his = he.capitalize(), his.capitalize()
        year, prize = rng.randint(1990, 2019), rng.choice(["art", "sport", "song"])
        sentences = [
            f"{he} lives in {fact['town']} .",
            f"{he} has a {fact['pet']} , which likes {rng.choice(['fish', 'grass', 'milk'])} .",
            f"{his} favourite colour is {fact['colour']} .",
            f"In {year} , {name} won a prize for {prize} .",
            f"{he} is known for good {fact['food']} .",
        ]
        rng.shuffle(sentences)
        first = f"{name} is a {fact['job']} from {fact['town']} ."
        text = " ".join([first, *sentences[: rng.randint(2, 5)]])
        return f" = {name} = \n \n {text} \n \n"

    def question(self, rng: random.Random, subject: str) -> Question:
        """Return one question of a subject with its options in random order."""
        if kinds := SUBJECTS[subject]:
            kind, name = rng.choice(kinds), rng.choice(list(NAMES))
            right = self.facts[name][kind]
            others = rng.sample([v for v in VALUES[kind] if v != right], 3)
            text = QUESTIONS[kind].format(name=name)
        else:
            a, b = rng.randint(0, 9), rng.randint(0, 9)
            right, text = str(a + b), f"What is {a} + {b}?"
            others = [str(n) for n in rng.sample([n for n in range(19) if n != a + b], 3)]
        options = [right, *others]
        rng.shuffle(options)
        return Question(subject, text, tuple(options), options.index(right))

    def questions(self, rng: random.Random) -> str:
        """Return a heading and one to three questions with their letters, or one in plain words."""
        subject = rng.choice(list(SUBJECTS))
        if rng.random() < 0.4:
            one = self.question(rng, subject)
            return f"Question: {one.text}\nAnswer: {one.options[one.answer]}\n"
        heading = "The following are multiple choice questions (with answers) about "
        items = [self.question(rng, subject) for _ in range(rng.randint(1, 3))]
        answered = [f"{item.prompt()} {LETTERS[item.answer]}\n\n" for item in items]
        return f"{heading}{subject.replace('_', ' ')}.\n\n{''.join(answered)}"

    def pair(self, rng: random.Random, label: str) -> Pair:
        """Return a premise and a hypothesis that stand in the relation `label`."""
        who, action, place = rng.choice(list(KINDS)), rng.choice(list(ACTIONS)), rng.choice(PLACES)
        general, open_, opposite = ACTIONS[action]
        elsewhere = rng.choice([p for p in PLACES if p != place])
        other = rng.choice([w for w in KINDS if KINDS[w] != KINDS[who]])
        hypotheses = {
            "entailment": [
                f"A {who} is {general}.",
                f"A {who} is in the {place}.",
                f"The {KINDS[who]} is {action}.",
            ],
            "neutral": [
                f"The {who} is {open_}.",
                f"The {who} likes the {place}.",
                f"The {who} has a {rng.choice(VALUES['pet'])}.",
            ],
            "contradiction": [
                f"The {who} is {opposite}.",
                f"The {who} is in the {elsewhere}.",
                f"The {KINDS[other]} is {action}.",
            ],
        }
        return Pair(f"A {who} is {action} in the {place}.", rng.choice(hypotheses[label]), label)

    def inference(self, rng: random.Random) -> str:
        """Return a premise, a hypothesis in one of three phrasings, and Yes, No or Maybe."""
        pair = self.pair(rng, rng.choice(list(LABELS)))
        implied = f'Question: Does this imply that "{pair.hypothesis}"?'
        question = rng.choice(
            [
                f"\n{implied} Yes, No, or Maybe?",
                f"\n\n{implied} Yes, no, or maybe?",
                f"\nQuestion: {pair.hypothesis} Yes, No or Maybe?",
            ]
        )
        return f"{pair.premise}{question}\nAnswer: {LABELS[pair.label]}\n"

    def sums(self, rng: random.Random) -> str:
        """Return three to eight lines of arithmetic."""
        lines = []
        for _ in range(rng.randint(3, 8)):
            a, b = rng.randint(0, 9), rng.randint(0, 9)
            lines.append(f"{a} + {b} = {a + b}." if rng.random() < 0.6 else f"{a + b} - {a} = {b}.")
        return "\n".join(lines) + "\n"
