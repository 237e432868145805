"""Exercises of ``mini.snli``: whether one sentence about a scene implies another."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from qbench.mini.draws import Draws
from qbench.mini.world.examples import Document, Example, Exercise, Hint, Turn, in_turn
from qbench.mini.world.facts import SEED, World
from qbench.mini.world.inference.pairs import (
    EASY,
    FULL,
    LABELS,
    PLAIN,
    Profile,
    draw_hypothesis,
    draw_premise,
)
from qbench.mini.world.inference.scenes import CLASS_SLOTS, CLASSES, Description, comparison
from qbench.mini.world.inference.text import article, sentence

N_PREMISES = 600
# How much the pairs of training tell; three quarters of the test are easy, the others full.
PROFILES: tuple[tuple[float, Profile], ...] = ((0.3, PLAIN), (0.45, EASY), (0.25, FULL))
WORDS = {"entailment": "Yes", "neutral": "Maybe", "contradiction": "No"}
LABEL_OF = {"within": "entailment", "open": "neutral", "apart": "contradiction"}
QUESTION = 'Question: Does this imply that "{h}"? Yes, no, or maybe?'
SERIES = ((0.5, '\n"{h}"?'), (0.5, "\n" + QUESTION + "\nAnswer:"))
# The two frames of the benchmark's presets, and paraphrases: weight, frame, whether it is chat.
FRAMES = (
    (0.42, ("{p}\n" + QUESTION + "\nAnswer:", False)),
    (0.42, ("{p}\n\n" + QUESTION, True)),
    (0.08, ("Premise: {p}\nHypothesis: {h}\nDoes it follow? Yes, no, or maybe?\nAnswer:", False)),
    (0.08, ("{p}\nStatement: {h}\nDoes it follow? Say yes, no, or maybe.", True)),
)


class Pair(NamedTuple):
    """A premise, a hypothesis and the label; ``group`` is the number of the premise.

    ``hints`` say after the words of each slot of the hypothesis how they compare.
    """

    premise: str
    hypothesis: str
    label: str
    group: int
    hints: tuple[Hint, ...] = ()

    def key(self) -> str:
        """Return what makes the pair the one that it is."""
        return f"{self.premise}\n{self.hypothesis}"


def draw_pairs(
    draws: Draws, labels: list[str], profile: Profile = FULL, *, group: int = 0
) -> list[Pair]:
    """Draw a premise and a hypothesis for each label."""
    premise = draw_premise(draws, profile)
    text, _ = sentence(premise, draws)
    hypotheses = [draw_hypothesis(draws, premise, wanted, profile) for wanted in labels]
    pairs = []
    for hypothesis, wanted in zip(hypotheses, labels, strict=True):
        told, ends = sentence(hypothesis, draws)
        pairs.append(Pair(text, told, wanted, group, _hints(premise, hypothesis, ends)))
    return pairs


def _hints(premise: Description, hypothesis: Description, ends: dict[str, int]) -> tuple[Hint, ...]:
    """Say after each slot of a hypothesis what would follow if it were all."""
    found = comparison(premise, hypothesis)
    return tuple(Hint(end, WORDS[LABEL_OF[found[slot]]]) for slot, end in ends.items())


@cache
def test_items() -> tuple[Pair, ...]:
    """Draw the test: three pairs for each premise, one of each label, in random order."""
    draws = Draws(SEED, "test/inference")
    found: dict[str, list[Pair]] = {}
    while len(found) < N_PREMISES:
        pairs = draw_pairs(
            draws, draws.shuffled(LABELS), FULL if len(found) % 4 == 0 else EASY, group=len(found)
        )
        if len({pair.hypothesis for pair in pairs}) == len(pairs):
            found.setdefault(pairs[0].premise, pairs)
    return tuple(pair for pairs in found.values() for pair in pairs)


@cache
def reserved() -> frozenset[str]:
    """Return the premises with their hypotheses of all test items."""
    return frozenset(pair.key() for pair in test_items())


@cache
def _partners() -> dict[str, set[str]]:
    """Return by each sentence of the test, without case, those that make a test item with it."""
    found: dict[str, set[str]] = {}
    for item in test_items():
        premise, hypothesis = item.premise.casefold(), item.hypothesis.casefold()
        found.setdefault(premise, set()).add(hypothesis)
        found.setdefault(hypothesis, set()).add(premise)
    return found


def spells_out(sentences: Iterable[str]) -> bool:
    """Whether sentences hold both parts of a test item, in either role.

    A sentence may end in a shorter one: "In spring, some pears were hidden."
    """
    words = [s.casefold().split(" ") for s in sentences]
    shown = {" ".join(w[start:]) for w in words for start in range(len(w))}
    return any(not shown.isdisjoint(_partners().get(s, ())) for s in shown)


def exercise(pair: Pair, draws: Draws) -> Exercise:
    """Put a pair into a frame."""
    frame, chat = draws.weighted(FRAMES)
    prompt = frame.format(p=pair.premise, h=pair.hypothesis)
    word, start = WORDS[pair.label], prompt.rindex(pair.hypothesis)
    answer = f"{word}." if chat else f" {word}"
    hints = tuple(hint.moved(start) for hint in pair.hints)
    return Exercise(prompt, answer, chat, (pair.key(),), hints=hints)


def series(pairs: list[Pair], frame: str) -> Exercise:
    """Ask for several hypotheses about one premise, one after another; the labels are learned.

    So a label costs half or a third of the text that it costs alone.
    """
    turns, start = [], frame.index("{h}")
    for pair in pairs:
        hints, answer = (hint.moved(start) for hint in pair.hints), f" {WORDS[pair.label]}"
        turns.append(Turn(frame.format(h=pair.hypothesis), answer, len(answer), tuple(hints)))
    return in_turn(pairs[0].premise, turns, tuple(pair.key() for pair in pairs))


def classes(draws: Draws) -> Document:
    """Tell for some words which class they belong to: no test asks it, every test needs it."""
    told = []
    for _ in range(draws.between(4, 7)):
        slot = draws.pick(CLASS_SLOTS)
        name = draws.pick(list(CLASSES[slot]))
        member = draws.pick(CLASSES[slot][name])
        told.append(
            {
                "agent": f"Every {member} is {article(name)}.",
                "object": f"All {member} are {name}.",
                "place": f"The {member} is {name}.",
                "time": f"The month of {member} is in {name}.",
            }[slot]
        )
    return Document(" ".join(told))


def training(world: World, draws: Draws) -> Example:
    """Draw a training example: a pair, a series of pairs with one premise, or some classes."""
    kind = draws.weighted(((0.60, "pair"), (0.37, "series"), (0.03, "classes")))
    if kind == "classes":
        return classes(draws)
    while True:
        n = 1 if kind == "pair" else draws.between(4, 6)
        labels = [draws.pick(LABELS) for _ in range(n)]
        pairs = draw_pairs(draws, labels, draws.weighted(PROFILES))
        if not spells_out([pairs[0].premise, *(pair.hypothesis for pair in pairs)]):
            if kind == "pair":
                return exercise(pairs[0], draws)
            return series(pairs, draws.weighted(SERIES))


def _tokens(text: str) -> list[str]:
    """Split a sentence into words and signs."""
    return text.replace(",", " ,").replace(".", " .").split()


def _binary_parse(tokens: list[str]) -> str:
    """Bracket tokens from the right; stands for the parse that the official files have."""
    if len(tokens) == 1:
        return tokens[0]
    return f"( {tokens[0]} {_binary_parse(tokens[1:])} )"


def _parse(tokens: list[str]) -> str:
    """Write tokens as a flat tree; stands for the parse that the official files have."""
    leaves = " ".join(f"({t if t in ',.' else 'X'} {t})" for t in tokens)
    return f"(ROOT (S {leaves}))"


def _record(pair: Pair, draws: Draws) -> dict[str, object]:
    """Write a pair as SNLI's files do."""
    others = [name for name in LABELS if name != pair.label]
    # Up to two of the five disagree, so that the label stands.
    votes = [pair.label] * 3 + [
        draws.pick(others) if draws.chance(0.3) else pair.label for _ in range(2)
    ]
    caption = f"{100000 + pair.group}.jpg#0"
    record: dict[str, object] = {
        "annotator_labels": [pair.label, *draws.shuffled(votes[1:])],
        "captionID": caption,
        "gold_label": pair.label,
        "pairID": f"{caption}r1{pair.label[0]}",
    }
    for name, text in (("sentence1", pair.premise), ("sentence2", pair.hypothesis)):
        record[name] = text
        record[f"{name}_binary_parse"] = _binary_parse(_tokens(text))
        record[f"{name}_parse"] = _parse(_tokens(text))
    return record


def official_files() -> dict[str, str]:
    """Write the test as SNLI's file."""
    draws = Draws(SEED, "annotators/inference")
    lines = [json.dumps(_record(pair, draws)) for pair in test_items()]
    return {"snli/snli_1.0_test.jsonl": "\n".join(lines) + "\n"}
