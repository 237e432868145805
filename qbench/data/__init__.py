"""Readers of benchmark files in their official formats."""

from qbench.data.folder import DataFolder
from qbench.data.mmlu import MmluData, MmluQuestion, read_mmlu
from qbench.data.snli import SnliData, SnliPair, read_snli
from qbench.data.text import Corpus, read_corpus, read_wikitext2

__all__ = [
    "Corpus",
    "DataFolder",
    "MmluData",
    "MmluQuestion",
    "SnliData",
    "SnliPair",
    "read_corpus",
    "read_mmlu",
    "read_snli",
    "read_wikitext2",
]
