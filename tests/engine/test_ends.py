"""Stop texts and pieces of a stream, over a decoder that can be read with the eye."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbench.engine.ends import Ends

WORDS = ["a", "b", "ab", "ba", "aab", "c", " ", "bc"]


def decode(ids) -> str:
    return "".join(WORDS[i] for i in ids)


def decode_bytes(ids) -> str:
    return bytes(ids).decode(errors="replace")


CASES = [
    ([0, 1, 5, 0], ["c"], "ab", 2),
    ([0, 2, 5], ["bc"], "aa", 2),  # the stop spans two tokens, the first of which is needed
    ([7, 7], ["cb"], "b", 1),
    ([5, 0], ["c"], "", 0),
    ([0, 1], ["c"], "ab", None),
    ([0, 1, 5], [], "abc", None),
    ([0, 1, 5], ["c", "b"], "a", 1),
    ([0, 1, 0, 1, 5], ["babc", "ab"], "", 0),
    # "bc" is complete before "abcb" is, although that one begins before it.
    ([0, 7, 7], ["abcb", "bc"], "a", 1),
    ([0, 7], ["abc", "bc"], "", 0),  # complete at the same character: the longer one
]


@pytest.mark.parametrize(("ids", "stops", "text", "n_ids"), CASES)
def test_cut(ids, stops, text, n_ids) -> None:
    assert Ends((), tuple(stops), decode).cut(ids) == (text, n_ids)


some_ids = st.lists(st.integers(0, len(WORDS) - 1), max_size=20)
some_stops = st.lists(st.text("abc", min_size=1, max_size=4), max_size=3)


@given(some_ids, some_stops)
def test_it_does_not_matter_how_often_one_looks(ids, stops) -> None:
    ends = Ends((), tuple(stops), decode)
    text, n_ids = ends.cut(ids)
    looks = [ends.cut(ids[:n]) for n in range(len(ids) + 1)]
    first = next((look for look in looks if look[1] is not None), looks[-1])
    assert first == (text, n_ids)
    if n_ids is not None:
        assert decode(ids[:n_ids]).startswith(text)
        assert n_ids == 0 or not decode(ids[: n_ids - 1]).startswith(text)
        assert any(decode(ids).startswith(text + stop) for stop in stops)
    assert all(stop not in text for stop in stops)


@given(some_ids, some_stops)
def test_pieces_never_have_to_be_taken_back(ids, stops) -> None:
    ends = Ends((), tuple(stops), decode)
    final, _ = ends.cut(ids)
    sent = ""
    for n in range(len(ids) + 1):
        text, n_ids = ends.cut(ids[:n])
        done = n_ids is not None or n == len(ids)
        sent += text[len(sent) : ends.ready(text, len(sent), done)]
        assert final.startswith(sent)
        if done:
            break
        if not stops:
            assert sent == text
    assert sent == final


def test_half_a_character_is_held_back() -> None:
    ends = Ends((), (), decode_bytes)
    ids = "é→x".encode()
    sent, pieces = 0, []
    for n in range(1, len(ids) + 1):
        text, _ = ends.cut(ids[:n])
        ready = ends.ready(text, sent, n == len(ids))
        pieces.append(text[sent:ready])
        sent = ready
    assert pieces == ["", "é", "", "", "→", "x"]
    assert ends.ready("é\ufffd", 1, True) == 2


def test_without_a_tokenizer_there_is_no_text() -> None:
    assert Ends((), (), None).cut([1, 2]) == ("", None)


def test_the_search_for_the_ids_is_not_linear() -> None:
    calls = []

    def counted(ids) -> str:
        calls.append(len(ids))
        return "x" * len(ids)

    assert Ends((), ("x" * 900,), counted).cut(range(1000)) == ("", 0)
    assert len(calls) < 15
