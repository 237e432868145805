from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from models.spm_builder import entries

from qbench.errors import CheckpointError
from qbench.models.spec import DecoderSpec
from qbench.models.tokenizer import Tokenizer
from qbench.models.vocabulary.document import BYTE_LETTERS
from qbench.models.vocabulary.gguf import RULES, gguf_tokenizer, read_gguf_tokenizer
from qbench.models.vocabulary.gguf_metadata import parse_metadata, read_metadata
from qbench.models.vocabulary.patterns import check_pattern

U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
FORMS = {U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q"}


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def value(kind: int, content: Any) -> bytes:
    """A value behind its type; a list is an array of that kind."""
    one = text if kind == STRING else lambda v: struct.pack(FORMS[kind], v)
    if isinstance(content, list):
        return struct.pack("<IIQ", ARRAY, kind, len(content)) + b"".join(map(one, content))
    return struct.pack("<I", kind) + one(content)


def gguf(fields: Mapping[str, bytes], version: int = 3, count: int | None = None) -> bytes:
    """A file of metadata only."""
    body = b"".join(text(key) + content for key, content in fields.items())
    n = len(fields) if count is None else count
    return b"GGUF" + struct.pack("<IQQ", version, 0, n) + body


def spm_fields() -> dict[str, bytes]:
    tokens, scores, kinds = zip(*entries(), strict=True)
    return {
        "general.architecture": value(STRING, "llama"),
        "tokenizer.ggml.model": value(STRING, "llama"),
        "tokenizer.ggml.tokens": value(STRING, list(tokens)),
        "tokenizer.ggml.scores": value(F32, list(scores)),
        "tokenizer.ggml.token_type": value(I32, list(kinds)),
        "tokenizer.ggml.bos_token_id": value(U32, 1),
        "tokenizer.ggml.eos_token_id": value(U32, 2),
        "tokenizer.ggml.add_bos_token": value(BOOL, 1),
        "tokenizer.chat_template": value(STRING, "{{ messages[0].content }}"),
    }


def bpe_fields() -> dict[str, bytes]:
    tokens = [*BYTE_LETTERS, "he", "ll", "hell", "<|end|>", "<tool>"]
    return {
        "tokenizer.ggml.model": value(STRING, "gpt2"),
        "tokenizer.ggml.pre": value(STRING, "gpt-2"),
        "tokenizer.ggml.tokens": value(STRING, tokens),
        "tokenizer.ggml.token_type": value(I32, [1] * 259 + [3, 4]),
        "tokenizer.ggml.merges": value(STRING, ["h e", "l l", "he ll"]),
        "tokenizer.ggml.eos_token_id": value(U32, 259),
    }


def load(data: bytes, spec: DecoderSpec) -> Tokenizer:
    return Tokenizer(gguf_tokenizer(parse_metadata(data, "t.gguf"), Path("t.gguf"), 300), spec)


def test_reads_every_type() -> None:
    fields = {
        "a": value(U32, 7), "b": value(I32, -7), "c": value(F32, 0.5), "d": value(BOOL, 1),
        "e": value(STRING, "é"), "f": value(STRING, ["", "x"]), "g": value(I32, []),
        "h": value(U64, 1 << 63), "i": value(BOOL, [0, 1]),
    }  # fmt: skip
    expected = {
        "a": 7, "b": -7, "c": 0.5, "d": True, "e": "é", "f": ["", "x"], "g": [], "h": 1 << 63,
        "i": [False, True],
    }  # fmt: skip
    for version in (2, 3):
        assert parse_metadata(gguf(fields, version) + b"tensors", "t") == expected


def test_sentencepiece(spec: DecoderSpec) -> None:
    found = load(gguf(spm_fields()), spec)
    assert found.encode("hello") == [1, 263] and found.decode([1, 263]) == "hello"
    assert (found.bos_id, found.eos_ids, found.unk_id) == (1, {2}, 0)
    assert found.chat_template == "{{ messages[0].content }}"
    quiet = spm_fields() | {"tokenizer.ggml.add_bos_token": value(BOOL, 0)}
    assert load(gguf(quiet), spec).encode("hello") == [263]
    bare = spm_fields() | {"tokenizer.ggml.add_space_prefix": value(BOOL, 0)}
    assert load(gguf(bare), spec).decode(load(gguf(bare), spec).encode(" hello")) == " hello"


def test_byte_level(spec: DecoderSpec) -> None:
    found = load(gguf(bpe_fields()), spec)
    assert found.encode("hello<|end|><tool>") == [258, ord("o"), 259, 260]
    assert found.decode([258, 259, 260]) == "hell<tool>"
    assert found.decode(found.encode("ü÷\n é🙂")) == "ü÷\n é🙂"


def test_a_letter_that_is_an_added_token_too(spec: DecoderSpec) -> None:
    """As in DeepSeek-Coder, where ü has the id of a byte that no UTF-8 holds."""
    kinds = [4 if b == 0xFC else 1 for b in range(256)] + [1] * 3 + [3, 4]
    found = load(gguf(bpe_fields() | {"tokenizer.ggml.token_type": value(I32, kinds)}), spec)
    assert found.encode("aü") == [97, 0xFC] and found.decode([97, 0xFC]) == "aü"


def test_the_hash_is_that_of_the_vocabulary(spec: DecoderSpec) -> None:
    plain = load(gguf(spm_fields()), spec).sha256
    same = spm_fields() | {"general.name": value(STRING, "other")}
    changed = spm_fields() | {"tokenizer.ggml.add_bos_token": value(BOOL, 0)}
    assert load(gguf(same), spec).sha256 == plain != load(gguf(changed), spec).sha256


def test_rules_are_harmless_and_a_missing_one_is_refused(spec: DecoderSpec) -> None:
    for name, rule in RULES.items():
        for pattern in rule.patterns:
            check_pattern(pattern, name)
    for name in ("general", "default", "falcon", ""):
        fields = bpe_fields() | {"tokenizer.ggml.pre": value(STRING, name)}
        with pytest.raises(CheckpointError, match="pre: expected the name of a known rule"):
            load(gguf(fields), spec)
    without = {k: v for k, v in bpe_fields().items() if not k.endswith(".pre")}
    with pytest.raises(CheckpointError, match="pre: expected the name of a known rule"):
        load(gguf(without), spec)
    named = {"general.architecture": value(STRING, "gptneox")}
    assert load(gguf(without | named), spec).encode("hell") == [258]


def without(key: str) -> dict[str, bytes]:
    return {k: v for k, v in spm_fields().items() if not k.endswith(key)}


def changed(fields: Callable[[], dict[str, bytes]], key: str, content: bytes) -> bytes:
    return gguf(fields() | {f"tokenizer.ggml.{key}": content})


BOMB = struct.pack("<IIQ", ARRAY, STRING, 1 << 63)
ATTACKS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "4 bytes are expected, 0 are left"),
    "other magic": (b"GGML" + bytes(40), "does not begin with GGUF"),
    "version 1": (gguf({}, 1), "version 1; supported: 2, 3"),
    "other byte order": (gguf({}, 3 << 24), "version 50331648"),
    "2^63 entries": (gguf({}, count=1 << 63), "9223372036854775808 entries in 0 bytes"),
    "one entry too many": (gguf(spm_fields(), count=10), "8 bytes are expected, 0 are left"),
    "2^63 texts": (gguf({"a": BOMB}), "an array of 9223372036854775808 elements"),
    "2^62 numbers": (gguf({"a": struct.pack("<IIQ", ARRAY, F32, 1 << 62)}), "an array of 46"),
    "8M truths": (gguf({"a": struct.pack("<IIQ", ARRAY, BOOL, 8 << 20)}), "an array of 8388608"),
    "1 GiB text": (gguf({"a": struct.pack("<IQ", STRING, 1 << 30)}), "a text of 1073741824 bytes"),
    "15 MiB text": (gguf({"a": struct.pack("<IQ", STRING, 15 << 20)}), "0 are left"),
    "long key": (gguf({"k" * 65_536: value(U32, 1)}), "a text of 65536 bytes, at most 65535"),
    "key of 2^64-1": (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + b"\xff" * 21, "a text of 184"),
    "nested arrays": (gguf({"a": struct.pack("<IIQ", ARRAY, ARRAY, 1) * 9}), "array of the type 9"),
    "type 13": (gguf({"a": struct.pack("<IQ", 13, 0)}), "unknown type 13"),
    "truth 2": (gguf({"a": struct.pack("<IB", BOOL, 2)}), "neither 0 nor 1"),
    "no UTF-8": (gguf({"a": value(STRING, b"\xff")}), "no UTF-8"),  # type: ignore[dict-item]
    "key twice": (
        gguf({"a": value(U32, 1) + text("a") + value(U32, 1)}, count=2), "'a' stands twice"),
    "no tokens": (gguf(without(".tokens")), "tokens: expected a list of texts"),
    "no tokens in it": (changed(spm_fields, "tokens", value(STRING, [])), "list of texts"),
    "tokens are numbers": (changed(spm_fields, "tokens", value(U32, [1])), "list of texts"),
    "token twice": (changed(bpe_fields, "tokens", value(STRING, ["a"] * 261)), "'a' stands twice"),
    "too few kinds": (changed(spm_fields, "token_type", value(I32, [1])), "expected 274 integers"),
    "kind 7": (changed(spm_fields, "token_type", value(I32, [7] * 274)), "integers in 0..6"),
    "no scores": (gguf(without(".scores")), "scores: expected 274 finite numbers"),
    "scores NaN": (changed(spm_fields, "scores", value(F32, [float("nan")] * 274)), "finite"),
    "no model": (gguf(without("ggml.model")), "model: expected a string"),
    "model t5": (changed(spm_fields, "model", value(STRING, "t5")), "'llama' (SentencePiece) or"),
    "bos beyond": (changed(spm_fields, "bos_token_id", value(U32, 274)), "an integer in 0..273"),
    "unknown beyond": (changed(spm_fields, "unknown_token_id", value(U32, 999)), "in 0..273"),
    "charsmap": (
        changed(spm_fields, "precompiled_charsmap", value(I32, [1])), "charsmap: expected nothing"
    ),
    "no merges": (
        gguf({k: v for k, v in bpe_fields().items() if not k.endswith("merges")}), "merges: expec"
    ),
    "merge of one": (changed(bpe_fields, "merges", value(STRING, ["he"])), "expected two tokens"),
    "merge of three": (changed(bpe_fields, "merges", value(STRING, ["h e l"])), "two tokens"),
    "merge of strangers": (
        changed(bpe_fields, "merges", value(STRING, ["q q"])), "tokenizer failed"),
    "template no text": (
        gguf(spm_fields() | {"tokenizer.chat_template": value(U32, 1)}), "expected a text"
    ),
    "does not fit": (
        gguf(bpe_fields() | {
            "tokenizer.ggml.tokens": value(STRING, [*BYTE_LETTERS, *(f"t{i}" for i in range(99))]),
            "tokenizer.ggml.token_type": value(I32, [1] * 355)}), "does not fit the model"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(name: str, spec: DecoderSpec) -> None:
    data, said = ATTACKS[name]
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(CheckpointError) as caught:
            load(data, spec)
        seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert said in str(caught.value) and str(caught.value).startswith("t.gguf: ")
    assert "\n" not in str(caught.value)
    assert seconds < 1.0 and peak < 16 << 20


def test_every_truncation_is_an_error() -> None:
    data = gguf(bpe_fields())
    for size in range(len(data)):
        with pytest.raises(CheckpointError):
            parse_metadata(data[:size], "t")


def test_every_bit_flip_is_an_error_or_consistent(spec: DecoderSpec) -> None:
    data = gguf(bpe_fields())
    loaded = 0
    for position in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        try:
            metadata = parse_metadata(bytes(flipped), "t")
            if position % 101:
                continue
            files = gguf_tokenizer(metadata, Path("t.gguf"), 300)
            Tokenizer(files, spec).encode("hello world 12 <|end|>")
        except CheckpointError:
            continue
        loaded += 1
        assert len(set(files.ids.values())) == len(files.ids)
    assert loaded > 5


def test_special_files(tmp_path: Path) -> None:
    import os

    (tmp_path / "empty").write_bytes(b"")
    os.mkfifo(tmp_path / "fifo")
    for name, said in (("empty", "the file is empty"), ("fifo", "a named pipe"), ("no", "No such")):
        with pytest.raises(CheckpointError, match=said):
            read_gguf_tokenizer(tmp_path / name, 300)
    with pytest.raises(CheckpointError, match="a directory"):
        read_gguf_tokenizer(tmp_path, 300)


def test_same_values_as_the_gguf_package(tmp_path: Path, shared: Path) -> None:
    package = pytest.importorskip("gguf", reason="the oracle is not installed")
    (tmp_path / "t.gguf").write_bytes(gguf(spm_fields()))
    paths = [tmp_path / "t.gguf", *(shared / "tokenizers" / "llamacpp-vocabs").glob("*.gguf")]
    assert len(paths) > 1
    for path in paths[:2]:
        theirs = {
            key: field.contents()
            for key, field in package.GGUFReader(path).fields.items()
            if not key.startswith("GGUF.")
        }
        assert read_metadata(path) == theirs
