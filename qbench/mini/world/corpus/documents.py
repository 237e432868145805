"""The pre-training corpus: documents that state the facts of the world, also those that are held.

A document is drawn from one of the registers in one language. The shares below are set so that
every fact is stated about equally often over the whole corpus. Three registers are also written as
texts to measure perplexity on; a document of these is never a document of training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache

from qbench.mini.draws import Draws
from qbench.mini.world.corpus.letters import letters
from qbench.mini.world.corpus.records import calendar, genealogy, ledger
from qbench.mini.world.corpus.registers import chronicle, encyclopedia, listing
from qbench.mini.world.corpus.statements import Page
from qbench.mini.world.examples import Document
from qbench.mini.world.facts import SEED, World, world
from qbench.mini.world.lexicon import Language

Register = Callable[[World, Draws, Language], Page]
SHARES: tuple[tuple[float, Register], ...] = (
    (0.465, encyclopedia),
    (0.17, listing),
    (0.19, letters),
    (0.04, chronicle),
    (0.05, ledger),
    (0.035, genealogy),
    (0.05, calendar),
)
ENGLISH_SHARE = 0.6
PERPLEXITY: dict[str, tuple[Register, Language]] = {
    "encyclopedia": (encyclopedia, "en"),
    "letters": (letters, "en"),
    "chronicle": (chronicle, "zh"),
}
PERPLEXITY_BYTES = 120_000
# A document of a single short sentence is bound to occur in training.
MIN_BYTES = 90


def page(world: World, draws: Draws) -> Page:
    """Draw a document of the default mixture, with the facts that it states."""
    register = draws.weighted(SHARES)
    return register(world, draws, "en" if draws.chance(ENGLISH_SHARE) else "zh")


def document(world: World, draws: Draws) -> Document:
    """Draw a document of the default mixture; none of the perplexity corpora is ever drawn."""
    while True:
        text = page(world, draws).text
        key = fingerprint(text)
        if key not in reserved():
            return Document(text, (key,))


training = document


def fingerprint(text: str) -> str:
    """Return the key of a document."""
    return "document/" + hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@cache
def perplexity_documents(register: str) -> tuple[str, ...]:
    """Return the documents of a perplexity corpus, one of PERPLEXITY."""
    write, language = PERPLEXITY[register]
    draws = Draws(SEED, f"perplexity/{register}")
    found: dict[str, None] = {}
    size = 0
    while size < PERPLEXITY_BYTES:
        text = write(world(), draws, language).text
        n_bytes = len(text.encode())
        if n_bytes >= MIN_BYTES and text not in found:
            found[text] = None
            size += n_bytes + 2
    return tuple(found)


def perplexity_text(register: str) -> str:
    """Return a perplexity corpus as one text: its documents separated by blank lines."""
    return "\n\n".join(perplexity_documents(register)) + "\n"


@cache
def reserved() -> frozenset[str]:
    """Return the keys of all documents of the perplexity corpora."""
    return frozenset(
        fingerprint(text) for register in PERPLEXITY for text in perplexity_documents(register)
    )
