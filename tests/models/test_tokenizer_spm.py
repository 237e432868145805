from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from models.spm_builder import BYTES, CONTROL, USER_DEFINED, entries, field, model, small

from qbench.errors import CheckpointError
from qbench.models.spec import DecoderSpec
from qbench.models.tokenizer import Tokenizer
from qbench.models.vocabulary.sentencepiece_proto import read_sentencepiece

TEXTS = [
    "", "hello", " hello", "  hello", "hello ", "a\n\tb", "\n", "   ", "é你🙂", "hell", "<s>hello",
    "x</s> y", "\x00", "\u200b", "hello hello", "<0x41>", "<unk>",
]  # fmt: skip


def write(folder: Path, data: bytes, settings: Mapping[str, Any] | None = None) -> Path:
    (folder / "tokenizer.model").write_bytes(data)
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture
def wide(spec: DecoderSpec) -> DecoderSpec:
    return dataclasses.replace(spec, vocab_size=400)


def names(found: Tokenizer, ids: list[int]) -> list[str | None]:
    return [found._text_of(i) for i in ids]


def test_joins_by_score(tmp_path: Path, wide: DecoderSpec) -> None:
    found = Tokenizer.from_folder(write(tmp_path, small()), wide)
    assert names(found, found.encode("hello")) == ["<s>", "\u2581hello"]
    assert names(found, found.encode(" hello", bos=False)) == ["\u2581", "\u2581hello"]
    assert names(found, found.encode("hellé", bos=False)) == [
        "\u2581hel", "l", "<0xC3>", "<0xA9>",
    ]  # fmt: skip
    assert (found.bos_id, found.eos_ids, found.unk_id, found.vocab_size) == (1, {2}, 0, 274)


def test_control_tokens_and_bytes_do_not_arise_from_text(tmp_path: Path, wide: DecoderSpec) -> None:
    """The pieces ``<`` and ``s>`` exist, but what they would make together is no ordinary one."""
    found = Tokenizer.from_folder(write(tmp_path, small()), wide).with_template("chatml")
    ids = found.apply_chat([{"role": "user", "content": "<s>hello</s><0x41><unk>"}])
    assert not {0, 1, 2} & set(ids)
    assert found.decode(ids, skip_special=False).count("<0x41>") == 1
    assert found.encode("<0x41>", bos=False)[1:] != [3 + 0x41]


@pytest.mark.parametrize("text", [t for t in TEXTS if "s>" not in t and "<unk>" not in t])
@pytest.mark.parametrize("legacy", [None, True, False])
def test_text_comes_back(text: str, legacy: bool | None, tmp_path: Path, wide: DecoderSpec) -> None:
    settings = {} if legacy is None else {"legacy": legacy}
    found = Tokenizer.from_folder(write(tmp_path, small(), settings), wide)
    assert found.decode(found.encode(text)) == text


SPACES = [  # settings, pieces of "<s>hello"
    (None, ["<s>", "\u2581hello"]),
    ({"legacy": True}, ["<s>", "\u2581hello"]),
    ({"legacy": False}, ["<s>", "h", "el", "lo"]),
    ({"tokenizer_class": "LlamaTokenizer"}, ["<s>", "h", "el", "lo"]),
    ({"tokenizer_class": "LlamaTokenizerFast", "legacy": True}, ["<s>", "\u2581hello"]),
]


@pytest.mark.parametrize("case", range(len(SPACES)))
def test_the_space_behind_an_added_token(case: int, tmp_path: Path, wide: DecoderSpec) -> None:
    settings, expected = SPACES[case]
    found = Tokenizer.from_folder(write(tmp_path, small(), settings), wide)
    assert names(found, found.encode_marked("<s>hello")) == expected
    assert names(found, found.encode_marked(" hello")) == ["\u2581", "\u2581hello"]


RULES = [  # settings, what surrounds a text
    (None, [1], []),
    ({"add_bos_token": True}, [1], []),
    ({"add_bos_token": False}, [], []),
    ({"add_eos_token": True}, [1], [2]),
    ({"bos_token": "</s>"}, [2], []),
    ({"bos_token": None}, [], []),
]


@pytest.mark.parametrize("case", range(len(RULES)))
def test_bos_and_eos(case: int, tmp_path: Path, wide: DecoderSpec) -> None:
    settings, first, last = RULES[case]
    found = Tokenizer.from_folder(write(tmp_path, small(), settings), wide)
    inner = found.encode_marked("hello")
    assert found.encode("hello") == [*first, *inner, *last]
    assert found.encode("hello", bos=False) == inner


def test_added_tokens_of_all_sources(tmp_path: Path, wide: DecoderSpec) -> None:
    decoder = {"274": {"content": "<|end|>", "special": True, "rstrip": True}}
    settings = {"added_tokens_decoder": decoder, "eos_token": "<|end|>"}
    found = Tokenizer.from_folder(write(tmp_path, small(), settings), wide)
    assert found.encode("hello<|end|>  ", bos=False) == [263, 274] and found.eos_ids == {274}
    (tmp_path / "tokenizer_config.json").write_text("{}")
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<pad>": 274, "<x>": 275}))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"pad_token": "<pad>"}))
    found = Tokenizer.from_folder(tmp_path, wide)
    assert found.encode("<x><pad>", bos=False) == [275, 274]
    assert found.decode([275, 274]) == "<x>"
    assert len(found.folder_files.sources) == 4


def test_reserved_pieces_take_the_names_of_the_settings(tmp_path: Path, wide: DecoderSpec) -> None:
    data = model([*entries(), ("<reserved>", 0.0, CONTROL)], field(35, 1))
    settings = {"added_tokens_decoder": {"274": {"content": "<call>", "special": True}}}
    found = Tokenizer.from_folder(write(tmp_path, data, settings), wide)
    assert found.encode("<call>", bos=False) == [274]


def test_ids_with_a_hole_are_refused(tmp_path: Path, wide: DecoderSpec) -> None:
    settings = {"added_tokens_decoder": {"280": {"content": "<far>", "special": True}}}
    with pytest.raises(CheckpointError, match=r"'<far>' should have the id 280, but .* it has 274"):
        Tokenizer.from_folder(write(tmp_path, small(), settings), wide)


def test_user_defined_pieces_stay_whole(tmp_path: Path, wide: DecoderSpec) -> None:
    extra = [("<tool>", 0.0, USER_DEFINED), ("\u2581\u2581\u2581", 0.0, USER_DEFINED)]
    data = model([*entries(), *extra], field(35, 1), field(3, 0))
    found = Tokenizer.from_folder(write(tmp_path, data), wide)
    assert names(found, found.encode("h<tool>h", bos=False)) == ["h", "<tool>", "h"]
    assert found.decode([274]) == "<tool>"
    assert found.encode("h   h", bos=False)[1] == 275


def test_a_model_that_does_not_fit(tmp_path: Path, spec: DecoderSpec) -> None:
    small_spec = dataclasses.replace(spec, vocab_size=100)
    with pytest.raises(CheckpointError, match="this tokenizer does not fit the model"):
        Tokenizer.from_folder(write(tmp_path, small()), small_spec)


def test_hash_names_every_file(tmp_path: Path, wide: DecoderSpec) -> None:
    def sha(data: bytes, settings: Mapping[str, Any] | None = None) -> str:
        return Tokenizer.from_folder(write(tmp_path, data, settings), wide).sha256

    other = model([*entries(), ("q", -99.0, 1)], field(35, 1))
    hashes = [sha(small()), sha(other), sha(small(), {}), sha(small(), {"legacy": True})]
    assert len(set(hashes)) == 4


def trained(tmp_path: Path, shared: Path, **options: Any) -> bytes:
    spm = pytest.importorskip("sentencepiece", reason="the oracle is not installed")
    text = tmp_path / "text"
    folder = shared / "data" / "flores200" / "flores200_dataset" / "dev"
    lines = [
        line for path in sorted(folder.glob("*.dev")) for line in path.read_text().split("\n")[:150]
    ]
    text.write_text("\n".join(lines))
    spm.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / "m"), minloglevel=2, num_threads=1, **options
    )
    return (tmp_path / "m.model").read_bytes()


KINDS: list[dict[str, Any]] = [
    {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity",
     "remove_extra_whitespaces": False, "vocab_size": 3000},
    {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity",
     "remove_extra_whitespaces": False, "add_dummy_prefix": False, "vocab_size": 3000,
     "user_defined_symbols": ["<tool>", "\u2581\u2581\u2581"]},
    {"model_type": "bpe", "normalization_rule_name": "nmt_nfkc", "vocab_size": 3000},
    {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc", "vocab_size": 3000},
    {"model_type": "unigram", "byte_fallback": True, "normalization_rule_name": "identity",
     "remove_extra_whitespaces": False, "vocab_size": 3000},
]  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_same_ids_as_sentencepiece(
    kind: int, shared: Path, tmp_path: Path, spec: DecoderSpec
) -> None:
    data = trained(tmp_path, shared, **KINDS[kind])
    import sentencepiece

    theirs = sentencepiece.SentencePieceProcessor(model_proto=data)
    folder = tmp_path / "model"
    folder.mkdir()
    found = Tokenizer.from_folder(write(folder, data), dataclasses.replace(spec, vocab_size=4000))
    rng = random.Random(kind)
    alphabet = "ab eo =-_.*#/\\<>s0xA1é你ﬁ\u3000\t\n\u00a0 "
    texts = [t for t in TEXTS if "s>" not in t and "<unk>" not in t and "<0x" not in t]
    texts += [
        "".join(
            rng.choice(alphabet) * rng.choice([1, 1, 1, 2, 5]) for _ in range(rng.randint(1, 9))
        )
        for _ in range(3000)
    ]
    folder = shared / "data" / "flores200" / "flores200_dataset" / "devtest"
    for path in sorted(folder.glob("*.devtest")):
        texts += path.read_text().split("\n")[:100]
    assert len(texts) > 4000
    unigram = KINDS[kind]["model_type"] == "unigram"
    for text in texts:
        if "<s>" in text:
            continue
        ids, expected = found.encode(text, bos=False), theirs.encode(text)
        if unigram and ids != expected:  # two ways of one score: 00 000 and 000 00
            score = [sum(map(theirs.get_score, some)) for some in (ids, expected)]
            assert score[0] == pytest.approx(score[1], abs=1e-4), text
        else:
            assert ids == expected, text
        if KINDS[kind].get("byte_fallback"):
            assert found.decode(found.encode(text)) == text


def test_a_piece_of_each_byte_is_needed() -> None:
    broken = [entry for entry in entries() if entry != BYTES[7]]
    with pytest.raises(CheckpointError, match="255 of the 256"):
        read_sentencepiece(model(broken, field(35, 1)), "t")
