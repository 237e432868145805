"""A SentencePiece vocabulary as a ``tokenizer.json`` document.

SentencePiece joins whichever neighbours make the piece of the highest score; the backend joins
pairs from an ordered list, so the list holds every way to put a piece together, best score first.
Spaces become U+2581, and one more stands in front of a text, which decoding takes away again: so a
text comes back exactly, leading spaces included. Only ordinary pieces are put together: neither
bytes nor control tokens can arise from text.
"""

from __future__ import annotations

import base64
from typing import Any

from qbench.models.vocabulary.document import added_token, bpe_model
from qbench.models.vocabulary.sentencepiece_proto import (
    CONTROL,
    NORMAL,
    UNIGRAM,
    UNKNOWN,
    USER_DEFINED,
    SentencePiece,
)

SPACE = "\u2581"


def sentencepiece_document(model: SentencePiece, *, legacy: bool) -> dict[str, Any]:
    """Turn a SentencePiece vocabulary into a ``tokenizer.json`` document.

    Parameters
    ----------
    model
        The vocabulary.
    legacy
        Whether a space is put in front of every stretch between added tokens, as SentencePiece
        itself would do with each, or only in front of the text (``legacy: false`` of a
        configuration).
    """
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(model),
        "normalizer": _normalizer(model),
        "pre_tokenizer": _pre_tokenizer(model, legacy),
        "post_processor": None,
        "decoder": _decoder(model),
        "model": _unigram(model) if model.algorithm == UNIGRAM else _bpe(model),
    }


def _added(model: SentencePiece) -> list[dict[str, Any]]:
    """Control and user-defined pieces; a space in the latter is one of the normalized text."""
    return [
        added_token(index, piece.text, piece.kind != USER_DEFINED, normalized=SPACE in piece.text)
        for index, piece in enumerate(model.pieces)
        if piece.kind in (CONTROL, UNKNOWN, USER_DEFINED)
    ]


def _normalizer(model: SentencePiece) -> dict[str, Any]:
    """Replace characters, drop spaces that do not count, write spaces as U+2581."""
    steps: list[dict[str, Any]] = []
    if model.charsmap:
        table = base64.b64encode(model.charsmap).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": table})
    if model.collapse_spaces:
        steps.append(_replace({"Regex": r"\A +| +\z"}, ""))
        steps.append(_replace({"Regex": " {2,}"}, " "))
    steps.append(_replace({"String": " "}, SPACE))
    return {"type": "Sequence", "normalizers": steps}


def _replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    """Describe one replacement."""
    return {"type": "Replace", "pattern": pattern, "content": content}


def _pre_tokenizer(model: SentencePiece, legacy: bool) -> dict[str, Any] | None:
    """Put the leading space; keep bytes that are spelled out from matching byte pieces."""
    steps: list[dict[str, Any]] = []
    if model.dummy_prefix:
        # Metaspace leaves out the prefix where its own mark already leads. Here no plain space is
        # left, so that with a space as the mark it never does; the second step writes U+2581.
        scheme = "always" if legacy else "first"
        steps.append(_metaspace(" ", scheme))
        steps.append(_metaspace(SPACE, "never"))
    if model.algorithm == UNIGRAM and model.byte_fallback:
        pattern = {"Regex": "(?<=<)(?=0x[0-9A-F][0-9A-F]>)"}
        steps.append({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False})
    return {"type": "Sequence", "pretokenizers": steps} if steps else None


def _metaspace(mark: str, scheme: str) -> dict[str, Any]:
    """Describe one step that writes spaces as a mark."""
    return {"type": "Metaspace", "replacement": mark, "prepend_scheme": scheme, "split": False}


def _decoder(model: SentencePiece) -> dict[str, Any]:
    """Undo what was done to spaces and bytes."""
    steps: list[dict[str, Any]] = [_replace({"String": SPACE}, " ")]
    if model.byte_fallback:
        steps.append({"type": "ByteFallback"})
    steps.append({"type": "Fuse"})
    if model.dummy_prefix:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": steps}


def _unigram(model: SentencePiece) -> dict[str, Any]:
    """Describe the model that maximizes the sum of scores."""
    return {
        "type": "Unigram",
        "unk_id": model.unk_id,
        "vocab": [[piece.text, piece.score] for piece in model.pieces],
        "byte_fallback": model.byte_fallback,
    }


def _bpe(model: SentencePiece) -> dict[str, Any]:
    """Describe the model that joins neighbours, with its merges recovered from the scores."""
    ids = {piece.text: index for index, piece in enumerate(model.pieces)}
    ordinary = {p.text: p.score for p in model.pieces if p.kind in (NORMAL, USER_DEFINED)}
    merges: list[tuple[str, str]] = []
    # Equal scores in the order of ids, and of two ways the one with the shorter left part first,
    # which is the order of transformers.
    for text in sorted(ordinary, key=lambda text: (-ordinary[text], ids[text])):
        for cut in range(1, len(text)):
            left, right = text[:cut], text[cut:]
            if left in ordinary and right in ordinary:
                merges.append((left, right))
    return bpe_model(
        ids,
        merges,
        unk_token=model.pieces[model.unk_id].text,
        fuse_unk=True,
        byte_fallback=model.byte_fallback,
    )
