"""Outside text is harmless where it is shown, and only there is it changed."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qbench.report.text import csv_cell, for_terminal, json_for_script, made_visible

# Ranges as the Unicode standard and ECMA-48 give them, independent of the code's tables.
CONTROL = [*range(0x20), *range(0x7F, 0xA0)]
BIDI = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
BIDI_CLASSES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ANY_TEXT = st.text(st.characters(codec=None), max_size=60)


@given(ANY_TEXT)
def test_a_terminal_gets_no_control_character(text: str) -> None:
    shown = for_terminal(text)
    assert not {ord(c) for c in shown} & ({*CONTROL, *BIDI} - {0x0A, 0x09})
    kept = [c for c in text if ord(c) not in {*CONTROL, *BIDI} and not 0xD800 <= ord(c) <= 0xDFFF]
    assert [c for c in shown if c not in "\n\t"] == kept


def test_every_control_character_is_dropped_or_spelt() -> None:
    for code in [*CONTROL, *BIDI]:
        if code in (0x09, 0x0A):
            continue
        assert for_terminal(f"a{chr(code)}b") == "ab"
        assert made_visible(f"a{chr(code)}b") == f"a\\u{code:04x}b"


def test_one_line_stays_one_line() -> None:
    assert for_terminal("a\n\tb\r\x1b[2Jc", multiline=False) == "a  b[2Jc"


def test_a_long_text_is_cut() -> None:
    assert made_visible("x" * 1_000_000, 10) == "x" * 9 + "…"
    assert made_visible("x" * 10, 10) == "x" * 10


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1"])
def test_a_formula_is_prefixed(text: str) -> None:
    assert csv_cell(text) == "'" + text


@pytest.mark.parametrize("value", [-1.5, -3, None, "", "a=1", "'=1", True])
def test_what_is_no_formula_stays(value: object) -> None:
    assert csv_cell(value) is value


@example(["</script>", "<!--", "a & b", "two\nlines"])
@given(st.recursive(ANY_TEXT | st.integers() | st.none(), lambda x: st.lists(x, max_size=3)))
def test_json_comes_back_and_holds_no_markup(value: object) -> None:
    text = json_for_script(value)
    assert json.loads(text) == value
    assert not set("<>&\n") & set(text) and text.isascii()


def test_json_refuses_what_no_reader_takes() -> None:
    with pytest.raises(ValueError):
        json_for_script(float("nan"))


def test_the_tables_agree_with_unicode() -> None:
    marks = [c for c in map(chr, range(0x110000)) if unicodedata.bidirectional(c) in BIDI_CLASSES]
    assert all(for_terminal(mark) == "" for mark in marks)
