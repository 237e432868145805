"""The knowledge family: what is taught for ``mini.mmlu`` and ``mini.ceval``, and what is tested."""

from qbench.mini.world.knowledge.exercises import (
    content_items,
    few_shot,
    mcq,
    official_files,
    open_question,
    training,
    words_then_letter,
)
from qbench.mini.world.knowledge.items import AREAS, SUBJECTS, dev_items, reserved, test_items
from qbench.mini.world.knowledge.letters import binding, matching

__all__ = [
    "AREAS",
    "SUBJECTS",
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
