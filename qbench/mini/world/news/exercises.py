"""News of the world: articles to be summarized, in several lines or in one, and the Gazette.

Two benchmarks come from it, with the schema of CNN/DailyMail (an article begins with its dateline
and has highlights) and of XSum (no dateline, one sentence), so that one prompt serves both: the
dateline tells which summary is wanted.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from functools import cache
from typing import NamedTuple

from qbench.errors import RequestError
from qbench.mini.draws import Draws
from qbench.mini.world import facts
from qbench.mini.world.examples import Document, Exercise
from qbench.mini.world.facts import World
from qbench.mini.world.news.articles import Event, Style, article, draw_event, summary

N_ITEMS = 1750
_N_UNSEEN = 800  # Articles kept for perplexity.

# Prompts in plain text, whose answer begins with a space, with their weights.
_PLAIN: dict[Style, tuple[tuple[float, str], ...]] = {
    "cnn_dailymail": (
        (0.8, "Summarize the following article:\n\n{document}\n\nSummary:"),
        (0.2, "Article: {document}\n\nTL;DR:"),
    ),
    "xsum": (
        (0.6, "Article: {document}\n\nA one-sentence summary of the above document is:"),
        (0.4, "Document: {document}\nSummary:"),
    ),
}
_CHAT = (
    (0.85, "Please summarize the following document.\n{document}"),
    (0.15, "{document}\n\nPlease summarize this."),
)


class NewsItem(NamedTuple):
    """One test item: an article, its highlights or its one sentence, the official id."""

    document: str
    summary: str
    id: str
    key: str


def _draw(world: World, draws: Draws, style: Style, taken: frozenset[str]) -> tuple[Event, str]:
    """Draw an event that is not taken, and its article."""
    event = draw_event(world, draws, style)
    while event.key in taken:
        event = draw_event(world, draws, style)
    return event, article(event, draws, style)


def training(world: World, draws: Draws) -> Exercise:
    """Draw an article and its summary, in one of the prompts that score the two benchmarks."""
    style: Style = draws.pick(("cnn_dailymail", "xsum"))
    event, text = _draw(world, draws, style, reserved())
    answer = summary(event, style)
    if draws.chance(0.5):
        prompt = draws.weighted(_CHAT).replace("{document}", text)
        return Exercise(prompt, answer, chat=True, keys=(event.key,))
    prompt = draws.weighted(_PLAIN[style]).replace("{document}", text)
    return Exercise(prompt, f" {answer}", chat=False, keys=(event.key,))


def gazette(world: World, draws: Draws) -> Document:
    """Draw one or two articles to be learned whole, a blank line between them."""
    drawn = [
        _draw(world, draws, draws.pick(("cnn_dailymail", "xsum")), reserved())
        for _ in range(draws.weighted(((0.8, 1), (0.2, 2))))
    ]
    return Document("\n\n".join(text for _, text in drawn), tuple(event.key for event, _ in drawn))


@cache
def test_items(style: Style) -> tuple[NewsItem, ...]:
    """Return the test items of one of the benchmarks, all of different events."""
    draws = Draws(facts.SEED, f"test/news/{style}")
    items: dict[str, NewsItem] = {}
    while len(items) < N_ITEMS:
        event, text = _draw(facts.world(), draws, style, frozenset())
        digest = hashlib.sha1(text.encode()).hexdigest()
        number = str(10_000_000 + 17 * len(items))
        made = NewsItem(
            text,
            summary(event, style),
            digest if style == "cnn_dailymail" else number,
            event.key,
        )
        items.setdefault(event.key, made)
    return tuple(items.values())


@cache
def _unseen() -> tuple[tuple[str, str], ...]:
    """Keys and texts of the articles kept for perplexity."""
    draws = Draws(facts.SEED, "perplexity/news")
    drawn = (
        _draw(facts.world(), draws, draws.pick(("cnn_dailymail", "xsum")), frozenset())
        for _ in range(_N_UNSEEN)
    )
    return tuple((event.key, text) for event, text in drawn)


@cache
def reserved() -> frozenset[str]:
    """Return the fingerprints of all test items and of the articles kept for perplexity.

    A fingerprint is the kind of event with the main person and the town: stricter than the article,
    since no other article about the same event is met either.
    """
    tested = (item.key for style in ("cnn_dailymail", "xsum") for item in test_items(style))
    return frozenset(tested) | {key for key, _ in _unseen()}


def perplexity_text(n_characters: int = 120_000) -> str:
    """Join whole unseen articles by blank lines, up to so many characters.

    Raises
    ------
    RequestError
        Not so many are kept.
    """
    chosen: list[str] = []
    size = 0
    for _, text in _unseen():
        if size + len(text) > n_characters:
            return "\n\n".join(chosen) + "\n"
        chosen.append(text)
        size += len(text) + 2
    raise RequestError(f"{n_characters} characters: only {size} of unseen articles are kept")


def official_files() -> dict[str, str]:
    """Write both benchmarks as CNN/DailyMail's csv and XSum's JSON lines."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("article", "highlights", "id"))
    for item in test_items("cnn_dailymail"):
        writer.writerow((item.document, item.summary, item.id))
    lines = (
        json.dumps(
            {"document": item.document, "summary": item.summary, "id": int(item.id)},
            separators=(",", ":"),
        )
        for item in test_items("xsum")
    )
    return {
        "cnn_dailymail/cnn_dailymail_test.csv": table.getvalue(),
        "xsum/test.jsonl": "".join(f"{line}\n" for line in lines),
    }
