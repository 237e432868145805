"""Benchmark files from the made-up world, in the formats in which the real ones are published."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path

from fixture_world import LABELS, LETTERS, SUBJECTS, Pair, Question, World

N_DEV = 5
N_TEST = 25
N_PAIRS = 72
N_ARTICLES = 48


def write_packs(world: World, folder: Path, seed: int) -> dict[str, int]:
    """Write mmlu, snli and wikitext2 under `folder`; return the number of items of each."""
    rng = random.Random(seed)
    counts = {"mmlu": 0, "snli": 0, "wikitext2": N_ARTICLES}
    for subject in SUBJECTS:
        items = distinct_questions(world, rng, subject, N_DEV + N_TEST)
        for split, part in (("dev", items[:N_DEV]), ("test", items[N_DEV:])):
            write(folder / f"mmlu/data/{split}/{subject}_{split}.csv", question_rows(part))
        counts["mmlu"] += N_TEST
    pairs = [world.pair(rng, label) for _ in range(N_PAIRS // 3) for label in LABELS]
    lines = [pair_line(pair, number, rng) for number, pair in enumerate(pairs)]
    # As in the original, a pair on which the annotators did not agree has the label "-".
    lines.append(pair_line(Pair(*pairs[0].__dict__.values()), len(pairs), rng, agreed=False))
    write(folder / "snli/snli_1.0_test.jsonl", "".join(f"{line}\n" for line in lines))
    counts["snli"] = len(pairs)
    articles = "".join(world.article(rng) for _ in range(N_ARTICLES))
    write(folder / "wikitext2/wiki.test.raw", f" \n{articles}")
    return counts


def distinct_questions(world: World, rng: random.Random, subject: str, n: int) -> list[Question]:
    """Return n questions that differ in text or options."""
    items: dict[str, Question] = {}
    while len(items) < n:
        item = world.question(rng, subject)
        items[item.prompt()] = item
    return list(items.values())


def question_rows(items: list[Question]) -> str:
    """Return csv without a heading: question, four options, letter."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([item.text, *item.options, LETTERS[item.answer]] for item in items)
    return text.getvalue()


def pair_line(pair: Pair, number: int, rng: random.Random, *, agreed: bool = True) -> str:
    """Return one record of SNLI with all fields of the original."""
    other = rng.choice([label for label in LABELS if label != pair.label])
    votes = [pair.label] * 4 + [other] if agreed else [pair.label] * 2 + [other] * 2 + ["neutral"]
    record = {
        "annotator_labels": votes,
        "captionID": f"{number:010d}.jpg#0",
        "gold_label": pair.label if agreed else "-",
        "pairID": f"{number:010d}.jpg#0r1{pair.label[0]}",
        "sentence1": pair.premise,
        "sentence1_binary_parse": binary_parse(pair.premise),
        "sentence1_parse": flat_parse(pair.premise),
        "sentence2": pair.hypothesis,
        "sentence2_binary_parse": binary_parse(pair.hypothesis),
        "sentence2_parse": flat_parse(pair.hypothesis),
    }
    return json.dumps(record)


def words_of(sentence: str) -> list[str]:
    """Split a sentence into words and its final period."""
    return [*sentence.rstrip(".").split(), "."]


def binary_parse(sentence: str) -> str:
    """Bracket a sentence from the right: ( A ( b ( c . ) ) )."""
    *words, last = words_of(sentence)
    return " ".join(f"( {word}" for word in words) + f" {last}" + " )" * len(words)


def flat_parse(sentence: str) -> str:
    """Return a tree of depth one in the brackets of the Penn Treebank."""
    return f"(ROOT (X {' '.join(words_of(sentence))}))"


def write(path: Path, text: str) -> None:
    """Write a text file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
