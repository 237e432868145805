"""News of the world: articles to be summarized, in several lines or in one, and the Gazette."""

from qbench.mini.world.news.exercises import (
    NewsItem,
    gazette,
    official_files,
    perplexity_text,
    reserved,
    test_items,
    training,
)

__all__ = [
    "NewsItem",
    "gazette",
    "official_files",
    "perplexity_text",
    "reserved",
    "test_items",
    "training",
]
