"""What stands beside a vocabulary: ``tokenizer_config.json``, its forerunners, the chat template.

Named special tokens, added tokens with their ids, and whether BOS or EOS belongs to a text. Nothing
here knows the vocabulary; whether a token exists is checked where both meet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qbench.errors import CheckpointError
from qbench.models.chat.template import TEMPLATE_LIMIT, decode_template
from qbench.models.files import read_bytes
from qbench.models.strict_json import Fields, loads
from qbench.models.vocabulary.document import added_token

CONFIG_NAME = "tokenizer_config.json"
SETTINGS_LIMIT = 64 << 20
SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")
_MARKS = ("lstrip", "rstrip", "single_word", "normalized")


@dataclass(frozen=True)
class Settings:
    """The settings of a tokenizer; None is what a file leaves open.

    ``files`` are the bytes of the files that were read, by name. ``added`` are added tokens as a
    ``tokenizer.json`` has them. ``template_names`` are the names of several chat templates from
    which none is the default.
    """

    where: str
    special: dict[str, str | None] = field(default_factory=dict)
    added: tuple[dict[str, Any], ...] = ()
    add_bos: bool | None = None
    add_eos: bool | None = None
    legacy: bool | None = None
    prefix_space: bool = False
    class_name: str = ""
    template: str | None = None
    template_names: tuple[str, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)


def read_settings(folder: Path, *, forerunners: bool) -> Settings:
    """Read the settings of a model folder.

    Parameters
    ----------
    folder
        A model folder; every file of it is optional.
    forerunners
        Whether ``special_tokens_map.json`` and ``added_tokens.json`` fill what
        ``tokenizer_config.json`` leaves open. A ``tokenizer.json`` needs neither.

    Raises
    ------
    CheckpointError
        If a file is broken.
    """
    path = folder / CONFIG_NAME
    files: dict[str, bytes] = {}
    config = _object(path, files)
    fields = Fields(config, str(path))
    special = _special_tokens(fields)
    added = _added_decoder(fields)
    if forerunners and not added:
        named = folder / "special_tokens_map.json"
        special = _special_tokens(Fields(_object(named, files), str(named))) | special
        added = _added_map(folder / "added_tokens.json", files, special)
    template, names = _template(folder, config, str(path))
    return Settings(
        where=str(path),
        special=special,
        added=tuple(added),
        add_bos=_flag(fields, "add_bos_token"),
        add_eos=_flag(fields, "add_eos_token"),
        legacy=_flag(fields, "legacy"),
        prefix_space=fields.boolean("add_prefix_space", False),
        class_name=_class_name(fields),
        template=template,
        template_names=names,
        files=files,
    )


def _object(path: Path, files: dict[str, bytes]) -> dict[str, Any]:
    """Read a file that may be absent, and keep its bytes for the hash."""
    if not path.exists():
        return {}
    files[path.name] = read_bytes(path, SETTINGS_LIMIT)
    found = loads(files[path.name], str(path))
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: expected an object")
    return found


def _flag(fields: Fields, name: str) -> bool | None:
    """Return true, false, or None for null and absence."""
    return None if fields.values.get(name) is None else fields.boolean(name, False)


def _class_name(fields: Fields) -> str:
    """Return the tokenizer's class without the suffix that says nothing about its rules."""
    name = fields.string("tokenizer_class", "")
    return name if name == "PreTrainedTokenizerFast" else name.removesuffix("Fast")


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


def _added_decoder(fields: Fields) -> list[dict[str, Any]]:
    """Added tokens of ``added_tokens_decoder``: an object per id."""
    found = []
    for key, value in (fields.object("added_tokens_decoder") or {}).items():
        where = f"{fields.where}: added_tokens_decoder: {key[:40]}"
        if not key.isascii() or not key.isdigit() or len(key) > 9 or not isinstance(value, dict):
            raise CheckpointError(f"{where}: expected an id and an object")
        entry = Fields(value, where)
        marks = {name: entry.boolean(name, False) for name in _MARKS}
        special = entry.boolean("special", False)
        found.append(added_token(int(key), entry.string("content"), special, **marks))
    return sorted(found, key=lambda token: int(token["id"]))


def _added_map(
    path: Path, files: dict[str, bytes], special: dict[str, str | None]
) -> list[dict[str, Any]]:
    """Added tokens of ``added_tokens.json``: ids by text."""
    ids = _object(path, files)
    for text, index in ids.items():
        if type(index) is not int or index < 0:
            raise CheckpointError(f"{path}: the token {text!r:.60} has the id {index!r:.40}")
    named = set(special.values())
    return [
        added_token(index, text, text in named)
        for text, index in sorted(ids.items(), key=lambda item: int(item[1]))
    ]


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
