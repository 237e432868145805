from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from models.conftest import tokenizer_document

from qbench.errors import CheckpointError, QbenchError
from qbench.models.spec import DecoderSpec
from qbench.models.tokenizer import Tokenizer
from qbench.models.vocabulary import files as tokenizer_files
from qbench.models.vocabulary.files import check_pattern, read_tokenizer_files

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


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    for name in ("", "vocab.json", "merges.txt"):
        if name:
            (tmp_path / name).write_text("{}")
        if name != "merges.txt":
            with pytest.raises(
                CheckpointError, match=r"no tokenizer in .*: expected tokenizer.json"
            ):
                read_tokenizer_files(tmp_path, 300)
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(CheckpointError, match="no tokenizer in"):
        read_tokenizer_files(tmp_path, 300)


def byte_files(folder: Path, merges: str = "h e\nl l\nhe ll\n", **changes: Any) -> Path:
    """vocab.json and merges.txt of the test tokenizer."""
    vocab = tokenizer_document()["model"]["vocab"] | changes
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text(merges)
    return folder


def test_vocab_and_merges(tmp_path: Path, spec: DecoderSpec) -> None:
    folder = byte_files(tmp_path, "#version: 0.2\nh e\nl l\r\nhe ll\n\n")
    for model_type, expected in (("gpt2", b"e\xcc\x81"), ("qwen2", b"\xc3\xa9")):
        found = Tokenizer.from_folder(folder, dataclasses.replace(spec, model_type=model_type))
        assert found.encode("hello") == [258, ord("o")] and found.encode("e\u0301") == [*expected]
        assert found.folder_files.sources == ("vocab.json", "merges.txt")
    with pytest.raises(
        CheckpointError, match=r"neither the tokenizer class '' nor .* 'llama' says"
    ):
        Tokenizer.from_folder(folder, spec)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "Qwen2TokenizerFast"}')
    assert Tokenizer.from_folder(folder, spec).encode("e\u0301") == [0xC3, 0xA9]
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BartTokenizer"}')
    with pytest.raises(CheckpointError, match=r"give the model's tokenizer\.json"):
        Tokenizer.from_folder(folder, spec)


MERGE_FAULTS = [
    ("h\n", "line 1: expected two tokens"),
    ("h e\nh e l\n", "line 2: expected two tokens"),
    (" h\n", "line 1: expected two tokens"),
    ("q q\n", "line 1: 'q q' merges what is not in vocab.json"),
    ("he zz\n", "line 1: 'he zz' merges what is not"),
    ("\x00\n", "line 1: expected two tokens"),
]


@pytest.mark.parametrize(("merges", "said"), MERGE_FAULTS)
def test_broken_merges(merges: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_tokenizer_files(byte_files(tmp_path, merges), 300, "gpt2")
    assert said in str(caught.value) and "merges.txt" in str(caught.value)


def test_merges_are_cut_and_flipped(tmp_path: Path) -> None:
    folder = byte_files(tmp_path)
    data = (folder / "merges.txt").read_bytes()
    refused = 0
    cases = [data[:size] for size in range(len(data))]
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        cases.append(bytes(flipped))
    for case in cases:
        (folder / "merges.txt").write_bytes(case)
        try:
            read_tokenizer_files(folder, 300, "gpt2")
        except CheckpointError as exc:
            refused += 1
            assert "merges.txt" in str(exc)
    assert refused > len(cases) // 2


@pytest.mark.parametrize(
    "change", [{"he": 257}, {"he": 300}, {"he": -1}, {"he": True}, {"he": [1]}, {"he": "256"}]
)
def test_broken_vocab_json(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_tokenizer_files(byte_files(tmp_path, **change), 300, "gpt2")
    assert "vocab.json" in str(caught.value)


def test_which_file_is_read(tmp_path: Path, tokenizer_folder: MakeFolder) -> None:
    """Each is preferred to the ones behind it; a broken one shows that it was looked at."""
    folder = byte_files(tokenizer_folder())
    (folder / "tokenizer_config.json").unlink()
    (folder / "tokenizer.model").write_bytes(b"\x0b")
    (folder / "a.tiktoken").write_bytes(b"?")
    for name in ("tokenizer.json", "tokenizer.model", "a.tiktoken", "vocab.json"):
        (folder / name).write_bytes(b"?")
        with pytest.raises(CheckpointError, match=re.escape(name)):
            read_tokenizer_files(folder, 300, "gpt2")
        (folder / name).unlink()


NAMES = ("tokenizer.json", "tokenizer.model", "a.tiktoken", "vocab.json", "tokenizer_config.json")


@pytest.mark.parametrize("name", NAMES)
def test_special_files(name: str, tmp_path: Path) -> None:
    byte_files(tmp_path)
    path = tmp_path / name
    path.unlink(missing_ok=True)
    makers: list[Callable[[], object]] = [
        path.mkdir, lambda: os.mkfifo(path), lambda: path.write_bytes(b""),
        lambda: path.symlink_to("/dev/zero"),
    ]  # fmt: skip
    for make in makers:
        make()
        start = time.perf_counter()
        with pytest.raises(CheckpointError) as caught:
            read_tokenizer_files(tmp_path, 300, "gpt2")
        assert name in str(caught.value) and time.perf_counter() - start < 1.0
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize("name", NAMES)
def test_a_sparse_terabyte(name: str, tmp_path: Path) -> None:
    byte_files(tmp_path)
    with (tmp_path / name).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(CheckpointError, match="1099511627776 bytes, more than"):
        read_tokenizer_files(tmp_path, 300, "gpt2")


def test_the_hash_of_a_tokenizer_json_stays(tokenizer_folder: MakeFolder) -> None:
    """Stored cells name it."""
    folder = tokenizer_folder({"chat_template": "x"})
    raw = (folder / "tokenizer.json").read_bytes()
    config = (folder / "tokenizer_config.json").read_bytes()
    inner = b"tokenizer.json\0" + raw + b"\0tokenizer_config.json\0" + config
    outer = hashlib.sha256(inner).hexdigest().encode() + b"\0template\0x"
    assert read_tokenizer_files(folder, 300).sha256 == hashlib.sha256(outer).hexdigest()


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
    "a*a*b", "a*a*a*b", "[a-z]*[a-y]*!", "a*(a*b)", "(a*)a*b",
    "a+x?a+$", "a*(?:a*)b", "a{2,}a*b", "a*?a*?b", "x|a+a+(?=b)",
]  # fmt: skip
IN_USE = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",  # noqa: E501
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{M}]*[\p{Ll}\p{Lm}\p{M}]+(?i:'s|'t)?|\p{N}{1,3}",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+",
    r"\p{N}{1,3}|[一-龥]+", " {2,}", r"[0-9][0-9][0-9]", r"(ab)+", r"(a|b)*c+",
    r"[(]+[)]+\(+",
    r"(?:\r?\n)+", r"a{2}{3}", r"\d{1,3}(?=(?:\d{3})*\b)", r"a*a*", r"a*a*(?:b|c)?",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]",
    r"[\p{Lu}\p{Lm}\p{M}]*[\p{Ll}\p{Lm}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}",
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
