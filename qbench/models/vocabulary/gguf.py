"""The vocabulary of a GGUF file as a tokenizer.

GGUF stores tokens, kinds, scores or merges, and the name of a rule for cutting text, whose pattern
is llama.cpp's. Both kinds of vocabulary become the same ``tokenizer.json`` document as from a model
folder. A rule without a pattern here is refused: another one would give wrong ids.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qbench.errors import CheckpointError
from qbench.models.strict_json import Fields
from qbench.models.vocabulary.document import (
    GPT2_PATTERN,
    LLAMA3_PATTERN,
    QWEN_PATTERN,
    added_token,
    bpe_model,
    byte_level_document,
    spell_letters,
)
from qbench.models.vocabulary.files import TokenizerFiles, convert
from qbench.models.vocabulary.gguf_metadata import read_metadata
from qbench.models.vocabulary.sentencepiece import sentencepiece_document
from qbench.models.vocabulary.sentencepiece_proto import (
    BPE,
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    Piece,
    SentencePiece,
)
from qbench.models.vocabulary.settings import Settings

_PREFIX = "tokenizer.ggml."
_NAMED = {"bos_token": "bos_token_id", "eos_token": "eos_token_id", "unk_token": "unknown_token_id",
          "pad_token": "padding_token_id"}  # fmt: skip


class Rule(NamedTuple):
    """How a byte-level vocabulary cuts a text: patterns one within the other."""

    patterns: tuple[str, ...]
    ignore_merges: bool = False
    bos: bool = False


_GPT2 = Rule((GPT2_PATTERN,))
_QWEN = Rule((QWEN_PATTERN,))
_LLAMA3 = Rule((LLAMA3_PATTERN,), ignore_merges=True, bos=True)
_DIGITS = Rule((r"\p{N}", GPT2_PATTERN))
_HAN_HANGUL = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
_DEEPSEEK_CODER = Rule((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _HAN_HANGUL, r"\p{N}"))

RULES: dict[str, Rule] = {
    **dict.fromkeys(("gpt-2", "mpt", "olmo", "phi-2"), _GPT2),
    **dict.fromkeys(("starcoder", "refact", "command-r", "smollm"), _DIGITS),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "stablelm2"), _QWEN),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3"), _LLAMA3),
    "deepseek-coder": _DEEPSEEK_CODER,
}
"""Rules by the name in ``tokenizer.ggml.pre``; equal patterns share an entry."""

# Files from before the rule had a name, by their architecture.
_UNNAMED = {"gpt2": "gpt-2", "gptneox": "gpt-2"}


def read_gguf_tokenizer(path: Path, vocab_size: int) -> TokenizerFiles:
    """Read the tokenizer of a GGUF file.

    Parameters
    ----------
    path
        The file.
    vocab_size
        Rows of the model's embedding; every id must be below it.

    Raises
    ------
    CheckpointError
        If the file is broken, has no vocabulary, or one that is not supported.
    """
    return gguf_tokenizer(read_metadata(path), path, vocab_size)


def gguf_tokenizer(metadata: Mapping[str, Any], path: Path, vocab_size: int) -> TokenizerFiles:
    """Turn the metadata of a GGUF file into a tokenizer; see `read_gguf_tokenizer`."""
    values = {k: v for k, v in metadata.items() if k.startswith("tokenizer.")}
    ggml = {k.removeprefix(_PREFIX): v for k, v in values.items()}
    fields = Fields(ggml, f"{path}: {_PREFIX}*")
    tokens = _texts(fields, "tokens")
    kinds = _integers(fields, "token_type", len(tokens), BYTE)
    model = fields.string("model")
    if model == "llama":
        document = _sentencepiece(fields, tokens, kinds)
        bos = True
    elif model == "gpt2":
        rule = _rule(fields, metadata)
        document = _byte_level(fields, tokens, kinds, rule)
        bos = rule.bos
    else:
        fields.fail("model", "'llama' (SentencePiece) or 'gpt2' (byte-level)")
    special: dict[str, str | None] = {}
    for name, key in _NAMED.items():
        index = fields.optional_integer(key, 0, len(tokens) - 1)
        if index is not None:
            special[name] = tokens[index]
    template = values.get("tokenizer.chat_template")
    if template is not None and not isinstance(template, str):
        raise CheckpointError(f"{path}: tokenizer.chat_template: expected a text")
    settings = Settings(
        where=str(path),
        special=special,
        add_bos=fields.boolean("add_bos_token", bos),
        add_eos=fields.boolean("add_eos_token", False),
        template=template,
    )
    raw = json.dumps(values, sort_keys=True).encode()
    return convert(document, {"tokenizer.ggml": raw}, settings, {}, bos, path, vocab_size)


def _texts(fields: Fields, key: str) -> list[str]:
    """Return a list of texts."""
    found = fields.values.get(key)
    if not isinstance(found, list) or not found or not all(isinstance(v, str) for v in found):
        raise CheckpointError(f"{fields.where}: {key}: expected a list of texts")
    return found


def _integers(fields: Fields, key: str, count: int, high: int) -> list[int]:
    """Return one small integer per token; absence means ordinary tokens."""
    found = fields.values.get(key, [NORMAL] * count)
    good = isinstance(found, list) and len(found) == count
    if not good or not all(type(v) is int and 0 <= v <= high for v in found):
        raise CheckpointError(f"{fields.where}: {key}: expected {count} integers in 0..{high}")
    return list(found)


def _check_unique(fields: Fields, tokens: list[str]) -> None:
    """Require that no text has two ids."""
    if len(set(tokens)) == len(tokens):
        return
    seen: set[str] = set()
    for text in tokens:
        if text in seen:
            raise CheckpointError(f"{fields.where}: tokens: {text!r:.60} stands twice")
        seen.add(text)


def _sentencepiece(fields: Fields, tokens: list[str], kinds: list[int]) -> dict[str, Any]:
    """Build the document of a vocabulary with scores."""
    _check_unique(fields, tokens)
    scores = fields.values.get("scores")
    good = isinstance(scores, list) and len(scores) == len(tokens)
    if not good or not all(type(v) is float and abs(v) < 1e30 for v in scores or ()):
        raise CheckpointError(f"{fields.where}: scores: expected {len(tokens)} finite numbers")
    charsmap = fields.values.get("precompiled_charsmap", [])
    if charsmap:
        fields.fail("precompiled_charsmap", "nothing (replaced characters are not supported)")
    pieces = tuple(
        Piece(*entry)
        for entry in zip(tokens, scores or (), (k or NORMAL for k in kinds), strict=True)
    )
    has_bytes = {p.text for p in pieces if p.kind == BYTE} == {f"<0x{b:02X}>" for b in range(256)}
    model = SentencePiece(
        pieces=pieces,
        algorithm=BPE,
        byte_fallback=has_bytes,
        unk_id=fields.integer("unknown_token_id", 0, len(tokens) - 1, 0),
        dummy_prefix=fields.boolean("add_space_prefix", True),
        collapse_spaces=fields.boolean("remove_extra_whitespaces", False),
    )
    return sentencepiece_document(model, legacy=True)


def _rule(fields: Fields, metadata: Mapping[str, Any]) -> Rule:
    """Find how the vocabulary cuts a text."""
    name = fields.values.get("pre")
    if name is None:
        name = _UNNAMED.get(str(metadata.get("general.architecture")))
    if not isinstance(name, str) or name not in RULES:
        known = ", ".join(sorted(RULES))
        fields.fail("pre", f"the name of a known rule for cutting text ({known})")
    return RULES[name]


def _byte_level(fields: Fields, tokens: list[str], kinds: list[int], rule: Rule) -> dict[str, Any]:
    """Build the document of a vocabulary with merges."""
    _check_unique(fields, tokens)
    merges: list[tuple[str, str]] = []
    for text in _texts(fields, "merges"):
        # A token may begin with a space where an added token does; a merge's parts never are empty.
        left, _, right = text.partition(" ")
        if not left or not right or " " in right:
            raise CheckpointError(
                f"{fields.where}: merges: expected two tokens, found {text!r:.60}"
            )
        merges.append((left, right))
    vocab = {text: index for index, text in enumerate(tokens)}
    model = bpe_model(vocab, merges, ignore_merges=rule.ignore_merges)
    document = byte_level_document(model, rule.patterns)
    document["added_tokens"] = [
        added_token(index, tokens[index], kind != USER_DEFINED)
        for index, kind in enumerate(kinds)
        if kind in (UNKNOWN, CONTROL, USER_DEFINED)
    ]
    spell_letters(document)
    return document
