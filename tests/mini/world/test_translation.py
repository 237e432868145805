"""The translation family: both sides of each pair mean the same, and the test stays unseen."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import Counter
from statistics import mean

import pytest
from mini.world.translation_chinese import read_chinese
from mini.world.translation_english import IRREGULAR, past, read_english, third
from mini.world.translation_parsers import MEASURE, MEASURES

from qbench.mini.draws import Draws
from qbench.mini.world import lexicon, translation
from qbench.mini.world.examples import Document, Exercise
from qbench.mini.world.facts import SEED, world
from qbench.mini.world.names import CODAS, ONSETS
from qbench.mini.world.translation import lexicon as words
from qbench.mini.world.translation.english import with_article
from qbench.mini.world.translation.exercises import FOUND_IN_TRAINING, N_DEV, N_TEST

PINNED = "80a862f0e0d25e4cc423b7038183d0ebff80a0646d4ca14832f8a8d795fd362e"
SENTENCES_EN, SENTENCES_ZH = re.compile(r"[A-Z][^.\n:]*\."), re.compile(r"[^。\n：:？a-zA-Z ]+。")

NAME = re.compile(
    "(?<![A-Za-z])(?=[A-Z])(?i:(?:"
    + "|".join(ONSETS)
    + ")(?:"
    + "|".join(CODAS)
    + "))(?:ford|burg|ton|haven| River)?(?![a-z])"
)


@pytest.fixture(scope="module")
def drawn() -> list[Exercise | Document]:
    the_world, draws = world(), Draws(SEED, "translation tests")
    makers = (translation.training,) * 3 + (translation.bitext, translation.glossary)
    return [makers[i % 5](the_world, draws) for i in range(20_000)]


def test_both_languages_have_one_reading_and_the_same() -> None:
    for pair in (*translation.test_items(), *translation.dev_items()):
        english, chinese = read_english(pair.en), read_chinese(pair.zh)
        assert len(english) == 1, pair
        assert english == chinese, pair


def test_the_parsers_tell_meanings_apart() -> None:
    """A parser that reads all alike would pass; small changes must change the reading."""
    (base,) = read_english("Yesterday the old baker bought two dogs near the tower.")
    assert {base} == read_chinese("昨天老面包师在高塔附近买了两只狗。")
    for other in (
        "老面包师昨天在高塔附近买了两只狗。",
        "昨天面包师在高塔附近买了两只狗。",
        "昨天老面包师在高塔后面买了两只狗。",
        "昨天老面包师在高塔附近没买两只狗。",
        "昨天老面包师在高塔附近买两只狗。",
        "昨天老面包师在高塔附近买了两条狗。",
        "昨天老面包师在高塔附近买了三只狗。",
        "昨天老面包师在高塔附近买了那些狗。",
        "昨天老面包师们在高塔附近买了两只狗。",
    ):
        assert base not in read_chinese(other), other
    for other in ("buys two dogs", "bought two dog", "did not buy two dogs", "bought a dogs"):
        assert base not in read_english(f"Yesterday the old baker {other} near the tower.")


def test_word_tables() -> None:
    verbs = (*words.VERBS, *words.STATES, *words.GIVING, *words.PLACING, *words.ALONE)
    for verb in verbs:
        assert verb.third == third(verb.en)
        assert verb.past == past(verb.en)
        # Forms that look alike would leave the tense open.
        assert len({verb.en, verb.third, verb.past}) == 3
    assert set(IRREGULAR) <= {verb.en for verb in verbs}
    for noun in (*words.CRAFTS, *words.NOUNS):
        assert noun.measure == MEASURE.get(noun.en, "个"), noun
        assert bool(noun.container) == (noun.en == noun.plural)
    assert set(MEASURE) <= {noun.en for noun in (*words.CRAFTS, *words.NOUNS)}
    assert [words.NUMBERS[n].zh for n in (2, 9, 10, 12, 20)] == ["两", "九", "十", "十二", "二十"]
    assert [with_article(w) for w in ("owl", "honest cook", "useful map", "big egg")] == [
        "an owl", "an honest cook", "a useful map", "a big egg"
    ]  # fmt: skip


def test_lexicon_is_rich_and_one_to_one() -> None:
    nouns = (*words.CRAFTS, *words.NOUNS)
    assert len(nouns) >= 110
    assert len({n.en for n in nouns}) == len({n.zh for n in nouns}) == len(nouns)
    assert len({a.en for a in words.ADJECTIVES}) >= 30
    assert len({v.en for v in words.VERBS}) >= 40
    assert len(MEASURES) >= 25
    for kind in {n.kind for n in nouns}:
        fitting = [a for a in words.ADJECTIVES if kind in a.kinds]
        assert len({a.en for a in fitting}) == len({a.zh for a in fitting}) == len(fitting)
    shared = {t.en: t.zh for n in vars(lexicon).values() if isinstance(n, tuple) for t in n
              if isinstance(t, lexicon.Term)}  # fmt: skip
    for noun in nouns:
        assert noun.zh == shared.get(noun.en, noun.zh)


def test_lengths_and_starts() -> None:
    pairs = translation.test_items()
    lengths = {k: [len(p.en.split()) for p in pairs if p.n_clauses == k] for k in (1, 2)}
    assert len(lengths[1]) + len(FOUND_IN_TRAINING) == len(lengths[2]) == N_TEST // 2
    assert 8 <= mean(lengths[1]) <= 14 <= mean(lengths[2]) <= 22
    assert max(map(max, lengths.values())) <= 40
    starts = [p.en for p in pairs if NAME.match(p.en)]
    assert len(starts) < 0.1 * len(pairs)
    assert len({p.en.split()[0] for p in pairs}) > 30


def test_items_are_varied() -> None:
    pairs = translation.test_items()
    text = "\n".join(p.en for p in pairs)
    for part in ("because", ", but ", ", so ", "before", "Although", "When", "After", "If"):
        assert text.count(part) > 40, part
    for part in ("who lives", " than ", " did not ", " will ", " must ", "There "):
        assert text.count(part) > 15, part
    assert len({p.en for p in pairs}) == len({p.zh for p in pairs}) == len(pairs)
    assert Counter(p.n_clauses for p in pairs) == {
        1: N_TEST // 2 - len(FOUND_IN_TRAINING),
        2: N_TEST // 2,
    }


def test_training_meets_no_test_sentence(drawn: list[Exercise | Document]) -> None:
    reserved = translation.reserved()
    assert len(reserved) == 2 * (N_TEST + N_DEV)
    held = {name.en for group in translation.held_names().values() for name in group}
    for example in drawn:
        assert reserved.isdisjoint(example.keys)
        text = example.text if isinstance(example, Document) else example.prompt + example.answer
        for sentence in (*SENTENCES_EN.findall(text), *SENTENCES_ZH.findall(text)):
            assert sentence not in reserved
        # The keys hold the English of Chinese text, too.
        assert held.isdisjoint(NAME.findall(" ".join((text, *example.keys))))


def test_a_tenth_of_the_names_is_in_the_test_only() -> None:
    held = {name.en for group in translation.held_names().values() for name in group}
    found = [n for p in translation.test_items() for n in NAME.findall(p.en)]
    assert 0.07 < sum(name in held for name in found) / len(found) < 0.14
    assert not held & {n for p in translation.dev_items() for n in NAME.findall(p.en)}


def _joined(sentence: str) -> list[str]:
    """Return verb, object and place of each clause that has all, from the English text."""
    ((_, *clauses),) = read_english(sentence)
    acts = [c for c in clauses if c and c[0] == "act" and c[6] and c[11]]
    return [
        f"{c[5]}/{c[6][4]}/{c[11][1][2]}"
        for c in acts
        if c[6][0] == "phrase" and c[11][1][0] == "place"
    ]


def test_held_combinations_are_in_the_test_only() -> None:
    def held(joined: str) -> bool:
        return zlib.crc32(joined.encode()) % 10 == 0

    draws = Draws(SEED, "combinations")
    trained = [translation.training_pair(world(), draws).en for _ in range(1500)]
    joined = [j for sentence in trained for j in _joined(sentence)]
    assert len(joined) > 300
    assert not any(map(held, joined))
    tested = [any(map(held, _joined(p.en))) for p in translation.test_items()[:600]]
    assert 0.2 < sum(tested) / len(tested) < 0.45


def test_held_names_are_of_no_thing_in_the_world() -> None:
    for kind, group in translation.held_names().items():
        assert set(group).isdisjoint(world().things[kind])


def test_frames_and_spaces(drawn: list[Exercise | Document]) -> None:
    exercises = [e for e in drawn if isinstance(e, Exercise)]
    chat = sum(e.chat for e in exercises) / len(exercises)
    assert 0.35 < chat < 0.6
    toward_chinese = 0
    for e in exercises:
        chinese = bool(re.search("[一-鿿]", e.answer))
        toward_chinese += chinese
        assert e.answer.startswith(" ") == (not chinese and not e.chat)
        assert len(e.prompt + e.answer) < 420
    assert 0.47 < toward_chinese / len(exercises) < 0.53
    prompts = "\n".join(e.prompt for e in exercises)
    assert "Please translate the following English text into Chinese.\nEnglish text: " in prompts
    assert re.search("Chinese sentence: .*。\nEnglish sentence:", prompts)


def test_chinese_characters_are_few(drawn: list[Exercise | Document]) -> None:
    text = "".join(e.text if isinstance(e, Document) else e.prompt + e.answer for e in drawn)
    assert len(set(re.findall("[一-鿿]", text))) <= 600


def test_official_files() -> None:
    files = translation.official_files()
    base = "flores200/flores200_dataset"
    for split, n in (("devtest", N_TEST - len(FOUND_IN_TRAINING)), ("dev", N_DEV)):
        english = files[f"{base}/{split}/eng_Latn.{split}"]
        chinese = files[f"{base}/{split}/zho_Hans.{split}"]
        assert english.count("\n") == chinese.count("\n") == n
        for a, b in zip(english.splitlines(), chinese.splitlines(), strict=True):
            assert re.fullmatch(r"[A-Z][A-Za-z ,']+\.", a), a
            assert re.fullmatch("[一-鿿，]+。", b), b
    digest = hashlib.sha256("".join(k + v for k, v in sorted(files.items())).encode())
    assert digest.hexdigest() == PINNED


def test_draws_repeat() -> None:
    def some() -> list[Exercise | Document]:
        draws = Draws(5, "repeat")
        return [translation.training(world(), draws) for _ in range(50)]

    assert some() == some()
