"""The parts of a ``tokenizer.json`` document, for tokenizers that come in another form.

SentencePiece, tiktoken, ``vocab.json`` with ``merges.txt`` and GGUF all become one such document,
so that the rest of qbench knows a single backend. Plain data in, plain data out; nothing is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qbench.errors import CheckpointError

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS_AND_SPACE = r"[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN_PATTERN = _CONTRACTIONS + "|" + _WORDS_AND_SPACE % r"\p{N}"
LLAMA3_PATTERN = _CONTRACTIONS + "|" + _WORDS_AND_SPACE % r"\p{N}{1,3}"
"""How GPT-2, Qwen and Llama 3 cut a text before merging, as their makers publish it."""

NFC = {"type": "NFC"}
MAX_TOKEN_BYTES = 512
"""Longest token whose merges are looked for; the longest in use, a run of spaces, has 128."""

_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}


def _byte_letters() -> tuple[str, ...]:
    """GPT-2's printable stand-in for each byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    rest = iter(range(256, 512))
    return tuple(chr(byte if byte in printable else next(rest)) for byte in range(256))


BYTE_LETTERS = _byte_letters()
"""The character that stands for each byte in a byte-level vocabulary."""


def byte_level_text(token: bytes) -> str:
    """Write a token's bytes as a byte-level vocabulary does."""
    return "".join(map(BYTE_LETTERS.__getitem__, token))


def added_token(index: int, content: str, special: bool, **marks: bool) -> dict[str, Any]:
    """Describe one added token; ``marks`` are lstrip, rstrip, single_word and normalized."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": index, "content": content, **plain, **marks, "special": special}


def split(pattern: str) -> dict[str, Any]:
    """Cut a text at every match of a pattern; matches and what lies between are pieces."""
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }


def bpe_model(
    vocab: Mapping[str, int], merges: Sequence[tuple[str, str]], **settings: Any
) -> dict[str, Any]:
    """Describe a byte-pair model; ``settings`` are those of the ``tokenizers`` package."""
    plain = {
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
    }
    pairs = [list(pair) for pair in merges]
    return {"type": "BPE", **plain, **settings, "vocab": dict(vocab), "merges": pairs}


def byte_level_document(
    model: Mapping[str, Any],
    patterns: Iterable[str],
    *,
    normalizer: Mapping[str, Any] | None = None,
    prefix_space: bool = False,
) -> dict[str, Any]:
    """Describe a byte-level tokenizer, without added tokens.

    Parameters
    ----------
    model
        From `bpe_model`, its tokens written with `byte_level_text`.
    patterns
        Regular expressions that cut the text, each within the pieces of the one before.
    normalizer
        Applied first, `NFC` for example.
    prefix_space
        Whether a space is put in front of every text that has none.
    """
    if prefix_space:  # the backend adds it where it cuts by GPT-2's own pattern
        steps = [{**_LEVEL, "add_prefix_space": True, "use_regex": True}]
    else:
        steps = [*map(split, patterns), dict(_LEVEL)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": None,
        "decoder": dict(_LEVEL),
        "model": dict(model),
    }


def surround(first: tuple[str, int] | None, last: tuple[str, int] | None) -> dict[str, Any] | None:
    """Describe the post-processor that puts one token in front of a text and one behind it.

    Parameters
    ----------
    first, last
        Text and id of the token, or None.

    Returns
    -------
    dict or None
        None where nothing is added.
    """
    if first is None and last is None:
        return None

    def sequence(name: str, type_id: int) -> list[dict[str, Any]]:
        around = [
            [{"SpecialToken": {"id": t[0], "type_id": type_id}}] if t else [] for t in (first, last)
        ]
        return [*around[0], {"Sequence": {"id": name, "type_id": type_id}}, *around[1]]

    named = {
        text: {"id": text, "ids": [index], "tokens": [text]}
        for text, index in filter(None, (first, last))
    }
    return {
        "type": "TemplateProcessing",
        "single": sequence("A", 0),
        "pair": [*sequence("A", 0), *sequence("B", 1)],
        "special_tokens": named,
    }


def merges_of_ranks(ranks: Mapping[bytes, int], where: str) -> list[tuple[str, str]]:
    """Recover the merges of a byte-pair vocabulary whose ids are ranks.

    Parameters
    ----------
    ranks
        Tokens by their bytes.
    where
        The file, for errors.

    Returns
    -------
    list of pairs
        For every token each way to put it together from two others, in the order of its rank: the
        published algorithm joins whichever neighbours make the token of the lowest rank.

    Raises
    ------
    CheckpointError
        For a token of more than `MAX_TOKEN_BYTES` bytes, whose search would take long.
    """
    text = {token: byte_level_text(token) for token in ranks}
    merges: list[tuple[str, str]] = []
    for token in sorted(ranks, key=ranks.__getitem__):
        if len(token) > MAX_TOKEN_BYTES:
            raise CheckpointError(
                f"{where}: a token of {len(token)} bytes, more than {MAX_TOKEN_BYTES}"
            )
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in text and right in text:
                merges.append((text[left], text[right]))
    return merges


def spell_letters(document: dict[str, Any]) -> None:
    """Let a byte-level tokenizer decode added tokens that look like the stand-in of a byte.

    DeepSeek-Coder has added tokens for ``ü`` and twelve other letters, which as stand-ins are bytes
    that no UTF-8 holds. Their own bytes are put in their place before bytes become text.

    Parameters
    ----------
    document
        From `byte_level_document`, with its added tokens; its decoder is changed where needed.
    """
    letters = set(BYTE_LETTERS)
    vocab = document["model"]["vocab"]
    steps = []
    for token in document["added_tokens"]:
        text = token["content"]
        spelled = byte_level_text(text.encode())
        if spelled != text and letters.issuperset(text):
            if sum(text in other for other in vocab) > 1:
                continue  # part of an ordinary token, where it does stand for a byte
            steps.append({"type": "Replace", "pattern": {"String": text}, "content": spelled})
    if steps:
        document["decoder"] = {"type": "Sequence", "decoders": [*steps, document["decoder"]]}
