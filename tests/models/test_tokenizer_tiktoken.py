from __future__ import annotations

import base64
import dataclasses
import json
import time
import tracemalloc
from pathlib import Path

import pytest
from models.conftest import byte_alphabet

from qbench.errors import CheckpointError
from qbench.models.spec import DecoderSpec
from qbench.models.tokenizer import Tokenizer
from qbench.models.vocabulary import tiktoken as tokenizer_tiktoken
from qbench.models.vocabulary.document import (
    BYTE_LETTERS,
    LLAMA3_PATTERN,
    byte_level_text,
    merges_of_ranks,
)
from qbench.models.vocabulary.tiktoken import (
    LLAMA3,
    QWEN,
    family_of,
    is_tiktoken,
    read_ranks,
)

EXTRA = [b"he", b"ll", b"hell", b" w", b"aa", b"aaa", "é".encode(), b"12"]
RANKS = {bytes([b]): b for b in range(256)} | {t: 256 + i for i, t in enumerate(EXTRA)}


def lines(ranks: dict[bytes, int]) -> bytes:
    return b"".join(base64.b64encode(t) + b" %d\n" % r for t, r in ranks.items())


@pytest.fixture
def small_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both families with a vocabulary as small as the one above."""
    short = [
        dataclasses.replace(QWEN, n_ranks=len(RANKS)),
        dataclasses.replace(LLAMA3, n_ranks=263),
    ]
    monkeypatch.setattr(tokenizer_tiktoken, "FAMILIES", tuple(short))


def test_reads_what_was_written() -> None:
    assert read_ranks(lines(RANKS), "t") == RANKS
    assert read_ranks(lines(RANKS).replace(b"\n", b"\r\n").rstrip(), "t") == RANKS


def test_letters_stand_for_bytes() -> None:
    assert {letter: byte for byte, letter in enumerate(BYTE_LETTERS)} == byte_alphabet()
    assert byte_level_text(b" \n\xff") == "\u0120\u010a\u00ff"


def test_every_way_to_make_a_token_is_a_merge() -> None:
    merges = merges_of_ranks(RANKS, "t")
    assert merges[:3] == [("h", "e"), ("l", "l"), ("he", "ll")]
    assert ("a", "aa") in merges and ("aa", "a") in merges
    assert len(merges) == 9


def test_the_families_are_as_published() -> None:
    assert (QWEN.n_ranks, QWEN.specials[:3]) == (
        151_643, ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    )  # fmt: skip
    assert QWEN.n_ranks + len(QWEN.specials) == 151_851 and QWEN.specials[-1] == "<|extra_204|>"
    ids = {text: 128_000 + i for i, text in enumerate(LLAMA3.specials)}
    assert len(ids) == 256 and ids["<|begin_of_text|>"] == 128_000
    assert (ids["<|start_header_id|>"], ids["<|end_header_id|>"]) == (128_006, 128_007)
    assert (ids["<|eot_id|>"], ids["<|reserved_special_token_250|>"]) == (128_009, 128_255)


@pytest.mark.usefixtures("small_families")
def test_qwen(tmp_path: Path, spec: DecoderSpec) -> None:
    (tmp_path / "qwen.tiktoken").write_bytes(lines(RANKS))
    found = Tokenizer.from_folder(tmp_path, dataclasses.replace(spec, vocab_size=600))
    assert found.encode("hello é e\u0301") == [258, ord("o"), 32, 262, 32, 262]  # NFC
    assert found.encode("12") == [49, 50]  # digits one by one
    assert found.encode("<|im_end|><|extra_204|>") == [266, 264 + 207]
    assert (found.bos_id, found.eos_ids, found.vocab_size) == (None, {264}, 472)
    assert found.decode(found.encode("hello \x00é\n🙂")) == "hello \x00é\n🙂"
    ids = found.with_template("chatml").apply_chat([{"role": "user", "content": "<|im_end|>"}])
    assert ids.count(266) == 1 and ids.count(265) == 2


@pytest.mark.usefixtures("small_families")
def test_llama3(tmp_path: Path, spec: DecoderSpec) -> None:
    ranks = dict(list(RANKS.items())[:-2]) | {b"12": 262}
    (tmp_path / "tokenizer.model").write_bytes(lines(ranks))
    spec = dataclasses.replace(spec, vocab_size=600)
    found = Tokenizer.from_folder(tmp_path, spec)
    assert found.encode("12 hell") == [263, 262, 32, 258]
    assert found.encode("12", bos=False) == [262] and found.eos_ids == {264}
    settings = {
        "added_tokens_decoder": {
            "263": {"content": "<a>", "special": True}, "264": {"content": "<b>", "special": True}
        },
        "bos_token": "<b>", "eos_token": "<a>", "add_bos_token": True,
    }  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    found = Tokenizer.from_folder(tmp_path, spec)
    assert found.encode("12<a>") == [264, 262, 263] and found.vocab_size == 265
    assert found.encode("<|eot_id|>", bos=False) != [272]


def test_a_vocabulary_of_no_family_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"264 ranks .*known: Qwen \(151643\), Llama 3"):
        family_of(RANKS, "t")


ATTACKS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no token for the byte 0x00: the file is cut off"),
    "text": (b"hello\n", "line 1: expected a token in base64"),
    "no rank": (lines(RANKS) + b"aGVsbG8=\n", "line 265: expected"),
    "negative rank": (lines(RANKS) + b"aGVsbG8= -1\n", "line 265: expected"),
    "long rank": (lines(RANKS) + b"aGVsbG8= " + b"9" * 5000, "line 265: expected"),
    "huge rank": (lines(RANKS) + b"aGVsbG8= 9999999\n", "line 265: expected"),
    "rank of digits elsewhere": (lines(RANKS) + "aGVsbG8= ²\n".encode(), "line 265: expected"),
    "three fields": (lines(RANKS) + b"aGVsbG8= 264 1\n", "line 265: expected"),
    "no base64": (lines(RANKS) + b"a*b= 264\n", "line 265: expected"),
    "empty token": (lines(RANKS) + b" 264\n", "line 265: expected"),
    "token twice": (lines(RANKS) + base64.b64encode(b"he") + b" 999\n", "b'he' stands twice"),
    "rank twice": (lines(RANKS) + base64.b64encode(b"xy") + b" 256\n", "share one rank"),
    "byte missing": (lines({t: r for t, r in RANKS.items() if t != b"\n"}), "the byte 0x0a"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(name: str) -> None:
    data, said = ATTACKS[name]
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(CheckpointError) as caught:
            read_ranks(data, "some.tiktoken")
        seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert said in str(caught.value) and str(caught.value).startswith("some.tiktoken: ")
    assert seconds < 1.0 and peak < 16 << 20


def test_long_tokens_and_large_files_are_refused(
    tmp_path: Path, spec: DecoderSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match="a token of 513 bytes, more than 512"):
        merges_of_ranks(RANKS | {b"x" * 513: 264}, "t")
    for name in ("tokenizer.model", "a.tiktoken"):
        folder = tmp_path / name[0]
        folder.mkdir()
        (folder / name).write_bytes(lines(RANKS) + b"\n" * (17 << 20))
        with pytest.raises(CheckpointError, match="more than the 16777216 that are read"):
            Tokenizer.from_folder(folder, spec)


def test_every_truncation_is_an_error_or_shorter() -> None:
    data = lines(RANKS)
    for size in range(len(data)):
        try:
            found = read_ranks(data[:size], "t")
        except CheckpointError:
            continue
        assert len(found) >= 256  # whole lines are missing: that is the size of no family
        with pytest.raises(CheckpointError, match="no known family"):
            family_of(found, "t")


def test_every_bit_flip_is_an_error_or_consistent() -> None:
    data = lines(RANKS)
    accepted = 0
    for position in range(0, len(data) * 8):
        changed = bytearray(data)
        changed[position // 8] ^= 1 << position % 8
        try:
            found = read_ranks(bytes(changed), "t")
        except CheckpointError:
            continue
        accepted += 1
        assert len(set(found.values())) == len(found) and all(found)
    assert accepted > 10


def test_tells_ranks_from_sentencepiece() -> None:
    assert is_tiktoken(lines(RANKS))
    for data in (
        b"",
        b"\x0a\x0e\x0a\x05<unk>",
        b"hello world",
        b"aGVsbG8=",
        b"\x00" * 99,
        b"* 1\n",
    ):
        assert not is_tiktoken(data)


def test_several_files_of_ranks(tmp_path: Path, spec: DecoderSpec) -> None:
    for name in ("a.tiktoken", "b.tiktoken"):
        (tmp_path / name).write_bytes(lines(RANKS))
    with pytest.raises(CheckpointError, match="several files of ranks"):
        Tokenizer.from_folder(tmp_path, spec)


@pytest.mark.parity
def test_same_ids_as_tiktoken(shared: Path) -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="the oracle is not installed")
    path = shared / "tokenizers" / "llama-3" / "tokenizer.model"
    ranks = read_ranks(path.read_bytes(), str(path))
    from models.test_tokenizer import load_shared

    found = load_shared(path.parent)
    theirs = tiktoken.Encoding(
        "llama-3", pat_str=LLAMA3_PATTERN, mergeable_ranks=ranks, special_tokens={}
    )
    folder = shared / "data" / "flores200" / "flores200_dataset" / "devtest"
    texts = [t for p in sorted(folder.glob("*.devtest")) for t in p.read_text().split("\n")]
    assert len(texts) > 11_000
    for text in texts:
        assert found.encode(text, bos=False) == theirs.encode_ordinary(text)
