"""SentencePiece files by hand, so that no protobuf library vouches for the reader."""

from __future__ import annotations

import struct
from collections.abc import Iterable

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
BASE = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
BYTES = [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
WORDS = ["\u2581h", "el", "\u2581hel", "lo", "\u2581hello", "\u2581\u2581"]
LETTERS = ["\u2581", "h", "e", "l", "o", "<", "s", ">", "s>"]


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    """One field: an integer, or a length and bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def piece(text: str | bytes, score: float = 0.0, kind: int = NORMAL) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    body = field(1, raw) + varint(2 << 3 | 5) + struct.pack("<f", score)
    return field(1, body + (field(3, kind) if kind != NORMAL else b""))


def model(
    pieces: Iterable[tuple[str, float, int]], trainer: bytes = b"", normalizer: bytes = b""
) -> bytes:
    """A whole file: byte-pair, identity normalization, all spaces kept, unless told otherwise."""
    body = b"".join(piece(*entry) for entry in pieces)
    return body + field(2, field(3, 2) + trainer) + field(3, field(4, 0) + normalizer)


def entries(with_bytes: bool = True) -> list[tuple[str, float, int]]:
    """A small vocabulary that can spell hello, and everything else by its bytes."""
    ordinary = [(text, -float(i), NORMAL) for i, text in enumerate([*WORDS, *LETTERS])]
    return [*BASE, *(BYTES if with_bytes else []), *ordinary]


def small(with_bytes: bool = True) -> bytes:
    """The file of `entries`."""
    return model(entries(with_bytes), field(35, int(with_bytes)))
