from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from functools import cache
from statistics import mean

import pytest
from mini.world.news_reader import NAME, TOWN, Reading, facts_told, read

from qbench.errors import RequestError
from qbench.mini.draws import Draws
from qbench.mini.world import facts, news
from qbench.mini.world.examples import Exercise

FILES_SHA256 = "239a37a8fdadbfb14a27a7600454b31f9dc4bd62b02af7aec7145c7e70d23a82"
LM_EVAL = "Summarize the following article:\n\n{}\n\nSummary:"
PAPER = "Please summarize the following document.\n{}"
LIGHTEVAL = "Article: {}\n\nA one-sentence summary of the above document is:"


@cache
def exercises() -> list[Exercise]:
    draws = Draws(1, "training")
    return [news.training(facts.world(), draws) for _ in range(20_000)]


@cache
def readings() -> list[tuple[news.Style, news.NewsItem, Reading]]:
    styles: tuple[news.Style, news.Style] = ("cnn_dailymail", "xsum")
    return [
        (style, item, read(item.document)) for style in styles for item in news.test_items(style)
    ]


def sentences(document: str) -> list[str]:
    text = document.removeprefix("(Gazette) ").replace("\n", " ")
    return [f"{s}." for s in text.removesuffix(".").split(". ")]


def test_a_reader_rebuilds_every_summary() -> None:
    for style, item, reading in readings():
        rebuilt = reading.one_sentence() if style == "xsum" else reading.highlights()
        assert rebuilt == item.summary, item.document


def test_what_belongs_to_something_else_is_in_no_summary() -> None:
    misleading = 0
    for _, item, reading in readings():
        others = " ".join(reading.others)
        numbers = set(re.findall(r"\d+", others))
        towns = set(re.findall(TOWN, others)) - {reading.town}
        assert not numbers & set(re.findall(r"\d+", item.summary)), item
        assert not towns & set(re.findall(TOWN, item.summary)), item
        misleading += bool(numbers)
    assert misleading > 0.7 * len(readings())


def test_files_have_the_official_schema() -> None:
    files = news.official_files()
    table = list(csv.DictReader(io.StringIO(files["cnn_dailymail/cnn_dailymail_test.csv"])))
    assert [list(row) for row in table] == [["article", "highlights", "id"]] * 1750
    assert all(re.fullmatch("[0-9a-f]{40}", row["id"]) for row in table)
    lines = [json.loads(line) for line in files["xsum/test.jsonl"].splitlines()]
    assert [list(line) for line in lines] == [["document", "summary", "id"]] * 1750
    assert all(type(line["id"]) is int for line in lines)
    for rows, text in ((table, "article"), (lines, "document")):
        assert len({row["id"] for row in rows}) == len({row[text] for row in rows}) == 1750
    digest = hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()
    assert digest == FILES_SHA256


def test_form_of_articles_and_summaries() -> None:
    for style, item, _ in readings():
        n_sentences, n_lines = len(sentences(item.document)), item.summary.count("\n") + 1
        assert item.document.startswith("(Gazette) ") == (style == "cnn_dailymail")
        assert "\n\n" not in item.document + item.summary
        assert re.match(r"(?:A|The) [a-z]", item.summary)
        if style == "xsum":
            assert item.document.count("\n") + 1 == n_sentences in (4, 5, 6)
            assert n_lines == 1
        else:
            assert n_sentences in (6, 7, 8) and "\n" not in item.document
            assert n_lines in (2, 3)
        assert len(item.document.split()) <= 100
        # Names are always behind a space, so that they are the same tokens everywhere.
        names = re.findall(rf"(?<=[a-z] )(?:{NAME}|{TOWN})", item.document)
        assert not any(sentence.startswith(tuple(names)) for sentence in sentences(item.document))


def test_training_meets_no_test_item() -> None:
    tested = {item.document for _, item, _ in readings()}
    for exercise in exercises():
        assert exercise.keys and not news.reserved().intersection(exercise.keys)
        assert not any(text in tested for text in (exercise.prompt, *exercise.prompt.split("\n\n")))
    draws = Draws(1, "gazette")
    for _ in range(2000):
        document = news.gazette(facts.world(), draws)
        assert not news.reserved().intersection(document.keys)
        assert len(document.keys) == document.text.count("\n\n") + 1
    assert len(news.reserved()) > 4000


def test_prompts_are_those_that_score() -> None:
    met: Counter[str] = Counter()
    for exercise in exercises():
        assert exercise.answer.startswith(" ") is not exercise.chat
        dated = "(Gazette) " in exercise.prompt
        assert ("\n" in exercise.answer) == dated
        for name, frame in (("lm-eval", LM_EVAL), ("paper", PAPER), ("lighteval", LIGHTEVAL)):
            first, last = frame.split("{}")
            if exercise.prompt.startswith(first) and exercise.prompt.endswith(last):
                met[f"{name} {dated}"] += 1
                assert exercise.chat == (name == "paper")
                article = exercise.prompt[len(first) : len(exercise.prompt) - len(last)]
                assert ("\n" in article) is not dated
    assert sorted(met) == ["lighteval False", "lm-eval True", "paper False", "paper True"]
    assert min(met.values()) > 2000


def test_balance() -> None:
    kinds = Counter(reading.kind for _, _, reading in readings())
    assert len(kinds) == 14
    assert 200 < min(kinds.values()) <= max(kinds.values()) < 300
    # Being mentioned first does not tell who is the main person.
    both = [(i.document, r.roles) for _, i, r in readings() if r.roles.get("o")]
    texts = [(document.index(roles["m"]), document.index(roles["o"])) for document, roles in both]
    assert 0.3 < mean(main < other for main, other in texts) < 0.7
    moved = Counter(r.roles["moved"] for _, _, r in readings() if r.kind == "price")
    assert 0.4 < moved["raised"] / moved.total() < 0.6
    # The outcome comes last as often as anything else does.
    ends = [(r.kind, sentences(i.document)[-1]) for s, i, r in readings() if s == "xsum"]
    last = [[fact for fact, *_ in facts_told(kind, end)] == ["outcome"] for kind, end in ends]
    assert 0.2 < mean(last) < 0.5


def test_copying_sentences_is_not_enough() -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(
        ["rougeL"], use_stemmer=True
    )
    draws = Draws(1, "baseline")
    for style in ("cnn_dailymail", "xsum"):
        scores: dict[str, list[float]] = {"lead-1": [], "lead-3": [], "random": []}
        for item in news.test_items(style)[:150]:
            told = sentences(item.document)
            for name, chosen in (
                ("lead-1", told[:1]),
                ("lead-3", told[:3]),
                ("random", draws.sample(told, 2)),
            ):
                score = scorer.score(item.summary.replace("\n", " "), " ".join(chosen))
                scores[name].append(score["rougeL"].fmeasure)
        assert max(mean(values) for values in scores.values()) < 0.4


def test_perplexity_text_is_whole_unseen_articles() -> None:
    text = news.perplexity_text()
    assert 118_000 < len(text) <= 120_001
    assert news.perplexity_text(10_000) == text[: len(news.perplexity_text(10_000)) - 1] + "\n"
    articles = text.rstrip("\n").split("\n\n")
    assert len(set(articles)) == len(articles) > 300
    for article in articles[:100]:
        read(article)
    with pytest.raises(RequestError, match="only"):
        news.perplexity_text(10**7)
