from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qbench.errors import CheckpointError, QbenchError
from qbench.models import tokenizer_files
from qbench.models.spec import DecoderSpec
from qbench.models.tokenizer import Tokenizer
from qbench.models.tokenizer_files import check_pattern, read_tokenizer_files

MakeFolder = Callable[..., Path]


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return folder


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "id beyond the model": (
        lambda d: d["model"]["vocab"].update({"he": 300}),
        "has the id 300, the model's vocabulary has 300: this tokenizer does not fit",
    ),
    "added id beyond": (lambda d: d["added_tokens"][0].update(id=999), "has the id 999"),
    "negative id": (lambda d: d["model"]["vocab"].update({"he": -1}), "has the id -1"),
    "bool id": (lambda d: d["model"]["vocab"].update({"he": True}), "has the id True"),
    "float id": (lambda d: d["model"]["vocab"].update({"he": 256.0}), "has the id 256.0"),
    "text id": (lambda d: d["added_tokens"][0].update(id="259"), "has the id '259'"),
    "shared id": (lambda d: d["model"]["vocab"].update({"he": 257}), "two tokens share one id"),
    "no model": (lambda d: d.pop("model"), "model: expected an object"),
    "no vocab": (lambda d: d["model"].pop("vocab"), "model.vocab: expected an object, found null"),
    "vocab of text": (lambda d: d["model"].update(vocab="x"), "model.vocab: expected an object"),
    "unigram pairs": (lambda d: d["model"].update(vocab=[1, 2]), "pairs of piece and score"),
    "added no list": (lambda d: d.update(added_tokens={"a": 1}), "added_tokens: expected an array"),
    "added no text": (lambda d: d["added_tokens"][0].pop("content"), "objects with content"),
    "added empty": (lambda d: d["added_tokens"][0].update(content=""), "a token has no text"),
    "merge out of vocab": (lambda d: d["model"]["merges"].append(["q", "q"]), "tokenizer failed"),
    "unknown model type": (lambda d: d["model"].update(type="XYZ"), "tokenizer failed"),
    "unk outside": (lambda d: d["model"].update(unk_id=999), "unk_id: 999 is no id"),
    "slow pattern": (
        lambda d: d.update(
            pre_tokenizer={
                "type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated",
                "invert": False,
            }
        ),
        "repeats a group that repeats something",
    ),
    "slow normalizer": (
        lambda d: d.update(
            normalizer={
                "type": "Sequence",
                "normalizers": [
                    {"type": "Replace", "pattern": {"Regex": "(x*)*"}, "content": ""}
                ],
            }
        ),
        "repeats a group that repeats something",
    ),
    "not this format": (lambda d: d.update(pre_tokenizer={"type": "Nope"}), "tokenizer failed"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_tokenizers(name: str, tokenizer_folder: MakeFolder, spec: DecoderSpec) -> None:
    change, fragment = BROKEN[name]
    folder = edit(tokenizer_folder(), change)
    with pytest.raises(CheckpointError) as caught:
        Tokenizer.from_folder(folder, spec)
    assert fragment in str(caught.value) and "tokenizer.json" in str(caught.value)
    assert "\n" not in str(caught.value)


CONFIG_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"bos_token": "<|nope|>"}, "bos_token: '<|nope|>' is no token"),
    ({"eos_token": {"content": "<|nope|>"}}, "eos_token: '<|nope|>' is no token"),
    ({"bos_token": 1}, "bos_token: expected a string"),
    ({"add_bos_token": "yes"}, "add_bos_token: expected true or false"),
    ({"chat_template": 3}, "chat_template: template: expected a string"),
    ({"chat_template": [{"name": "a"}]}, "chat_template: template: expected a string"),
]


@pytest.mark.parametrize("case", range(len(CONFIG_FAULTS)))
def test_broken_settings(case: int, tokenizer_folder: MakeFolder) -> None:
    settings, fragment = CONFIG_FAULTS[case]
    with pytest.raises(CheckpointError) as caught:
        read_tokenizer_files(tokenizer_folder(settings), 300)
    assert fragment in str(caught.value) and "tokenizer_config.json" in str(caught.value)


def test_missing_files_name_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no tokenizer.json in .*$") as caught:
        read_tokenizer_files(tmp_path, 300)
    assert "convert" not in str(caught.value)
    (tmp_path / "tokenizer.model").write_bytes(b"")
    with pytest.raises(CheckpointError, match="convert the older files with AutoTokenizer"):
        read_tokenizer_files(tmp_path, 300)


def test_a_huge_tokenizer_is_refused(
    tokenizer_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tokenizer_files.TOKENIZER_LIMIT == 256 << 20
    monkeypatch.setattr(tokenizer_files, "TOKENIZER_LIMIT", 1000)
    with pytest.raises(CheckpointError, match="more than the 1000 that are read"):
        read_tokenizer_files(tokenizer_folder(), 300)


def test_truncation_at_many_bytes(tokenizer_folder: MakeFolder, spec: DecoderSpec) -> None:
    path = tokenizer_folder() / "tokenizer.json"
    data = path.read_bytes()
    for size in range(0, len(data) - 1, 37):
        path.write_bytes(data[:size])
        with pytest.raises(QbenchError):
            Tokenizer.from_folder(path.parent, spec)


def test_template_sources(tokenizer_folder: MakeFolder) -> None:
    named = [{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}]
    assert read_tokenizer_files(tokenizer_folder({"chat_template": "x"}), 300).template == "x"
    assert read_tokenizer_files(tokenizer_folder({"chat_template": named}), 300).template == "d"
    only = [{"name": "tool", "template": "t"}]
    assert read_tokenizer_files(tokenizer_folder({"chat_template": only}), 300).template == "t"
    more = [*only, {"name": "b", "template": "t"}]
    several = read_tokenizer_files(tokenizer_folder({"chat_template": more}), 300)
    assert several.template is None and several.template_names == ("tool", "b")
    folder = tokenizer_folder({"chat_template": "x"})
    (folder / "chat_template.jinja").write_text("file é", encoding="utf-8")
    assert read_tokenizer_files(folder, 300).template == "file é"
    (folder / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(QbenchError, match="no UTF-8 at byte 0"):
        read_tokenizer_files(folder, 300)


def test_unknown_token_of_each_model_kind(tokenizer_folder: MakeFolder) -> None:
    def unk(change: Callable[[dict[str, Any]], object]) -> int | None:
        return read_tokenizer_files(edit(tokenizer_folder(), change), 300).unk_id

    assert unk(lambda d: None) is None
    assert unk(lambda d: d["model"].update(unk_token="he")) == 256
    assert unk(lambda d: d["model"].update(vocab=[["<unk>", 0.0], ["a", -1.5]], unk_id=0)) == 0


HOSTILE = [
    "(a+)+", "(a*)*b", "((a+))+", "(?:a+)*", "(?:x|a+)+$", "(\\w+\\s?)*", "([a-z]+){2,}", "(.*)*",
    "(a{1,})+", "(?i:(a+)b)+", "x" * 9000,
]  # fmt: skip
IN_USE = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",  # noqa: E501
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{M}]*[\p{Ll}\p{Lm}\p{M}]+(?i:'s|'t)?|\p{N}{1,3}",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+",
    r"\p{N}{1,3}|[一-龥]+", " {2,}", r"[0-9][0-9][0-9]", r"(ab)+", r"(a|b)*c+",
    r"[(]+[)]+\(+",
    r"(?:\r?\n)+", r"a{2}{3}",
]  # fmt: skip


@pytest.mark.parametrize("pattern", HOSTILE)
def test_patterns_that_can_explode_are_refused(pattern: str) -> None:
    with pytest.raises(CheckpointError):
        check_pattern(pattern, "t")


@pytest.mark.parametrize("pattern", IN_USE)
def test_patterns_in_use_pass(pattern: str) -> None:
    check_pattern(pattern, "t")


def test_a_pattern_that_slips_through_still_ends(
    tokenizer_folder: MakeFolder, spec: DecoderSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's own retry limit is a panic in Rust, which must come out as an error."""
    monkeypatch.setattr(tokenizer_files, "check_pattern", lambda *_: None)
    split = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}
    folder = tokenizer_folder(pre_tokenizer={**split, "invert": False})
    found = Tokenizer.from_folder(folder, spec)
    with pytest.raises(CheckpointError, match="the tokenizer failed: Onig"):
        found.encode("a" * 60 + "b")


def test_shared_tokenizers_pass(shared: Path) -> None:
    for path in sorted((shared / "tokenizers").glob("*/tokenizer.json")):
        assert len(read_tokenizer_files(path.parent, 1 << 20).ids) > 6000
