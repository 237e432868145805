"""Reading and checking the files of a tokenizer.

Here ``tokenizer.json``, ``tokenizer_config.json`` and the chat template become checked plain data:
ids that fit the model, special tokens that exist, patterns that cannot run for ever. Nothing is
encoded here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qbench.errors import CheckpointError
from qbench.models.chat_template import TEMPLATE_LIMIT, decode_template
from qbench.models.files import read_bytes
from qbench.models.strict_json import Fields, kind_of, loads, read_object

TOKENIZER_LIMIT = 256 << 20
MAX_PATTERN = 8192
SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")

_PATTERN_PARTS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]|[*+]|\{\d*,?\d*\}|.", re.DOTALL)


@dataclass(frozen=True)
class TokenizerFiles:
    """The files of a tokenizer, checked.

    ``template`` is the chat template's text; ``template_names`` the names of several from which
    none is the default. ``ids`` maps every token, added ones included, to its id.
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


def read_tokenizer_files(folder: Path, vocab_size: int) -> TokenizerFiles:
    """Read the tokenizer of a model folder.

    Parameters
    ----------
    folder
        A model folder with ``tokenizer.json``.
    vocab_size
        Rows of the model's embedding; every id must be below it.

    Raises
    ------
    CheckpointError
        If a file is missing, too large, no strict JSON, or does not fit the model.
    """
    path = folder / "tokenizer.json"
    if not path.exists():
        hint = ""
        if (folder / "tokenizer.model").exists() or (folder / "vocab.json").exists():
            hint = "; convert the older files with AutoTokenizer(...).save_pretrained"
        raise CheckpointError(f"no tokenizer.json in {folder}{hint}")
    raw = read_bytes(path, TOKENIZER_LIMIT)
    document = loads(raw, str(path))
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: expected an object, found {kind_of(document)}")
    ids, unk_id = _vocabulary(document, str(path), vocab_size)
    for pattern in _patterns(document):
        check_pattern(pattern, str(path))
    config_path = folder / "tokenizer_config.json"
    config = read_object(config_path) if config_path.exists() else {}
    fields = Fields(config, str(config_path))
    special = _special_tokens(fields)
    for name in ("bos_token", "eos_token"):
        text = special.get(name)
        if text is not None and text not in ids:
            raise CheckpointError(f"{config_path}: {name}: {text!r:.60} is no token of {path.name}")
    template, names = _template(folder, config, str(config_path))
    return TokenizerFiles(
        raw=raw,
        document=document,
        ids=ids,
        unk_id=unk_id,
        special=special,
        add_bos=fields.boolean("add_bos_token", False),
        template=template,
        template_names=names,
        sha256=_hash(raw, config_path, template),
    )


def _hash(raw: bytes, config_path: Path, template: str | None) -> str:
    """Hash of the files' bytes, each under its name."""
    digest = hashlib.sha256(b"tokenizer.json\0" + raw)
    if config_path.exists():
        digest.update(b"\0tokenizer_config.json\0" + read_bytes(config_path, TOKENIZER_LIMIT))
    return with_template_hash(digest.hexdigest(), template)


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
    _check_ids(ids, where, vocab_size)
    if len(set(ids.values())) != len(ids):
        raise CheckpointError(f"{where}: model.vocab: two tokens share one id")
    added = _added_tokens(document, where)
    _check_ids(added, where, vocab_size)
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


def _special_tokens(fields: Fields) -> dict[str, str | None]:
    """Named special tokens that the configuration mentions; explicit null stays None."""
    special: dict[str, str | None] = {}
    for name in SPECIAL_NAMES:
        if name not in fields.values:
            continue
        value = fields.values[name]
        if isinstance(value, dict):  # a serialized AddedToken
            value = value.get("content")
        if value is not None and not isinstance(value, str):
            fields.fail(name, "a string, null, or an object with content")
        special[name] = value
    return special


def _template(
    folder: Path, config: dict[str, Any], where: str
) -> tuple[str | None, tuple[str, ...]]:
    """Find the chat template: the file wins, then the configuration's text or named list."""
    path = folder / "chat_template.jinja"
    if path.exists():
        return decode_template(read_bytes(path, TEMPLATE_LIMIT), str(path)), ()
    found = config.get("chat_template")
    if found is None or isinstance(found, str):
        return found, ()
    named: dict[str, str] = {}
    for entry in found if isinstance(found, list) else [found]:
        fields = Fields(entry if isinstance(entry, dict) else {}, f"{where}: chat_template")
        named[fields.string("name")] = fields.string("template")
    if len(named) == 1:
        return next(iter(named.values())), ()
    return named.get("default"), () if "default" in named else tuple(named)


def _patterns(document: Any) -> Iterator[str]:
    """Every regular expression of the normalizer, pre-tokenizer and decoder."""
    stack = [document.get(key) for key in ("normalizer", "pre_tokenizer", "decoder")]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if isinstance(item.get("Regex"), str):
                yield item["Regex"]
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def check_pattern(pattern: str, where: str) -> None:
    """Refuse regular expressions whose matching time can explode.

    The engine behind ``tokenizers`` backtracks. What makes it exponential is a repeated group that
    itself repeats something, such as ``(a+)+``; no tokenizer in use has one.

    Raises
    ------
    CheckpointError
        For such a pattern, or one longer than 8192 characters.
    """
    if len(pattern) > MAX_PATTERN:
        raise CheckpointError(f"{where}: a pattern has {len(pattern)} characters")
    open_groups = [False]  # for each open group: does it hold an unbounded repetition?
    closed: bool | None = None  # the same, for a group that ended right before this part
    for part in _PATTERN_PARTS.findall(pattern):
        unbounded = part in ("*", "+") or (part[0] == "{" and part.endswith(",}"))
        if unbounded and closed:
            raise CheckpointError(
                f"{where}: the pattern {pattern!r:.80} repeats a group that repeats something, "
                "which can take for ever; it is refused"
            )
        closed = None
        if part == "(":
            open_groups.append(False)
        elif part == ")" and len(open_groups) > 1:
            closed = open_groups.pop()
            open_groups[-1] = open_groups[-1] or closed
        elif unbounded:
            open_groups[-1] = True
