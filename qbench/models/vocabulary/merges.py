"""Byte-level vocabularies in two files: ``vocab.json`` with ids, ``merges.txt`` with merges.

How a text is cut before merging stands in neither; the tokenizer's class or the model type says it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qbench.errors import CheckpointError
from qbench.models.vocabulary.document import (
    GPT2_PATTERN,
    NFC,
    QWEN_PATTERN,
    bpe_model,
    byte_level_document,
)

CLASSES = {"GPT2Tokenizer": "gpt2", "CodeGenTokenizer": "gpt2", "Qwen2Tokenizer": "qwen2"}
MODEL_TYPES = {
    **dict.fromkeys(("gpt2", "gpt_neo", "gptj", "codegen", "opt", "phi", "gpt_bigcode"), "gpt2"),
    **dict.fromkeys(("starcoder2", "smollm3"), "gpt2"),
    **dict.fromkeys(("qwen2", "qwen2_moe", "qwen3", "qwen3_moe"), "qwen2"),
}
"""How a text is cut, by the tokenizer's class in transformers, else by the model type."""


def kind_of_merges(class_name: str, model_type: str, where: str) -> str:
    """Tell ``gpt2`` from ``qwen2``.

    Raises
    ------
    CheckpointError
        If neither the class nor the model type is known.
    """
    kind = CLASSES.get(class_name) or MODEL_TYPES.get(model_type)
    if kind is None:
        raise CheckpointError(
            f"{where}: neither the tokenizer class {class_name!r:.60} nor the model type "
            f"{model_type!r:.60} says how a text is cut; give the model's tokenizer.json, which "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...) writes"
        )
    return kind


def read_merges(data: bytes, vocab: Mapping[str, Any], where: str) -> list[tuple[str, str]]:
    """Read ``merges.txt``: a line per merge, in order, after an optional ``#version`` line.

    Parameters
    ----------
    data
        The file.
    vocab
        The tokens that both parts and their join must be among.
    where
        The file, for errors.

    Raises
    ------
    CheckpointError
        For a line that is not two known tokens, or bytes that are no UTF-8.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise CheckpointError(f"{where}: no UTF-8 at byte {exc.start}") from None
    merges = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line or line.startswith("#version"):
            continue
        left, _, right = line.partition(" ")
        if not left or not right or " " in right:
            raise CheckpointError(
                f"{where}: line {number}: expected two tokens, found {line!r:.60}"
            )
        if left not in vocab or right not in vocab or left + right not in vocab:
            raise CheckpointError(
                f"{where}: line {number}: {line!r:.60} merges what is not in vocab.json"
            )
        merges.append((left, right))
    return merges


def merges_document(
    vocab: Mapping[str, int], merges: Sequence[tuple[str, str]], kind: str, prefix_space: bool
) -> dict[str, Any]:
    """Describe the tokenizer as a ``tokenizer.json`` document.

    Parameters
    ----------
    vocab, merges
        The two files.
    kind
        From `kind_of_merges`.
    prefix_space
        Whether GPT-2 puts a space in front of a text (``add_prefix_space``).
    """
    qwen = kind == "qwen2"
    return byte_level_document(
        bpe_model(vocab, merges),
        [QWEN_PATTERN if qwen else GPT2_PATTERN],
        normalizer=NFC if qwen else None,
        prefix_space=prefix_space and not qwen,
    )
