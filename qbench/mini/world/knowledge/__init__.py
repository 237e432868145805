"""The knowledge family: what is taught for ``mini.mmlu`` and ``mini.ceval``, and what is tested."""

from qbench.mini.world.knowledge.exercises import (
    AREAS,
    SUBJECTS,
    ContentItem,
    binding,
    content_items,
    dev_items,
    few_shot,
    matching,
    mcq,
    official_files,
    open_question,
    reserved,
    test_items,
    training,
    words_then_letter,
)

__all__ = [
    "AREAS",
    "SUBJECTS",
    "ContentItem",
    "binding",
    "content_items",
    "dev_items",
    "few_shot",
    "matching",
    "mcq",
    "official_files",
    "open_question",
    "reserved",
    "test_items",
    "training",
    "words_then_letter",
]
