"""Reading and checking the files of a tokenizer.

Whatever a model folder holds - ``tokenizer.json``, a SentencePiece model, tiktoken ranks,
``vocab.json`` with ``merges.txt`` - becomes one ``tokenizer.json`` document and checked plain data:
ids that fit the model, special tokens that exist, patterns that cannot run for ever. Nothing is
encoded here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qbench.errors import CheckpointError
from qbench.models.files import read_bytes
from qbench.models.strict_json import Fields, kind_of, loads
from qbench.models.vocabulary.document import added_token, surround
from qbench.models.vocabulary.merges import kind_of_merges, merges_document, read_merges
from qbench.models.vocabulary.patterns import check_pattern, patterns_of
from qbench.models.vocabulary.sentencepiece import sentencepiece_document
from qbench.models.vocabulary.sentencepiece_proto import read_sentencepiece
from qbench.models.vocabulary.settings import Settings, read_settings
from qbench.models.vocabulary.tiktoken import (
    RANKS_LIMIT,
    family_of,
    is_tiktoken,
    read_ranks,
    tiktoken_document,
)

SPARE_ADDED = 64
"""Added tokens that may lie behind the embedding: the text models of Gemma 3 keep the mark of an
image there, for which they have no row. A text that spells one is refused when it is run."""

TOKENIZER_LIMIT = 256 << 20
MAX_VOCAB = 1 << 22


@dataclass(frozen=True)
class TokenizerFiles:
    """The files of a tokenizer, checked.

    ``document`` is a ``tokenizer.json``, whatever the source, and ``raw`` the same as bytes;
    ``sources`` names the files and ``where`` is the first one's path. ``template`` is the chat
    template's text; ``template_names`` the names of several from which none is the default.
    ``ids`` maps every token, added ones included, to its id. ``sha256`` names all bytes that were
    read.
    """

    raw: bytes
    document: dict[str, Any]
    ids: dict[str, int]
    unk_id: int | None
    special: dict[str, str | None]
    add_bos: bool
    template: str | None
    template_names: tuple[str, ...]
    sha256: str
    sources: tuple[str, ...]
    where: str


def read_tokenizer_files(folder: Path, vocab_size: int, model_type: str = "") -> TokenizerFiles:
    """Read the tokenizer of a model folder.

    Parameters
    ----------
    folder
        A model folder. Of several tokenizers the first of this list is read: ``tokenizer.json``;
        ``tokenizer.model`` (SentencePiece, or Llama 3's ranks); ``*.tiktoken``; ``vocab.json``
        with ``merges.txt``.
    vocab_size
        Rows of the model's embedding; every id must be below it.
    model_type
        The model's, which says how ``vocab.json`` cuts a text where nothing else does.

    Raises
    ------
    CheckpointError
        If a file is missing, too large, broken, or does not fit the model.
    """
    if (folder / "tokenizer.json").exists():
        return _read_json(folder, vocab_size)
    settings = read_settings(folder, forerunners=True)
    ranks = sorted(path for path in folder.glob("*.tiktoken"))[:2]
    if (folder / "tokenizer.model").exists():
        path = folder / "tokenizer.model"
        data = read_bytes(path, TOKENIZER_LIMIT)
        if is_tiktoken(data):
            return _from_ranks(path, data, settings, vocab_size)
        return _from_sentencepiece(path, data, settings, vocab_size)
    if len(ranks) == 1:
        return _from_ranks(ranks[0], read_bytes(ranks[0], RANKS_LIMIT), settings, vocab_size)
    if len(ranks) > 1:
        raise CheckpointError(f"{folder} has several files of ranks: keep one of *.tiktoken")
    if (folder / "vocab.json").exists() and (folder / "merges.txt").exists():
        return _from_merges(folder, settings, vocab_size, model_type)
    raise CheckpointError(
        f"no tokenizer in {folder}: expected tokenizer.json, tokenizer.model, *.tiktoken, or "
        "vocab.json with merges.txt"
    )


def is_without_tokenizer(folder: Path) -> bool:
    """Whether a model folder has no file of a tokenizer at all, not even its settings.

    So a model lies there that was saved alone. Settings without a vocabulary are an error, because
    then something is missing.
    """
    names = ("tokenizer*", "*.tiktoken", "vocab.json", "merges.txt", "special_tokens_map.json")
    return not any(path for name in names for path in folder.glob(name))


def _read_json(folder: Path, vocab_size: int) -> TokenizerFiles:
    """Read a ``tokenizer.json``."""
    path = folder / "tokenizer.json"
    raw = read_bytes(path, TOKENIZER_LIMIT)
    document = loads(raw, str(path))
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: expected an object, found {kind_of(document)}")
    settings = read_settings(folder, forerunners=False)
    return _checked(document, raw, {path.name: raw}, settings, path, vocab_size)


def _from_sentencepiece(
    path: Path, data: bytes, settings: Settings, vocab_size: int
) -> TokenizerFiles:
    """Convert a SentencePiece model; a text begins with its BOS unless a setting says no."""
    model = read_sentencepiece(data, str(path))
    legacy = settings.legacy
    if legacy is None:  # as transformers 5 takes it: its LlamaTokenizer alone has another default
        legacy = settings.class_name != "LlamaTokenizer"
    document = sentencepiece_document(model, legacy=legacy)
    defaults = {"bos_token": model.bos, "eos_token": model.eos}
    defaults["unk_token"] = model.pieces[model.unk_id].text
    return convert(document, {path.name: data}, settings, defaults, True, path, vocab_size)


def _from_ranks(path: Path, data: bytes, settings: Settings, vocab_size: int) -> TokenizerFiles:
    """Convert a file of ranks by the rules of its family."""
    if len(data) > RANKS_LIMIT:
        raise CheckpointError(
            f"{path}: {len(data)} bytes, more than the {RANKS_LIMIT} that are read"
        )
    ranks = read_ranks(data, str(path))
    family = family_of(ranks, str(path))
    document = tiktoken_document(ranks, family, str(path))
    if settings.added:  # names of its own, as Llama 3.1 gave some of the reserved tokens
        document["added_tokens"] = []
    defaults: dict[str, str | None] = {"bos_token": family.bos, "eos_token": family.eos}
    bos = family.bos is not None
    return convert(document, {path.name: data}, settings, defaults, bos, path, vocab_size)


def _from_merges(
    folder: Path, settings: Settings, vocab_size: int, model_type: str
) -> TokenizerFiles:
    """Convert ``vocab.json`` and ``merges.txt``."""
    path, merges_path = folder / "vocab.json", folder / "merges.txt"
    files = {p.name: read_bytes(p, TOKENIZER_LIMIT) for p in (path, merges_path)}
    vocab = loads(files[path.name], str(path))
    if not isinstance(vocab, dict):
        raise CheckpointError(f"{path}: expected an object, found {kind_of(vocab)}")
    merges = read_merges(files[merges_path.name], vocab, str(merges_path))
    kind = kind_of_merges(settings.class_name, model_type, str(path))
    document = merges_document(vocab, merges, kind, settings.prefix_space)
    end = "<|endoftext|>" if "<|endoftext|>" in vocab else None
    defaults = {"eos_token": end, "bos_token": end if kind == "gpt2" else None}
    return convert(document, files, settings, defaults, False, path, vocab_size)


def convert(
    document: dict[str, Any],
    files: dict[str, bytes],
    settings: Settings,
    defaults: Mapping[str, str | None],
    bos: bool,
    path: Path,
    vocab_size: int,
) -> TokenizerFiles:
    """Complete a document with what the settings know, and check it.

    Parameters
    ----------
    document
        A ``tokenizer.json`` made from other files; it is changed.
    files
        The bytes of these files by name.
    settings
        Added tokens, named tokens, BOS and EOS.
    defaults
        Named tokens of the vocabulary itself, where the settings leave them open.
    bos
        Whether a text begins with BOS, where the settings leave it open.
    path
        The first file, for errors.
    vocab_size
        Rows of the model's embedding.
    """
    special = dict(defaults) | settings.special
    _merge_added(document, settings, special, str(path))
    ids, _ = _vocabulary(document, str(path), vocab_size)

    def around(name: str, wanted: bool) -> tuple[str, int] | None:
        text = special.get(name)
        return (text, ids[text]) if wanted and text is not None and text in ids else None

    document["post_processor"] = surround(
        around("bos_token", bos if settings.add_bos is None else settings.add_bos),
        around("eos_token", bool(settings.add_eos)),
    )
    raw = json.dumps(document, ensure_ascii=False).encode()
    named = {**settings.special, **{k: v for k, v in special.items() if v is not None}}
    return _checked(document, raw, files, settings, path, vocab_size, named)


def _merge_added(
    document: dict[str, Any], settings: Settings, special: Mapping[str, str | None], where: str
) -> None:
    """Bring the added tokens together: the configuration's win over the vocabulary's own."""
    _vocabulary(document, where, MAX_VOCAB)  # before its ids are used
    found = {token["id"]: token for token in document["added_tokens"]}
    found.update({token["id"]: token for token in settings.added})
    _rename(document["model"], {token["id"]: token["content"] for token in settings.added})
    texts = {token["content"] for token in found.values()}
    ids, _ = _vocabulary(document, where, MAX_VOCAB)
    for text in sorted({text for text in special.values() if text in ids} - texts):
        found.setdefault(ids[text], added_token(ids[text], text, True))
    document["added_tokens"] = [found[index] for index in sorted(found)]


def _rename(model: dict[str, Any], names: Mapping[int, str]) -> None:
    """Give entries that no merge needs, such as reserved ones, the configuration's names."""
    vocab = model["vocab"]
    if isinstance(vocab, list):
        known = {pair[0] for pair in vocab}
        for index, text in names.items():
            if index < len(vocab) and text not in known:
                vocab[index][0] = text
        return
    wanted = {index: text for index, text in names.items() if text not in vocab}
    old = {text: wanted[index] for text, index in vocab.items() if index in wanted}
    if old and not any(text in old for merge in model["merges"] for text in merge):
        for text, name in old.items():
            vocab[name] = vocab.pop(text)


def _checked(
    document: dict[str, Any],
    raw: bytes,
    files: Mapping[str, bytes],
    settings: Settings,
    path: Path,
    vocab_size: int,
    special: dict[str, str | None] | None = None,
) -> TokenizerFiles:
    """Check a document against the model and the settings."""
    ids, unk_id = _vocabulary(document, str(path), vocab_size)
    for pattern in patterns_of(document):
        check_pattern(pattern, str(path))
    special = settings.special if special is None else special
    for name in ("bos_token", "eos_token"):
        text = special.get(name)
        if text is not None and text not in ids:
            raise CheckpointError(
                f"{settings.where}: {name}: {text!r:.60} is no token of {path.name}"
            )
    return TokenizerFiles(
        raw=raw,
        document=document,
        ids=ids,
        unk_id=unk_id,
        special=special,
        add_bos=bool(settings.add_bos),
        template=settings.template,
        template_names=settings.template_names,
        sha256=_hash({**files, **settings.files}, settings.template),
        sources=(*files, *settings.files),
        where=str(path),
    )


def _hash(files: Mapping[str, bytes], template: str | None) -> str:
    """Hash of the files' bytes, each under its name, in the order in which they are given."""
    parts = (name.encode() + b"\0" + data for name, data in files.items())
    return with_template_hash(hashlib.sha256(b"\0".join(parts)).hexdigest(), template)


def with_template_hash(files_hash: str, template: str | None) -> str:
    """Combine the hash of the files with the template in force."""
    if template is None:
        return files_hash
    data = template.encode("utf-8", "surrogatepass")
    return hashlib.sha256(files_hash.encode() + b"\0template\0" + data).hexdigest()


def _vocabulary(
    document: dict[str, Any], where: str, vocab_size: int
) -> tuple[dict[str, int], int | None]:
    """Collect all tokens, and the id of the unknown token if the model has one."""
    model = Fields(document, where).object("model")
    if model is None:
        raise CheckpointError(f"{where}: model: expected an object, found nothing")
    vocab = model.get("vocab")
    if isinstance(vocab, list):  # Unigram: [piece, score] pairs, the id is the position
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in vocab):
            raise CheckpointError(f"{where}: model.vocab: expected pairs of piece and score")
        ids = {str(pair[0]): index for index, pair in enumerate(vocab)}
    elif isinstance(vocab, dict):
        ids = dict(vocab)
    else:
        raise CheckpointError(f"{where}: model.vocab: expected an object, found {kind_of(vocab)}")
    added = _added_tokens(document, where)
    _check_ids(
        {token: index for token, index in ids.items() if token not in added}, where, vocab_size
    )
    _check_ids(added, where, vocab_size + SPARE_ADDED)
    if len(set(ids.values())) != len(ids):
        raise CheckpointError(f"{where}: model.vocab: two tokens share one id")
    ids.update(added)
    unk_id = model.get("unk_id")
    if unk_id is None and isinstance(model.get("unk_token"), str):
        unk_id = ids.get(model["unk_token"])
    if unk_id is not None and (type(unk_id) is not int or unk_id not in set(ids.values())):
        raise CheckpointError(f"{where}: model.unk_id: {unk_id!r:.40} is no id of the vocabulary")
    return ids, unk_id


def _added_tokens(document: dict[str, Any], where: str) -> dict[str, int]:
    """Tokens added beside the model's own vocabulary."""
    added = document.get("added_tokens") or []
    if not isinstance(added, list):
        raise CheckpointError(f"{where}: added_tokens: expected an array")
    out: dict[str, Any] = {}
    for entry in added:
        if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
            raise CheckpointError(f"{where}: added_tokens: expected objects with content and id")
        if not entry["content"]:
            raise CheckpointError(f"{where}: added_tokens: a token has no text")
        out[entry["content"]] = entry.get("id")
    return out


def _check_ids(ids: dict[str, int], where: str, vocab_size: int) -> None:
    """Require ids that index the model's embedding."""
    for token, index in ids.items():
        if type(index) is not int or index < 0:
            raise CheckpointError(f"{where}: the token {token!r:.60} has the id {index!r:.40}")
        if index >= vocab_size:
            raise CheckpointError(
                f"{where}: the token {token!r:.60} has the id {index}, the model's vocabulary has "
                f"{vocab_size}: this tokenizer does not fit the model"
            )
