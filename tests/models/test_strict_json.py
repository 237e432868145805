from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from qbench.errors import CheckpointError, DataError
from qbench.models import strict_json
from qbench.models.strict_json import Fields, loads, read_object

BAD = {
    "nan": (b'{"a": NaN}', "NaN is no JSON"),
    "infinity": (b'{"a": -Infinity}', "-Infinity is no JSON"),
    "overflow": (b'{"a": 1e999}', "does not fit a float64"),
    "duplicate": (b'{"a": 1, "a": 1}', "'a' stands twice"),
    "nested duplicate": (b'{"x": [{"a": 1, "b": 2, "a": 1}]}', "'a' stands twice"),
    "escaped duplicate": (b'{"a": 1, "\\u0061": 1}', "'a' stands twice"),
    "surrogate": (b'{"a": "\\ud800"}', "surrogate"),
    "surrogate in array": (b'["\\uDFFF"]', "surrogate"),
    "surrogate key": (b'{"\\ud800": 1}', "surrogate"),
    "deep array": (b"[" * 100_000 + b"]" * 100_000, "nested deeper than 64"),
    "deep object": (b'{"a":' * 70 + b"1" + b"}" * 70, "nested deeper than 64"),
    "deep unclosed": (b"[" * 5_000_000, "nested deeper than 64"),
    "digits": (b"1" * 5000, "no valid JSON"),
    "no utf-8": (b'{"a": "\xff"}', "no UTF-8 at byte 7"),
    "truncated": (b'{"a": 1', "no valid JSON"),
    "trailing": (b"{} x", "no valid JSON"),
    "empty": (b"", "no valid JSON"),
    "bom": (b"\xef\xbb\xbf{}", "no valid JSON"),
    "single quotes": (b"{'a': 1}", "no valid JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_hostile_json_is_one_error(name: str) -> None:
    data, fragment = BAD[name]
    start = time.perf_counter()
    with pytest.raises(CheckpointError) as caught:
        loads(data, "f.json")
    assert str(caught.value).startswith("f.json: ") and fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - start < 2


def test_good_json_is_what_python_reads() -> None:
    text = '{"a": [1, -2.5e3, true, null, "\\ud83d\\ude00 [{", {"b": "\\\\\\""}], "c": 1e308}'
    assert loads(text.encode(), "f") == json.loads(text)
    at_the_limit = b"[" * 64 + b"]" * 64
    assert loads(at_the_limit, "f") == json.loads(at_the_limit)
    assert loads(b'["' + b"[" * 1000 + b'"]', "f") == ["[" * 1000]


def test_the_error_class_can_be_chosen() -> None:
    with pytest.raises(DataError):
        loads(b"{", "f", error=DataError)


def test_read_object_wants_an_object(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text("[1]")
    with pytest.raises(CheckpointError, match="expected an object, found an array"):
        read_object(path)
    path.write_text('{"a": 1}')
    assert read_object(path) == {"a": 1}


WRONG = [
    (lambda f: f.integer("x", 0, 5), True, "an integer in 0..5, found the boolean True"),
    (lambda f: f.integer("x", 0, 5), 1.0, "found the number 1.0"),
    (lambda f: f.integer("x", 0, 5), 6, "found the integer 6"),
    (lambda f: f.integer("x", 0, 5), None, "found null"),
    (lambda f: f.integer("x", 0, 5), "3", "found the string '3'"),
    (lambda f: f.integer("x", 0, 5), [3], "found an array"),
    (lambda f: f.number("x", 0, 1), False, "a number between 0 and 1, found the boolean False"),
    (lambda f: f.number("x", 0, 1), 0, "found the integer 0"),
    (lambda f: f.number("x", 0, 1), {}, "found an object"),
    (lambda f: f.boolean("x", False), 1, "true or false, found the integer 1"),
    (lambda f: f.string("x"), 1, "a string, found the integer 1"),
    (lambda f: f.object("x"), [], "an object, found an array"),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_fields_name_file_key_expected_found(case: int) -> None:
    ask, value, fragment = WRONG[case]
    with pytest.raises(CheckpointError) as caught:
        ask(Fields({"x": value}, "c.json"))
    assert "c.json: x: expected " in str(caught.value) and fragment in str(caught.value)


def test_fields_defaults() -> None:
    fields = Fields({"n": None}, "c")
    assert fields.integer("n", 0, 5, 4) == 4 and fields.number("z", 0, 1, 0.5) == 0.5
    assert fields.boolean("n", True) is True and fields.string("n", "d") == "d"
    assert fields.object("n") is None and fields.optional_integer("n", 0, 1) is None
    with pytest.raises(CheckpointError, match="found nothing"):
        fields.integer("absent", 0, 1)
    assert Fields({"x": 3}, "c").number("x", 0, 5) == 3.0
    assert strict_json.CONFIG_LIMIT == 16 << 20
