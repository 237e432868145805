"""Multiple-choice items: those of the tests, their shots, and those that training may draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.facts import SEED, Fact, World, world
from qbench.mini.world.knowledge import connections, reckoning
from qbench.mini.world.knowledge.letters import LETTERS
from qbench.mini.world.knowledge.questions import Question, ask, subject_of
from qbench.mini.world.lexicon import LANGUAGES, Language

AREAS: dict[str, tuple[str, ...]] = {
    "society": ("families", "people_and_crafts"),
    "geography": ("towns_and_rivers",),
    "nature": ("beasts",),
    "economy": ("goods_and_prices",),
    "history": ("events_and_calendar",),
    "connections": ("connections",),
}
SUBJECTS = tuple(sorted(subject for subjects in AREAS.values() for subject in subjects))
BENCHMARKS: dict[Language, str] = {"en": "mmlu", "zh": "ceval"}
# Every fact, held or not, is tested with the same probability.
TESTED_SHARE = 0.5963
N_ITEMS = 1800
# Items that are worked out, per fact of their subject.
CALENDAR_RATIO, COMPARISON_RATIO = 1 / 2, 1 / 4
N_SHOTS = 5


class Item(NamedTuple):
    """A question with its options in order; ``answer`` counts from 0.

    ``keys`` holds the question with the set of its options, and what the question keeps out of
    training with any options (see Question).
    """

    question: Question
    options: tuple[str, ...]
    answer: int
    keys: tuple[str, ...]

    @property
    def subject(self) -> str:
        """Subject of the question."""
        return self.question.subject

    @property
    def letter(self) -> str:
        """Letter of the right option."""
        return LETTERS[self.answer]

    @property
    def content(self) -> str:
        """Text of the right option."""
        return self.options[self.answer]


def place(draws: Draws, question: Question, language: Language, answer: int) -> Item:
    """Put the options into random order but for the right one, whose place is given."""
    options = [term.text(language) for term in draws.shuffled(question.wrong)]
    options.insert(answer, question.right.text(language))
    key = "|".join((question.text, *sorted(options)))
    return Item(question, tuple(options), answer, (key, *question.ids))


@cache
def _facts_by_subject(of: World, held: bool) -> dict[str, tuple[Fact, ...]]:
    """Return the facts of each subject, with or without those that are held."""
    found: dict[str, list[Fact]] = {}
    for fact in of.facts:
        if held or not fact.held:
            found.setdefault(subject_of(fact), []).append(fact)
    return {subject: tuple(facts) for subject, facts in found.items()}


@cache
def _subject_weights(of: World) -> tuple[tuple[float, str], ...]:
    """Return the subjects with their weights in training, which are near those of the tests."""
    weights = {subject: float(len(f)) for subject, f in _facts_by_subject(of, True).items()}
    weights[reckoning.CALENDAR] *= 1 + CALENDAR_RATIO
    weights[reckoning.PRICES] *= 1 + COMPARISON_RATIO
    weights[connections.SUBJECT] = sum(weights.values()) / 9
    return tuple((weight, subject) for subject, weight in sorted(weights.items()))


def draw_subject(of: World, draws: Draws) -> str:
    """Draw a subject with the weight it has in the tests."""
    return draws.weighted(_subject_weights(of))


def draw_question(of: World, draws: Draws, language: Language, subject: str) -> Question:
    """Draw a question of a subject that rests on nothing held."""
    if subject == connections.SUBJECT:
        chain = draws.pick(connections.open_chains(of))
        return connections.connect(of, draws, chain, language)
    if subject == reckoning.CALENDAR and draws.chance(CALENDAR_RATIO / (1 + CALENDAR_RATIO)):
        return reckoning.calendar(draws, language)
    if subject == reckoning.PRICES and draws.chance(COMPARISON_RATIO / (1 + COMPARISON_RATIO)):
        return reckoning.comparison(of, draws, language, held=False)
    return ask(of, draws, draws.pick(_facts_by_subject(of, False)[subject]), language)


def draw_item(of: World, draws: Draws, language: Language, subject: str | None = None) -> Item:
    """Draw an item that training may show: nothing held, and no test item."""
    subject = subject or draw_subject(of, draws)
    taken = reserved()
    while True:
        question = draw_question(of, draws, language, subject)
        item = place(draws, question, language, draws.below(len(LETTERS)))
        if taken.isdisjoint(item.keys) and not spells_out("\n".join(item.options), (item,)):
            return item


def _different(draw: Callable[[], Question]) -> Iterator[Question]:
    """Yield what a function draws, but no identity and no question with the same options twice."""
    seen: set[tuple[object, ...]] = set()
    while True:
        question = draw()
        key = question.ids or (question.text, question.right, frozenset(question.wrong))
        if key not in seen:
            seen.add(key)
            yield question


def _test_questions(of: World, draws: Draws, language: Language) -> Iterable[Question]:
    """Draw all questions of one benchmark; connections fill what facts and sums leave."""
    n_left = N_ITEMS
    for subject, facts in sorted(_facts_by_subject(of, True).items()):
        tested = draws.sample(facts, round(TESTED_SHARE * len(facts)))
        n_left -= len(tested)
        yield from (ask(of, draws, fact, language) for fact in tested)
        if subject == reckoning.CALENDAR:
            n = round(CALENDAR_RATIO * len(tested))
            n_left -= n
            yield from islice(_different(lambda: reckoning.calendar(draws, language)), n)
        if subject == reckoning.PRICES:
            n = round(COMPARISON_RATIO * len(tested))
            n_left -= n
            drawn = _different(lambda: reckoning.comparison(of, draws, language, held=True))
            yield from islice(drawn, n)
    for chain in draws.sample(connections.chains(of), n_left):
        yield connections.connect(of, draws, chain, language)


def _by_subject(questions: Iterable[Question]) -> dict[str, list[Question]]:
    """Sort questions into subjects."""
    found: dict[str, list[Question]] = {subject: [] for subject in SUBJECTS}
    for question in questions:
        found[question.subject].append(question)
    return found


@cache
def test_items(language: Language) -> tuple[Item, ...]:
    """Return the items of ``mini.mmlu`` (English) or ``mini.ceval`` (Chinese), by subject.

    In every subject each letter is right equally often, but for a remainder.
    """
    draws = Draws(SEED, f"test/{BENCHMARKS[language]}")
    items: list[Item] = []
    for questions in _by_subject(_test_questions(world(), draws, language)).values():
        answers = draws.shuffled([n % len(LETTERS) for n in range(len(questions))])
        for question, answer in zip(draws.shuffled(questions), answers, strict=True):
            items.append(place(draws, question, language, answer))
    return tuple(items)


@cache
def reserved() -> frozenset[str]:
    """Return the keys of all items of both benchmarks."""
    return frozenset(k for lang in LANGUAGES for item in test_items(lang) for k in item.keys)


@cache
def _tested_options() -> dict[str, list[tuple[str, ...]]]:
    """Return the options of all test items by the text of their question."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for item in (item for language in LANGUAGES for item in test_items(language)):
        found.setdefault(item.question.text, []).append(item.options)
    return found


def spells_out(text: str, items: Iterable[Item]) -> bool:
    """Whether a text shows a tested question in one of its items and, anywhere, its options.

    Each of several items may be free to be shown and yet the options of another complete a tested
    one. A Chinese question also holds one about a shorter word that its own ends in: that about
    butter (黄油) holds that about oil (油).
    """
    tested = _tested_options()
    return any(
        all(option in text for option in options)
        for item in items
        for start in range(len(item.question.text))
        for options in tested.get(item.question.text[start:], ())
    )


@cache
def dev_items(language: Language) -> tuple[Item, ...]:
    """Return five items of each subject to serve as shots; they rest on nothing held."""
    draws = Draws(SEED, f"dev/{BENCHMARKS[language]}")
    items: dict[tuple[str, ...], Item] = {}
    for subject in SUBJECTS:
        found: dict[tuple[str, ...], Item] = {}
        while len(found) < N_SHOTS:
            item = draw_item(world(), draws, language, subject)
            # Four shots show each letter once; a fact or calculation is shown once.
            shown = [other.letter for other in found.values()]
            if len(found) == N_SHOTS - 1 or item.letter not in shown:
                found.setdefault(item.keys, item)
        items |= found
    return tuple(items.values())
