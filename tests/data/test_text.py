from __future__ import annotations

from pathlib import Path

import pytest

from qbench.data import DataFolder, read_corpus, read_wikitext2
from qbench.data.text import join_rows
from qbench.errors import DataError, RequestError


@pytest.mark.parametrize(
    ("raw", "joined"),
    [
        ("", ""),
        ("a", "a"),
        ("a\n", "a\n"),
        (" \n = A = \n \n B\n", "\n\n = A = \n\n\n\n\n B\n"),
        ("a\nb", "a\n\n\nb"),
        ("\n\n", "\n\n"),
        ("a\r\n\u2028\n", "a\r\n\n\n"),
    ],
)
def test_rows_keep_their_line_ends_and_blank_ones_are_empty(raw: str, joined: str) -> None:
    assert join_rows(raw) == joined


def test_wikitext2_has_the_token_count_of_the_papers(shared: Path) -> None:
    from tokenizers import Tokenizer

    corpus = read_wikitext2(DataFolder.open(shared / "data"))
    gpt2 = Tokenizer.from_file(str(shared / "tokenizers/gpt2/tokenizer.json"))
    # What transformers' guide to perplexity reports for GPT-2 on the same joined text.
    assert len(gpt2.encode(corpus.documents[0]).ids) == 287_644
    assert corpus.sha256 == "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08"


def test_plain_text_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\n\r\ntwo\n")
    corpus = read_corpus(path)
    assert (corpus.name, corpus.documents) == ("a.txt", ("one\r\n\r\ntwo\n",))


def test_jsonl_is_a_document_per_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one\\n", "url": "x"}\n\n{"text": ""}\n{"text": "two"}\n')
    assert read_corpus(path).documents == ("one\n", "", "two")


@pytest.mark.parametrize(
    ("name", "text", "fragment"),
    [
        ("a.txt", " \n\t\n", "holds no text"),
        ("a.jsonl", '{"text": " "}\n', "holds no text"),
        ("a.jsonl", '{"text": "x"}\n{"Text": "x"}\n', "line 2: expected a text under the key text"),
        ("a.ndjson", '{"text": 3}\n', "line 1: expected a text"),
        ("a.jsonl", '{"text": "x"}\n{"text": "x"\n', "line 2: expected one JSON object"),
    ],
)
def test_broken_corpora_are_named(tmp_path: Path, name: str, text: str, fragment: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=f"{name}.*{fragment}"):
        read_corpus(path)


def test_missing_and_empty_corpora(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no such file"):
        read_corpus(tmp_path / "absent.txt")
    (tmp_path / "wiki.test.raw").write_text("\n")
    with pytest.raises(DataError, match="holds no text"):
        read_wikitext2(DataFolder.open(tmp_path))
