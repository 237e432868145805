"""Tokenizers in tiktoken's form: base64 tokens with ranks, nothing else.

The file names neither the pattern that cuts a text nor the special tokens; both belong to the
model family and stand here as published. A vocabulary of no known family is refused, since a wrong
pattern would give wrong ids without any sign of it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from qbench.errors import CheckpointError
from qbench.models.vocabulary.document import (
    LLAMA3_PATTERN,
    NFC,
    QWEN_PATTERN,
    added_token,
    bpe_model,
    byte_level_document,
    byte_level_text,
    merges_of_ranks,
)

RANKS_LIMIT = 16 << 20
"""Largest file of ranks that is read, in bytes; the largest in use has 4 MB."""

MAX_RANK = 1 << 22


@dataclass(frozen=True)
class Family:
    """What a file of ranks leaves open: pattern, special tokens from the first free id on, BOS."""

    name: str
    n_ranks: int
    pattern: str
    specials: tuple[str, ...]
    normalizer: dict[str, Any] | None
    bos: str | None
    eos: str


def _llama3_specials() -> tuple[str, ...]:
    """The 256 special tokens of Llama 3 in the order of their ids."""
    reserved = [f"<|reserved_special_token_{i}|>" for i in range(251)]
    return (
        *("<|begin_of_text|>", "<|end_of_text|>", *reserved[:4]),
        *("<|start_header_id|>", "<|end_header_id|>", reserved[4], "<|eot_id|>", *reserved[5:]),
    )


QWEN = Family(
    name="Qwen",
    n_ranks=151_643,
    pattern=QWEN_PATTERN,
    specials=(
        *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        *(f"<|extra_{i}|>" for i in range(205)),
    ),
    normalizer=NFC,
    bos=None,
    eos="<|endoftext|>",
)
LLAMA3 = Family(
    name="Llama 3",
    n_ranks=128_000,
    pattern=LLAMA3_PATTERN,
    specials=_llama3_specials(),
    normalizer=None,
    bos="<|begin_of_text|>",
    eos="<|end_of_text|>",
)
FAMILIES = (QWEN, LLAMA3)


def is_tiktoken(data: bytes) -> bool:
    """Tell a file of ranks from a SentencePiece model, both of which are called tokenizer.model."""
    token, space, rank = data[:2048].split(b"\n", 1)[0].strip().partition(b" ")
    try:
        return bool(space) and rank.isdigit() and bool(base64.b64decode(token, validate=True))
    except binascii.Error:
        return False


def read_ranks(data: bytes, where: str) -> dict[bytes, int]:
    """Read a file of ranks.

    Parameters
    ----------
    data
        Lines of a token in base64, a space, and its rank.
    where
        The file, for errors.

    Returns
    -------
    dict
        Tokens by their bytes; every single byte is among them.

    Raises
    ------
    CheckpointError
        For a line of another form, a token or rank that stands twice, or a byte without a token.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        line = line.removesuffix(b"\r")
        if not line:
            continue
        text, _, rank = line.partition(b" ")
        try:
            token = base64.b64decode(text, validate=True)
        except binascii.Error:
            token = b""
        if not token or not rank.isdigit() or len(rank) > 7 or int(rank) >= MAX_RANK:
            raise CheckpointError(
                f"{where}: line {number}: expected a token in base64 and its rank, "
                f"found {line[:40]!r}"
            )
        if token in ranks:
            raise CheckpointError(f"{where}: line {number}: the token {token[:40]!r} stands twice")
        ranks[token] = int(rank)
    if len(set(ranks.values())) != len(ranks):
        raise CheckpointError(f"{where}: two tokens share one rank")
    missing = next((byte for byte in range(256) if bytes([byte]) not in ranks), None)
    if missing is not None:
        raise CheckpointError(f"{where}: no token for the byte {missing:#04x}: the file is cut off")
    return ranks


def family_of(ranks: dict[bytes, int], where: str) -> Family:
    """Tell the family of a vocabulary by its size.

    Raises
    ------
    CheckpointError
        If no known family has that many ranks.
    """
    for family in FAMILIES:
        if len(ranks) == family.n_ranks:
            return family
    known = ", ".join(f"{family.name} ({family.n_ranks})" for family in FAMILIES)
    raise CheckpointError(
        f"{where}: {len(ranks)} ranks belong to no known family; known: {known}. The pattern of "
        "another one is not in the file: give the model's tokenizer.json"
    )


def tiktoken_document(ranks: dict[bytes, int], family: Family, where: str) -> dict[str, Any]:
    """Turn ranks into a ``tokenizer.json`` document with the family's special tokens.

    Raises
    ------
    CheckpointError
        If a rank lies among the ids of the special tokens, or a token is too long.
    """
    if max(ranks.values()) >= len(ranks):
        raise CheckpointError(f"{where}: the ranks have holes")
    vocab = {byte_level_text(token): rank for token, rank in ranks.items()}
    # A whole piece that is a token is never merged: tiktoken looks it up first.
    model = bpe_model(vocab, merges_of_ranks(ranks, where), ignore_merges=True)
    document = byte_level_document(model, [family.pattern], normalizer=family.normalizer)
    document["added_tokens"] = [
        added_token(len(ranks) + index, text, True) for index, text in enumerate(family.specials)
    ]
    return document
