from __future__ import annotations

import struct
import time
import tracemalloc
from pathlib import Path

import pytest
from models.spm_builder import (
    BASE,
    BYTES,
    CONTROL,
    NORMAL,
    UNKNOWN,
    entries,
    field,
    model,
    piece,
    small,
    varint,
)

from qbench.errors import CheckpointError
from qbench.models.vocabulary.sentencepiece_proto import BPE, UNIGRAM, read_sentencepiece

LONG = b"\xff" * 9 + b"\x01"  # 2^64 - 1


def test_reads_what_was_written() -> None:
    found = read_sentencepiece(small(), "t")
    assert [tuple(p) for p in found.pieces] == entries()
    assert (found.algorithm, found.byte_fallback, found.unk_id) == (BPE, True, 0)
    assert (found.bos, found.eos, found.charsmap) == ("<s>", "</s>", b"")
    assert found.dummy_prefix and not found.collapse_spaces


def test_absent_fields_have_the_declared_defaults() -> None:
    found = read_sentencepiece(piece("<unk>", kind=UNKNOWN) + piece("a"), "t")
    assert (found.algorithm, found.byte_fallback, found.unk_id) == (UNIGRAM, False, 0)
    assert (found.bos, found.eos) == (None, None)
    assert found.dummy_prefix and found.collapse_spaces


def test_unknown_fields_are_stepped_over() -> None:
    extra = field(200, b"abc") + field(201, 7) + varint(202 << 3 | 1) + bytes(8)
    assert read_sentencepiece(extra + small() + extra, "t") == read_sentencepiece(small(), "t")


def test_special_ids_may_be_absent_or_elsewhere() -> None:
    pieces = [("<s>", 0.0, CONTROL), ("<unk>", 0.0, UNKNOWN), ("a", -1.0, NORMAL)]
    minus_one = varint(42 << 3) + LONG
    found = read_sentencepiece(model(pieces, field(40, 1) + field(41, 0) + minus_one), "t")
    assert (found.unk_id, found.bos, found.eos) == (1, "<s>", None)


ATTACKS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it has no pieces"),
    "text": (b"hello world, this is no protobuf", "has"),
    "cut number": (small() + b"\x80", "ends within a number"),
    "endless number": (small() + b"\xff" * 11, "more than ten bytes"),
    "length of 2^64-1": (b"\x0a" + LONG + b"x", "18446744073709551615 bytes"),
    "length of 1 GiB": (b"\x0a" + varint(1 << 30), "1073741824 bytes, 0 are left"),
    "group": (b"\x0b" + small(), "wire type 3"),
    "wire type 7": (b"\x0f" + small(), "wire type 7"),
    "piece is a number": (field(1, 3) + small(), "a piece is no text"),
    "piece without text": (small() + field(1, field(3, 1)), "has no text"),
    "piece twice": (small() + piece("el"), "'el' stands at 260 and"),
    "piece no UTF-8": (small() + piece(b"\xff"), "is no UTF-8"),
    "long piece": (small() + piece("x" * 513), "has 513 bytes, at most 512"),
    "kind 0": (small() + piece("q", kind=0), "unknown kind 0"),
    "kind 7": (small() + piece("q", kind=7), "unknown kind 7"),
    "negative kind": (small() + field(1, field(1, b"q") + b"\x18" + LONG), "unknown kind -1"),
    "score NaN": (small() + piece("q", float("nan")), "the score nan"),
    "score infinite": (small() + piece("q", float("inf")), "the score inf"),
    "score of 8 bytes": (
        small() + field(1, field(1, b"q") + varint(2 << 3 | 1) + bytes(8)), "no float32"
    ),
    "no unknown": (model([("a", 0.0, NORMAL)]), "0 unknown pieces"),
    "two unknown": (
        model([("a", 0.0, UNKNOWN), ("b", 0.0, UNKNOWN)], field(40, 9)), "2 unknown pieces"
    ),
    "word model": (model(BASE, field(3, 3)), "algorithm 'word' is not supported"),
    "algorithm 99": (model(BASE, field(3, 99)), "algorithm 99 is not supported"),
    "suffix spaces": (model(BASE, field(24, 1)), "as a suffix"),
    "spaces as they are": (model(BASE, b"", field(5, 0)), "not escaped"),
    "some bytes": (model([*BASE, *BYTES[:9]], field(35, 1)), "9 of the 256 byte pieces"),
    "rewrites its output": (small() + field(5, field(2, b"x")), "rewritten by a table"),
    "charsmap a number": (model(BASE, b"", field(2, 1)), "precompiled_charsmap is no text"),
    "pickle": (b"\x80\x04\x95\x10\x00\x00\x00", ""),
    "zip": (b"PK\x03\x04" + bytes(60), ""),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(name: str) -> None:
    data, said = ATTACKS[name]
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(CheckpointError) as caught:
            read_sentencepiece(data, "some.model")
        seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert said in str(caught.value) and str(caught.value).startswith("some.model: ")
    assert "\n" not in str(caught.value)
    assert seconds < 1.0 and peak < 16 << 20


def test_every_truncation_is_an_error_or_whole() -> None:
    """A protobuf has no end mark: cut between two fields it is a smaller, consistent model."""
    data = small(with_bytes=False)
    whole = read_sentencepiece(data, "t")
    shorter = 0
    for size in range(len(data)):
        try:
            found = read_sentencepiece(data[:size], "t")
        except CheckpointError:
            continue
        shorter += 1
        assert found.pieces == whole.pieces[: len(found.pieces)]
    assert 0 < shorter <= len(whole.pieces) + 1


def test_every_bit_flip_is_an_error_or_consistent() -> None:
    data = small(with_bytes=False)
    accepted = 0
    for position in range(len(data) * 8):
        changed = bytearray(data)
        changed[position // 8] ^= 1 << position % 8
        try:
            found = read_sentencepiece(bytes(changed), "t")
        except CheckpointError:
            continue
        accepted += 1
        texts = [p.text for p in found.pieces]
        assert len(set(texts)) == len(texts) and all(texts)
        assert found.pieces[found.unk_id].kind == UNKNOWN
        assert all(struct.unpack("<f", struct.pack("<f", p.score)) for p in found.pieces)
    assert accepted > 100


@pytest.mark.parity
def test_same_fields_as_the_library(shared: Path) -> None:
    pb2 = pytest.importorskip("sentencepiece.sentencepiece_model_pb2", reason="no oracle")
    for data in (small(), (shared / "tokenizers" / "llama-2" / "tokenizer.model").read_bytes()):
        theirs, found = pb2.ModelProto.FromString(data), read_sentencepiece(data, "t")
        assert [tuple(p) for p in found.pieces] == [
            (p.piece, p.score, p.type) for p in theirs.pieces
        ]
        assert found.byte_fallback == theirs.trainer_spec.byte_fallback
        assert found.dummy_prefix == theirs.normalizer_spec.add_dummy_prefix
        assert found.collapse_spaces == theirs.normalizer_spec.remove_extra_whitespaces
        assert found.unk_id == theirs.trainer_spec.unk_id
