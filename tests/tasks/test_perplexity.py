from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_material import ToyTokenizer

from qbench.data import Corpus
from qbench.errors import RequestError
from qbench.tasks import Prepared, WindowRequest, get_task, parse_task
from qbench.tasks.perplexity import prepare_corpus

TOKENIZER = ToyTokenizer()


def prepare(*documents: str, **given: object) -> Prepared:
    settings = {"tokenizer": TOKENIZER, "context_length": 16} | given
    return prepare_corpus(Corpus("c", documents, "0" * 64), **settings)  # type: ignore[arg-type]


def requests(prepared: Prepared) -> list[WindowRequest]:
    found = [item.request for item in prepared.items]
    assert all(isinstance(request, WindowRequest) for request in found)
    return found  # type: ignore[return-value]


def test_bos_stands_at_the_very_start_only() -> None:
    first, second = requests(prepare("abcdefg", window=4, context_length=4))
    assert (first.context, first.continuation) == ((0,), tuple(b"abc"))
    assert (second.context, second.continuation) == (tuple(b"d"), tuple(b"efg"))
    no_bos = ToyTokenizer(adds_bos=False)
    first, second = requests(prepare("abcdefgh", tokenizer=no_bos, window=4))
    assert (first.context, first.continuation) == (tuple(b"a"), tuple(b"bcd"))
    assert (second.context, second.continuation) == (tuple(b"e"), tuple(b"fgh"))


def test_words_and_bytes_of_a_text_that_is_scored_whole() -> None:
    text = "one two  three\nfoür five six seven"
    for stride in (1, 3, 7):
        found = requests(prepare(text, window=8, stride=stride))
        assert sum(len(r.continuation) for r in found) == len(text)
        assert sum(r.n_words for r in found) == 7
        assert sum(r.n_bytes for r in found) == len(text.encode())


@given(st.text("ab \n", min_size=2, max_size=80), st.integers(2, 16))
def test_words_follow_the_share_of_scored_tokens(text: str, window: int) -> None:
    found = requests(prepare(text, window=window))
    scored = sum(len(r.continuation) for r in found)
    assert sum(r.n_words for r in found) == len(text.split()) * scored // len(text)
    assert sum(r.n_bytes for r in found) == scored


def test_the_last_window_of_each_preset() -> None:
    text = "x" * 20  # 21 tokens with BOS
    assert [len(r.continuation) for r in requests(prepare(text, window=8))] == [7, 7, 4]
    gptq = prepare(text, window=8, preset="gptq")
    assert [len(r.continuation) for r in requests(gptq)] == [7, 7]
    assert gptq.spec.canonical == "perplexity:gptq"
    with pytest.raises(RequestError, match="use perplexity:windows to stride"):
        prepare(text, window=8, stride=4, preset="gptq")


def test_documents_stand_alone_and_are_clusters() -> None:
    prepared = prepare("abcdef", "", "g", "hi", window=4)
    assert [item.id for item in prepared.items] == [
        "d00000/w000000",
        "d00000/w000001",
        "d00002/w000000",
        "d00003/w000000",
    ]
    assert [item.cluster for item in prepared.items] == ["d00000", "d00000", "d00002", "d00003"]
    assert [r.context for r in requests(prepared)] == [(0,), (ord("d"),), (0,), (0,)]
    alone = prepare("abcdefghi", window=4)
    assert [item.cluster for item in alone.items] == ["w000000", "w000001", "w000002"]


def test_default_window_and_refusals() -> None:
    assert "windows of 16 tokens, stride 16" in prepare("x" * 99).notes
    assert "windows of 2048 tokens, stride 2048" in prepare("x" * 99, context_length=4096).notes
    with pytest.raises(RequestError, match="window of 17 tokens exceeds the context of 16"):
        prepare("xx", window=17)
    with pytest.raises(RequestError, match="fewer than two tokens"):
        prepare("", "")
    with pytest.raises(RequestError, match="stride 9"):
        prepare("xx", window=8, stride=9)
    with pytest.raises(RequestError, match="name a model"):
        get_task("perplexity").prepare(
            parse_task("perplexity"),
            Path(),
            tokenizer=None,
            context_length=8,
            limit=None,
            seed=0,
        )


def test_limit_counts_windows_and_is_nested() -> None:
    def ids(limit: int | None) -> list[str]:
        return [item.id for item in prepare("x" * 400, limit=limit, seed=5).items]

    assert prepare("x" * 400, limit=3).n_total == len(ids(None)) == 25
    assert len(ids(10)) == 10
    assert set(ids(3)) < set(ids(10)) < set(ids(None))
    assert ids(10) == sorted(ids(10))


def test_protocols_differ_in_their_hash() -> None:
    text = "x" * 64
    hashes = {
        prepare(text, window=8).prompt_sha256,
        prepare(text, window=4).prompt_sha256,
        prepare(text, window=8, stride=4).prompt_sha256,
        prepare(text, window=8, preset="gptq").prompt_sha256,
    }
    assert len(hashes) == 4
    assert prepare(text, window=8, limit=2).prompt_sha256 in hashes


def test_long_texts_are_encoded_once_for_equal_tokenizers() -> None:
    text = "long text " * 10_001
    first, again, other = ToyTokenizer(), ToyTokenizer(), ToyTokenizer(adds_bos=False)
    one, two, three = (
        prepare(text, tokenizer=t, limit=5, window=16) for t in (first, again, other)
    )
    assert (first.n_encoded, again.n_encoded, other.n_encoded) == (1, 0, 1)
    assert one == two
    assert one.items != three.items
    changed = prepare(text.upper(), tokenizer=again, limit=5, window=16)
    assert again.n_encoded == 1
    assert changed.items != one.items
    nameless = ToyTokenizer()
    nameless.sha256 = ""
    assert prepare(text, tokenizer=nameless, limit=5, window=16) == one
    assert nameless.n_encoded == 1


def test_wikitext2_through_the_task(tmp_path: Path) -> None:
    (tmp_path / "wiki.test.raw").write_text(" \n = A = \n \n Some text .\n")
    prepared = get_task("perplexity").prepare(
        parse_task("perplexity"),
        tmp_path,
        tokenizer=TOKENIZER,
        context_length=4096,
        limit=None,
        seed=0,
    )
    (request,) = requests(prepared)
    assert bytes(request.continuation) == b"\n\n = A = \n\n\n\n\n Some text .\n"
    assert prepared.preset.kind == "perplexity"
    (item,) = prepared.items
    score = get_task("perplexity").score(item, {"logprobs": [-3.0 * math.log(2)]})
    assert score.parts == {
        "nll": pytest.approx(3 * math.log(2)),
        "bits": pytest.approx(3.0),
        "n_tokens": 27,
        "n_words": 6,
        "n_bytes": 27,
    }
