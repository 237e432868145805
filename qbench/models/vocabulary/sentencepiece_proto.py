"""Reading a SentencePiece model file: a bounded reader of the few protobuf fields that matter.

The file is a protobuf message that anybody may have written. Every length is checked against the
bytes that are left before anything is taken, unknown fields are stepped over, and what a tokenizer
of qbench could not reproduce is refused by name. It must not know what the pieces become.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from qbench.errors import CheckpointError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Kinds of pieces, numbered as in the file."""

UNIGRAM, BPE = 1, 2
_ALGORITHMS = {UNIGRAM: "unigram", BPE: "bpe", 3: "word", 4: "char"}

MAX_PIECE_BYTES = 512
MAX_PIECES = 1 << 22


class Piece(NamedTuple):
    """One entry of the vocabulary; its id is its position."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SentencePiece:
    """A SentencePiece vocabulary and how it treats a text before cutting it.

    ``charsmap`` is the compiled table of character replacements, empty for none. ``bos`` and
    ``eos`` are texts of pieces, None where the model has none.
    """

    pieces: tuple[Piece, ...]
    algorithm: int = BPE
    byte_fallback: bool = False
    unk_id: int = 0
    bos: str | None = None
    eos: str | None = None
    charsmap: bytes = b""
    dummy_prefix: bool = True
    collapse_spaces: bool = True


class _Message:
    """The fields of one protobuf message."""

    def __init__(self, data: memoryview, where: str) -> None:
        self.data = data
        self.where = where

    def fail(self, what: str) -> NoReturn:
        raise CheckpointError(f"{self.where}: no SentencePiece model: {what}")

    def _varint(self, position: int) -> tuple[int, int]:
        """Read a variable-length integer of at most ten bytes."""
        value = 0
        for index in range(10):
            if position >= len(self.data):
                self.fail("it ends within a number")
            byte = self.data[position]
            position += 1
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, position
        self.fail("a number has more than ten bytes")

    def fields(self) -> Iterator[tuple[int, int | memoryview]]:
        """Every field by its number: integers as they are, all others as bytes."""
        position = 0
        while position < len(self.data):
            key, position = self._varint(position)
            number, wire = key >> 3, key & 7
            if wire == 0:
                value, position = self._varint(position)
                yield number, value
                continue
            if wire == 2:
                size, position = self._varint(position)
            elif wire in (1, 5):
                size = 8 if wire == 1 else 4
            else:
                self.fail(f"field {number} has the unknown wire type {wire}")
            if number == 0 or size > len(self.data) - position:
                self.fail(f"field {number} has {size} bytes, {len(self.data) - position} are left")
            yield number, self.data[position : position + size]
            position += size

    def number(self, value: int | memoryview, name: str) -> int:
        """Take a field for an integer."""
        if not isinstance(value, int):
            self.fail(f"{name} is no integer")
        return value - (1 << 64) if value >> 63 else value

    def bytes(self, value: int | memoryview, name: str) -> memoryview:
        """Take a field for bytes."""
        if isinstance(value, int):
            self.fail(f"{name} is no text")
        return value

    def text(self, value: int | memoryview, name: str) -> str:
        """Take a field for UTF-8."""
        try:
            return str(self.bytes(value, name), "utf-8")
        except UnicodeDecodeError:
            self.fail(f"{name} is no UTF-8")


def read_sentencepiece(data: bytes, where: str) -> SentencePiece:
    """Read a SentencePiece model.

    Parameters
    ----------
    data
        The file.
    where
        Its name, for errors.

    Raises
    ------
    CheckpointError
        If it is cut off or broken, has pieces that cannot be, or needs what is not supported.
    """
    message = _Message(memoryview(data), where)
    pieces: list[Piece] = []
    trainer: dict[int, int | memoryview] = {}
    normalizer: dict[int, int | memoryview] = {}
    for number, value in message.fields():
        if number == 1:
            pieces.append(_piece(_Message(message.bytes(value, "a piece"), where), len(pieces)))
        elif number == 2:
            trainer.update(_Message(message.bytes(value, "trainer_spec"), where).fields())
        elif number == 3:
            normalizer.update(_Message(message.bytes(value, "normalizer_spec"), where).fields())
        elif number == 5:
            denormalizer = dict(_Message(message.bytes(value, "denormalizer"), where).fields())
            if denormalizer.get(2):
                message.fail("its output is rewritten by a table, which is not supported")
    _check_pieces(pieces, message)
    return _assemble(pieces, trainer, normalizer, message)


def _piece(message: _Message, index: int) -> Piece:
    """Read one entry of the vocabulary."""
    text, score, kind = "", 0.0, NORMAL
    for number, value in message.fields():
        if number == 1:
            raw = message.bytes(value, f"piece {index}")
            if len(raw) > MAX_PIECE_BYTES:
                message.fail(f"piece {index} has {len(raw)} bytes, at most {MAX_PIECE_BYTES}")
            text = message.text(raw, f"piece {index}")
        elif number == 2:
            raw = message.bytes(value, f"the score of piece {index}")
            if len(raw) != 4:
                message.fail(f"the score of piece {index} is no float32")
            score = struct.unpack("<f", raw)[0]
        elif number == 3:
            kind = message.number(value, f"the kind of piece {index}")
    if not text:
        message.fail(f"piece {index} has no text")
    if not math.isfinite(score):
        message.fail(f"piece {index} has the score {score}")
    if not NORMAL <= kind <= BYTE:
        message.fail(f"piece {index} has the unknown kind {kind}")
    return Piece(text, score, kind)


def _check_pieces(pieces: list[Piece], message: _Message) -> None:
    """Require a vocabulary in which every text has one id."""
    if not pieces:
        message.fail("it has no pieces")
    if len(pieces) > MAX_PIECES:
        message.fail(f"it has {len(pieces)} pieces")
    seen: dict[str, int] = {}
    for index, piece in enumerate(pieces):
        if seen.setdefault(piece.text, index) != index:
            message.fail(f"the piece {piece.text!r:.60} stands at {seen[piece.text]} and {index}")


def _assemble(
    pieces: list[Piece],
    trainer: dict[int, int | memoryview],
    normalizer: dict[int, int | memoryview],
    message: _Message,
) -> SentencePiece:
    """Put the settings beside the pieces; absent fields have protobuf's declared defaults."""

    def integer(fields: dict[int, int | memoryview], number: int, name: str, default: int) -> int:
        return message.number(fields[number], name) if number in fields else default

    algorithm = integer(trainer, 3, "model_type", UNIGRAM)
    if algorithm not in (UNIGRAM, BPE):
        name = _ALGORITHMS.get(algorithm, algorithm)
        message.fail(f"the algorithm {name!r} is not supported; supported: unigram, bpe")
    if integer(trainer, 24, "treat_whitespace_as_suffix", 0):
        message.fail("white space as a suffix is not supported")
    if not integer(normalizer, 5, "escape_whitespaces", 1):
        message.fail("white space that is not escaped is not supported")
    unk_id = integer(trainer, 40, "unk_id", 0)
    if not 0 <= unk_id < len(pieces) or pieces[unk_id].kind != UNKNOWN:
        found = [index for index, piece in enumerate(pieces) if piece.kind == UNKNOWN]
        if len(found) != 1:
            message.fail(f"it has {len(found)} unknown pieces, one is needed")
        unk_id = found[0]

    def named(number: int, default: int) -> str | None:
        index = integer(trainer, number, "a special id", default)
        at = pieces[index] if 0 <= index < len(pieces) else None
        return at.text if at is not None and at.kind == CONTROL else None

    charsmap = message.bytes(normalizer[2], "precompiled_charsmap") if 2 in normalizer else b""
    byte_fallback = bool(integer(trainer, 35, "byte_fallback", 0))
    texts = {piece.text for piece in pieces if piece.kind == BYTE}
    if byte_fallback and texts != {f"<0x{byte:02X}>" for byte in range(256)}:
        message.fail(f"it falls back to bytes and has {len(texts)} of the 256 byte pieces")
    return SentencePiece(
        pieces=tuple(pieces),
        algorithm=algorithm,
        byte_fallback=byte_fallback,
        unk_id=unk_id,
        bos=named(41, 1),
        eos=named(42, 2),
        charsmap=bytes(charsmap),
        dummy_prefix=bool(integer(normalizer, 3, "add_dummy_prefix", 1)),
        collapse_spaces=bool(integer(normalizer, 4, "remove_extra_whitespaces", 1)),
    )
