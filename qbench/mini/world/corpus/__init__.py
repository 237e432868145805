"""The pre-training corpus: documents that state all facts of the world."""

from qbench.mini.world.corpus.documents import (
    ENGLISH_SHARE,
    PERPLEXITY,
    PERPLEXITY_BYTES,
    SHARES,
    Register,
    document,
    fingerprint,
    page,
    perplexity_documents,
    perplexity_text,
    reserved,
    training,
)

__all__ = [
    "ENGLISH_SHARE",
    "PERPLEXITY",
    "PERPLEXITY_BYTES",
    "SHARES",
    "Register",
    "document",
    "fingerprint",
    "page",
    "perplexity_documents",
    "perplexity_text",
    "reserved",
    "training",
]
