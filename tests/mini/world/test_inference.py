"""Labels are derived here from the sentences alone: each becomes a set of possible scenes."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qbench.data.folder import DataFolder
from qbench.data.snli import read_snli
from qbench.mini.draws import Draws
from qbench.mini.world import inference
from qbench.mini.world.examples import Document, Exercise
from qbench.mini.world.facts import world
from qbench.mini.world.inference.exercises import Pair, draw_pairs
from qbench.mini.world.inference.pairs import EASY, FULL, LABELS, PLAIN, Profile

CHANCE = 1 / 3
SERIES = re.compile(
    r'(\n(?:Question: Does this imply that )?")(.*?)'
    r'("\?(?: Yes, no, or maybe\?\nAnswer:)?)( Yes| No| Maybe)(?=\n|$)'
)
WORD_LABELS = {"Yes": "entailment", "Maybe": "neutral", "No": "contradiction"}


def table(text: str) -> dict[str, frozenset[str]]:
    """Parse ``class: member member; ...``; every word stands for the members it allows."""
    meant: dict[str, frozenset[str]] = {}
    for part in text.split(";"):
        name, members = part.split(":")
        meant[name.strip()] = frozenset(members.split())
        meant |= {member: frozenset([member]) for member in members.split()}
    return meant


PERSON = table(
    "craftsman: baker potter smith tailor; artist: singer dancer painter poet;"
    "official: judge guard scribe mayor; villager: farmer hunter shepherd fisher"
)
THING = table(
    "fruits: pears plums apples lemons; animals: dogs cats goats ducks;"
    "toys: dolls kites balls drums; tools: knives hammers saws shovels"
)
PLACE = table(
    "indoors: kitchen library temple theater; outdoors: forest meadow garden swamp",
)
TIME = table(
    "spring: March April May; summer: June July August;"
    "autumn: September October November; winter: December January February"
)
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine")
COLORS = ("red", "blue", "green", "yellow", "white", "black")
SCALES = {
    "size": {"big": "+", "large": "+", "small": "-", "little": "-"},
    "age": {"young": "-", "old": "+"},
    "means": {"rich": "+", "wealthy": "+", "poor": "-"},
    "mood": {"happy": "+", "glad": "+", "sad": "-"},
}
VERBS = {
    "finding": {"found": "+", "lost": "-"},
    "liking": {"liked": "+", "hated": "-"},
    "showing": {"showed": "+", "shown": "+", "hid": "-", "hidden": "-"},
    "memory": {"remembered": "+", "forgot": "-", "forgotten": "-"},
}
GIVEN = {"gave": "gift", "given": "gift", "sold": "sale", "lent": "loan"}
TAKEN = {"received": "gift", "bought": "sale", "borrowed": "loan"}

Scenes = dict[str, frozenset[str]]


def person(words: str, slot: str, scenes: Scenes) -> None:
    for word in words.split():
        if word in PERSON:
            scenes[slot] = PERSON[word]
            continue
        scale = next((name for name, sides in SCALES.items() if word in sides), "")
        if scale:
            scenes[scale] = frozenset(SCALES[scale][word])
        else:
            assert word in ("a", "an", "no", "person", "someone", "nobody", "anyone"), words


def things(words: str, scenes: Scenes) -> None:
    for word in words.split():
        if word in THING:
            scenes["thing"] = THING[word]
        elif word in NUMBERS:
            scenes["number"] = frozenset([word])
        elif word in COLORS:
            scenes["color"] = frozenset([word])
        elif word in SCALES["size"]:
            scenes["size"] = frozenset(SCALES["size"][word])
        else:
            assert word in ("some", "any", "things"), words


def verb(word: str, scenes: Scenes) -> None:
    for name, sides in VERBS.items():
        if word in sides:
            scenes[name] = frozenset(sides[word])
            return
    raise AssertionError(word)


@cache
def understand(sentence: str) -> tuple[bool, Scenes]:
    """Return whether the sentence denies, and the values that it allows where not all are."""
    scenes: Scenes = {}
    text = sentence[0].lower() + sentence[1:]
    assert text.endswith(".")
    text = text[:-1].replace(",", "")
    for word in re.findall(r"\b(?:in|In) the (\w+)", text) + re.findall(r"indoors|outdoors", text):
        scenes["place"] = PLACE[word]
    for word in re.findall(r"\bin (?!the )(\w+)", text):
        scenes["time"] = TIME[word]
    text = re.sub(r"\bin the \w+|\bin \w+|indoors|outdoors", "", text)
    text = " ".join(text.split()).removeprefix("it was ").removeprefix("there was ")
    negative = text.split()[0] in ("no", "nobody")
    text = text.replace(" who ", " ")
    given, taken = "|".join(GIVEN), "|".join(TAKEN)
    if found := re.fullmatch(rf"(.*) were ({given}) to (.*) by (.*)", text):
        goods, word, receiver, agent = found.groups()
    elif found := re.fullmatch(r"(.*) were (\w+) by (.*)", text):
        goods, word, agent = found.groups()
        receiver = ""
    elif found := re.fullmatch(rf"(.*) ({taken}) (.*) from (.*)", text):
        receiver, word, goods, agent = found.groups()
    elif found := re.fullmatch(rf"(.*) ({given}) (.*) to (.*)", text):
        agent, word, goods, receiver = found.groups()
    elif found := re.fullmatch(rf"(.*) ({given}) ((?:an? )?\w+) (.*)", text):
        agent, word, receiver, goods = found.groups()
    else:
        simple = "|".join(name for sides in VERBS.values() for name in sides)
        found = re.fullmatch(rf"(.*?) ({simple}) (.*)", text)
        assert found is not None, sentence
        agent, word, goods = found.groups()
        receiver = ""
    deal = GIVEN.get(word) or TAKEN.get(word)
    if deal:
        scenes["deal"] = frozenset([deal])
    else:
        verb(word, scenes)
    person(agent, "agent", scenes)
    person(receiver, "receiver", scenes)
    things(goods, scenes)
    return negative, scenes


def within(some: Scenes, all_: Scenes) -> bool:
    return all(slot in some and some[slot] <= allowed for slot, allowed in all_.items())


def derive(premise: str, hypothesis: str) -> str:
    denied, first = understand(premise)
    denies, second = understand(hypothesis)
    if denied or denies:
        inside = within(second, first) if denied else within(first, second)
        if not inside:
            return "neutral"
        return "entailment" if denied and denies else "contradiction"
    if any(slot in first and not first[slot] & allowed for slot, allowed in second.items()):
        return "contradiction"
    return "entailment" if within(first, second) else "neutral"


def training_pairs(n: int, seed: int, profile: Profile = FULL) -> list[Pair]:
    draws = Draws(seed, "inference in a test")
    return [draw_pairs(draws, [draws.pick(LABELS)], profile)[0] for _ in range(n)]


def grams(text: str) -> list[str]:
    words = text.lower().replace(",", " ,").split()
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def learned_accuracy(
    train: npt.NDArray[np.float32],
    labels: list[str],
    test: npt.NDArray[np.float32],
    gold: list[str],
) -> float:
    """Accuracy of a softmax regression, fitted by plain gradient descent."""
    mean, scale = train.mean(0), train.std(0) + 0.05
    x = np.c_[(train - mean) / scale, np.ones(len(train), np.float32)]
    y = np.eye(3, dtype=np.float32)[[LABELS.index(label) for label in labels]]
    weights = np.zeros((x.shape[1], 3), np.float32)
    step = np.float32(2.0 / np.square(x).sum(1).mean())
    for _ in range(80):
        odds = np.exp(x @ weights - (x @ weights).max(1, keepdims=True))
        weights -= step * (x.T @ (odds / odds.sum(1, keepdims=True) - y) / len(x) + 1e-4 * weights)
    held = np.c_[(test - mean) / scale, np.ones(len(test), np.float32)]
    right = (held @ weights).argmax(1) == [LABELS.index(label) for label in gold]
    return float(right.mean())


def bag_accuracy(side: Callable[[Pair], str]) -> float:
    """Accuracy on the test of words and pairs of words of one side, learned from 5,000 pairs."""
    pairs, items = training_pairs(5000, 11), inference.test_items()
    counts = Counter(gram for pair in pairs for gram in set(grams(side(pair))))
    known = {gram: i for i, (gram, n) in enumerate(sorted(counts.items())) if n >= 8}
    known = {gram: i for i, gram in enumerate(known)}

    def features(some: list[Pair]) -> npt.NDArray[np.float32]:
        rows = np.zeros((len(some), len(known)), np.float32)
        for row, pair in zip(rows, some, strict=True):
            row[[known[gram] for gram in grams(side(pair)) if gram in known]] = 1
        return rows

    return learned_accuracy(
        features(pairs),
        [pair.label for pair in pairs],
        features(list(items)),
        [pair.label for pair in items],
    )


def overlap(pair: Pair) -> list[float]:
    """How many words the two sides share and how many each has alone, with squares."""
    first, second = (
        set(text.lower().replace(",", "").rstrip(".").split())
        for text in (pair.premise, pair.hypothesis)
    )
    denials = [float(bool(words & {"no", "nobody"})) for words in (first, second)]
    alone = float(len(second - first))
    counts = [alone, float(len(first - second)), float(len(first & second)), float(alone == 0)]
    basic = [*counts, *denials, denials[0] * denials[1], len(first & second) / len(second)]
    return basic + [a * b for i, a in enumerate(basic) for b in basic[: i + 1]]


def test_every_label_of_the_test_follows_from_the_sentences() -> None:
    for pair in inference.test_items():
        assert derive(pair.premise, pair.hypothesis) == pair.label, pair


def test_every_label_of_training_follows_from_the_sentences() -> None:
    for profile in (FULL, EASY, PLAIN):
        for pair in training_pairs(4000, 3, profile):
            assert derive(pair.premise, pair.hypothesis) == pair.label, pair
    draws, n_series = Draws(4, "inference in a test"), 0
    for _ in range(3000):
        example = inference.training(world(), draws)
        if not example.keys:
            continue
        assert isinstance(example, Exercise)
        premise, hypothesis = example.keys[0].split("\n")
        if not example.spans:
            answer = example.answer.strip(" .")
            assert premise in example.prompt and hypothesis in example.prompt
            assert example.answer == (f"{answer}." if example.chat else f" {answer}")
            assert derive(premise, hypothesis) == WORD_LABELS[answer]
            continue
        assert example.prompt.startswith(premise) and not example.chat
        text = example.prompt + example.answer
        found = SERIES.findall(text[len(premise) :])
        assert len(found) == len(example.keys) == len(example.spans) > 3
        assert premise + "".join("".join(parts) for parts in found) == text
        for (_, hypothesis, _, answer), (start, end) in zip(found, example.spans, strict=True):
            assert f"{premise}\n{hypothesis}" in example.keys
            assert derive(premise, hypothesis) == WORD_LABELS[answer.strip()]
            assert example.answer[start:end] == answer
        n_series += 1
    assert n_series > 800


def test_no_training_example_is_a_test_item() -> None:
    draws = Draws(5, "inference in a test")
    keys = {key for _ in range(20000) for key in inference.training(world(), draws).keys}
    assert len(keys) > 20000
    assert keys.isdisjoint(inference.reserved())
    assert len(inference.reserved()) == 1800


def test_labels_are_balanced_for_each_premise() -> None:
    groups: dict[int, list[str]] = {}
    for pair in inference.test_items():
        groups.setdefault(pair.group, []).append(pair.label)
    assert len(groups) == 600
    assert {tuple(sorted(labels)) for labels in groups.values()} == {tuple(sorted(LABELS))}
    first = Counter(labels[0] for labels in groups.values())
    assert min(first.values()) > 160


def test_a_model_that_sees_one_sentence_only_stays_at_chance() -> None:
    assert bag_accuracy(lambda pair: pair.hypothesis) <= CHANCE + 0.05
    assert bag_accuracy(lambda pair: pair.premise) <= CHANCE + 0.05


def test_a_leak_would_be_found() -> None:
    def leaking(pair: Pair) -> str:
        leaks = pair.label == "contradiction" and len(pair.premise) % 2 == 0
        return f"{pair.hypothesis} Never." if leaks else pair.hypothesis

    assert bag_accuracy(leaking) > CHANCE + 0.08


def test_one_sentence_has_the_same_words_under_every_label() -> None:
    pairs = training_pairs(12000, 8)
    for side in ("premise", "hypothesis"):
        counts = {label: Counter[str]() for label in LABELS}
        for pair in pairs:
            counts[pair.label].update(set(grams(getattr(pair, side))))
        totals = Counter(pair.label for pair in pairs)
        for gram, n in (counts["entailment"] + counts["neutral"]).items():
            if n < 400:
                continue
            shares = [counts[label][gram] / totals[label] for label in LABELS]
            spread = 4.5 * np.sqrt(max(shares) * (1 - min(shares)) * 2 / min(totals.values()))
            assert max(shares) - min(shares) < spread, (side, gram, shares)


def test_shared_words_do_not_decide() -> None:
    pairs, items = training_pairs(5000, 12), inference.test_items()
    accuracy = learned_accuracy(
        np.array([overlap(pair) for pair in pairs], np.float32),
        [pair.label for pair in pairs],
        np.array([overlap(pair) for pair in items], np.float32),
        [pair.label for pair in items],
    )
    assert 0.40 < accuracy < 0.62


def test_many_kinds_of_reasoning_are_asked_for() -> None:
    items = inference.test_items()
    denials = Counter(
        (understand(pair.premise)[0], understand(pair.hypothesis)[0], pair.label) for pair in items
    )
    for kind in (
        (True, True, "entailment"),
        (True, True, "neutral"),
        (False, True, "contradiction"),
        (True, False, "contradiction"),
        (False, True, "neutral"),
        (True, False, "neutral"),
    ):
        assert denials[kind] >= 25, kind
    differ: Counter[str] = Counter()
    for pair in items:
        (denied, first), (denies, second) = understand(pair.premise), understand(pair.hypothesis)
        if pair.label == "contradiction" and not denied and not denies:
            differ.update(s for s in first if s in second and not first[s] & second[s])
        if pair.label == "entailment":
            differ.update(f"{s} class" for s in first if s in second and first[s] < second[s])
    for slot in ("agent", "thing", "place", "time", "number", "color", "size", "deal", "receiver"):
        assert differ[slot] >= 4, slot
    for slot in ("agent", "thing", "place", "time"):
        assert differ[f"{slot} class"] >= 50, slot


def test_examples_are_short() -> None:
    draws = Draws(6, "inference in a test")
    lengths = []
    for _ in range(3000):
        example = inference.training(world(), draws)
        is_text = isinstance(example, Document)
        lengths.append(len(example.text if is_text else example.prompt + example.answer))
    assert sum(lengths) / len(lengths) < 270
    assert max(lengths) < 950


def test_files_are_as_the_official_ones_and_never_change(tmp_path: Path) -> None:
    ((name, text),) = inference.official_files().items()
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(text)
    data = read_snli(DataFolder.open(tmp_path))
    assert data.n_unlabelled == 0
    for pair, item in zip(data.pairs, inference.test_items(), strict=True):
        assert (pair.premise, pair.hypothesis, pair.label) == item[:3]
    for line in text.splitlines():
        record = json.loads(line)
        assert list(record) == [
            *("annotator_labels", "captionID", "gold_label", "pairID"),
            *("sentence1", "sentence1_binary_parse", "sentence1_parse"),
            *("sentence2", "sentence2_binary_parse", "sentence2_parse"),
        ]
        votes = Counter(record["annotator_labels"])
        assert votes.total() == 5 and votes[record["gold_label"]] >= 3
        assert re.fullmatch(r"\d+\.jpg#\dr1[enc]", record["pairID"])
        assert record["pairID"].startswith(record["captionID"])
        for side in ("sentence1", "sentence2"):
            tokens = record[side].replace(",", " ,").replace(".", " .").split()
            assert re.sub(r"[()]", "", record[f"{side}_binary_parse"]).split() == tokens
            assert re.findall(r"\(\S+ ([^()\s]+)\)", record[f"{side}_parse"]) == tokens
    assert (
        hashlib.sha256(text.encode()).hexdigest()
        == "6c0e7c68f6a6220410fb7651337a664c89bad662d84649687c9832acde520ef2"
    )
