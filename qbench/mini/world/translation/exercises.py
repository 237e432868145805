"""The translation family: English and Chinese, both ways, in the layout of FLORES-200.

After a plain prompt the answer follows the colon: Chinese directly, English with a space, as every
English word that is not the first of a text has one. Test sentences, and people and towns that
only they name, are kept out of training in either language.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world import names
from qbench.mini.world.examples import Document, Exercise
from qbench.mini.world.facts import SEED, World, world
from qbench.mini.world.lexicon import Language, Term
from qbench.mini.world.translation import chinese as grammar_zh
from qbench.mini.world.translation import english as grammar_en
from qbench.mini.world.translation import lexicon as words
from qbench.mini.world.translation.drawing import Drawer, NameDraw
from qbench.mini.world.translation.grammar import Phrase, Sentence, is_held

N_TEST, N_DEV = 1800, 200
FRESH_SHARE = 0.2
HELD_NAME_SHARE = 0.1
HELD_JOINED_SHARE = 0.3
N_HELD = {"people": 80, "towns": 30, "rivers": 10}
_RIVER = (Term(" River", "河"),)


class Pair(NamedTuple):
    """A sentence in both languages; ``keys`` are its fingerprints."""

    en: str
    zh: str
    n_clauses: int
    keys: tuple[str, ...]

    def text(self, language: Language) -> str:
        """Return the sentence in a language."""
        return self.en if language == "en" else self.zh


def _invented(draws: Draws, kind: str) -> Term:
    """Draw a name of a kind, most likely one that nothing in the world has."""
    if kind == "people":
        return names.name(draws)
    ending = draws.pick(names.TOWN_ENDINGS) if kind == "towns" else _RIVER[0]
    return names.name(draws, ending)


@cache
def held_names() -> dict[str, tuple[Term, ...]]:
    """Return the names by kind that only test sentences mention; the world has none of them."""
    draws, the_world = Draws(SEED, "held names"), world()
    found: dict[str, tuple[Term, ...]] = {}
    for kind, n in N_HELD.items():
        drawn: dict[Term, None] = {}
        while len(drawn) < n:
            name = _invented(draws, kind)
            if name not in the_world.things[kind]:
                drawn[name] = None
        found[kind] = tuple(drawn)
    return found


@cache
def _held_set() -> frozenset[Term]:
    """Return the held names of all kinds."""
    return frozenset(name for group in held_names().values() for name in group)


def _training_name(the_world: World) -> NameDraw:
    """Return a draw of names of the world, and of fresh ones so that spelling has to be learned."""

    def draw(draws: Draws, kind: str) -> Term:
        if not draws.chance(FRESH_SHARE):
            return draws.pick(the_world.things[kind])
        fresh = _invented(draws, kind)
        while fresh in _held_set():
            fresh = _invented(draws, kind)
        return fresh

    return draw


def _test_name(the_world: World) -> NameDraw:
    """Return a draw of names as in training, a tenth of them held names."""
    others = _training_name(the_world)

    def draw(draws: Draws, kind: str) -> Term:
        if draws.chance(HELD_NAME_SHARE):
            return draws.pick(held_names()[kind])
        return others(draws, kind)

    return draw


def _pair(sentence: Sentence) -> Pair:
    """Write a sentence in both languages.

    Besides the sentences themselves, each clause alone is a fingerprint.
    """
    en, zh = grammar_en.sentence(sentence), grammar_zh.sentence(sentence)
    keys: tuple[str, ...] = (en, zh)
    if sentence.link:
        keys += tuple(grammar_en.sentence(Sentence(None, (c,))) for c in sentence.clauses)
    return Pair(en, zh, len(sentence.clauses), keys)


def training_pair(the_world: World, draws: Draws, n_clauses: int | None = None) -> Pair:
    """Draw a pair that is in no test, of one or two clauses."""
    drawer = Drawer(draws, _training_name(the_world))
    while True:
        sentence = drawer.sentence(n_clauses or (2 if draws.chance(0.45) else 1))
        if any(is_held(clause) for clause in sentence.clauses):
            continue
        pair = _pair(sentence)
        if reserved().isdisjoint(pair.keys):
            return pair


# Frames by the language translated from: plain text, or what a user says.
_NAMES = {"en": Term("English", "英文"), "zh": Term("Chinese", "中文")}
_OTHER: dict[Language, Language] = {"en": "zh", "zh": "en"}
_PLAIN = ("{S} sentence: {text}\n{T} sentence:", "{S}: {text}\n{T}:")
_CHAT = (
    "Please translate the following {S} text into {T}.\n{S} text: {text}",
    "Translate this into {T}: {text}",
    "请把下面的句子翻译成{t}：{text}",
    "这句话用{t}怎么说？\n{text}",
)
_PLAIN_SHARES, _CHAT_SHARES = (
    ((9, _PLAIN[0]), (1, _PLAIN[1])),
    tuple(zip((7, 1, 1, 1), _CHAT, strict=True)),
)


def training(world: World, draws: Draws) -> Exercise:
    """Draw a sentence to be translated, in one of the frames."""
    pair = training_pair(world, draws)
    source: Language = "en" if draws.chance(0.5) else "zh"
    target = _OTHER[source]
    chat = draws.chance(0.5)
    frame = draws.weighted(_CHAT_SHARES if chat else _PLAIN_SHARES)
    prompt = frame.format(
        S=_NAMES[source].en, T=_NAMES[target].en, t=_NAMES[target].zh, text=pair.text(source)
    )
    answer = pair.text(target)
    return Exercise(prompt, answer if chat or target == "zh" else f" {answer}", chat, pair.keys)


def bitext(world: World, draws: Draws) -> Document:
    """Draw text of sentences: of one language, or each in both."""
    both = draws.chance(0.5)
    pairs = [training_pair(world, draws) for _ in range(1 if both else draws.between(1, 2))]
    keys = tuple(key for pair in pairs for key in pair.keys)
    if both:
        lines = (pairs[0].en, pairs[0].zh)
        return Document("\n".join(lines if draws.chance(0.5) else lines[::-1]), keys)
    if draws.chance(0.5):
        return Document(" ".join(pair.en for pair in pairs), keys)
    return Document("".join(pair.zh for pair in pairs), keys)


def _entry(the_world: World, draws: Draws) -> Term:
    """Draw a name, three times in five, or a short phrase with a noun."""
    if draws.chance(0.6):
        kind = draws.weighted(((6, "people"), (3, "towns"), (1, "rivers")))
        name = _training_name(the_world)(draws, kind)
        # Most people of the world are named often enough elsewhere.
        while draws.chance(0.7) and name in the_world.things[kind]:
            name = _training_name(the_world)(draws, kind)
        return name
    drawer = Drawer(draws, _training_name(the_world))
    phrase = drawer.person() if draws.chance(0.2) else drawer.thing("afdgtxchurb", relative=0)
    if phrase.pronoun:
        phrase = Phrase(relation=draws.pick(words.RELATIVES), owner=phrase)
    return Term(grammar_en.phrase(phrase), grammar_zh.phrase(phrase))


def glossary(world: World, draws: Draws) -> Document | Exercise:
    """Draw names or phrases with their translations, as text or to be translated."""
    if draws.chance(0.4):
        entries = [_entry(world, draws) for _ in range(draws.between(1, 4))]
        if draws.chance(0.5):
            return Document("\n".join(f"{e.zh} = {e.en}" for e in entries))
        return Document("In Chinese, " + ", ".join(f"{e.en} is {e.zh}" for e in entries) + ".")
    entry = _entry(world, draws)
    if draws.chance(0.5):
        return Exercise(f"English: {entry.en}\nChinese:", entry.zh, False)
    return Exercise(f"Chinese: {entry.zh}\nEnglish:", f" {entry.en}", False)


def _draw_items(
    stream: str, n: int, name: NameDraw, held_share: float, taken: set[str]
) -> list[Pair]:
    """Draw ``n`` pairs, of one and two clauses in turn, and add their fingerprints to ``taken``."""
    draws = Draws(SEED, stream)
    drawer = Drawer(draws, name)
    found: list[Pair] = []
    while len(found) < n:
        held = draws.chance(held_share)
        sentence = drawer.sentence(1 + len(found) % 2)
        while held and not any(is_held(clause) for clause in sentence.clauses):
            sentence = drawer.sentence(1 + len(found) % 2)
        pair = _pair(sentence)
        if taken.isdisjoint(pair.keys):
            taken.update(pair.keys)
            found.append(pair)
    return found


@cache
def _items() -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Return the pairs of devtest and of dev, which share none."""
    taken: set[str] = set()
    test_name, dev_name = _test_name(world()), _training_name(world())
    test = _draw_items("test/translation", N_TEST, test_name, HELD_JOINED_SHARE, taken)
    return tuple(test), tuple(_draw_items("dev/translation", N_DEV, dev_name, 0, taken))


# Test sentences that the search of all training examples found inside longer ones: reserved all
# the same, asked no more. A Chinese one can end another: "这个陶工很年轻。" (this potter).
FOUND_IN_TRAINING = frozenset({"陶工很年轻。"})


def test_items() -> tuple[Pair, ...]:
    """Return the pairs of the test, for both directions; about half have two clauses."""
    return tuple(pair for pair in _items()[0] if pair.zh not in FOUND_IN_TRAINING)


def dev_items() -> tuple[Pair, ...]:
    """Return the pairs that shots are taken from."""
    return _items()[1]


@cache
def reserved() -> frozenset[str]:
    """Return the sentences of test and dev in both languages.

    Clauses of a test sentence of two are free; a whole test sentence never is a training clause.
    """
    return frozenset(text for group in _items() for pair in group for text in (pair.en, pair.zh))


def official_files() -> dict[str, str]:
    """Return the files of FLORES-200 by their paths: a sentence a line, lines aligned."""
    files = {}
    for split, pairs in (("devtest", test_items()), ("dev", dev_items())):
        for code, language in (("eng_Latn", "en"), ("zho_Hans", "zh")):
            lines = "".join(pair.text("en" if language == "en" else "zh") + "\n" for pair in pairs)
            files[f"flores200/flores200_dataset/{split}/{code}.{split}"] = lines
    return files
