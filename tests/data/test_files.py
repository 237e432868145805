from __future__ import annotations

import os
from pathlib import Path

import pytest

from qbench.data.files import combined_sha256, json_object, read_text
from qbench.errors import DataError, QbenchError, RequestError


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "LFS"),
        (b"\n <!DOCTYPE html><html>no</html>", "web page"),
        (b"<HTML>", "web page"),
        (b"ab\0c", "offset 2"),
        (b"abc\xff", "0xff at offset 3"),
        (b"abc\xe2\x82", "offset 3"),
        (b"\xed\xa0\x80", "offset 0"),
        (b"x" * 101, "larger than"),
    ],
)
def test_refused_content(tmp_path: Path, content: bytes, fragment: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=fragment) as caught:
        read_text(path, 100)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refused_kinds(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(RequestError, match="no such file"):
        read_text(tmp_path / "absent", 10)
    for name in ("pipe", ".", "loop"):
        with pytest.raises(QbenchError, match=r"not a regular file|cannot be read"):
            read_text(tmp_path / name, 10)


def test_text_is_kept_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes("\ufeffa\r\nb\u2028c\x85d\n\ne".encode())
    file = read_text(path, 100)
    assert file.text == "a\r\nb\u2028c\x85d\n\ne"
    assert file.lines() == ["a\r", "b\u2028c\x85d", "", "e"]
    path.write_bytes(b"a\nb\n")
    assert read_text(path, 4).lines() == ["a", "b"]


def test_combined_hash_depends_on_bytes_and_names_only(tmp_path: Path) -> None:
    def digest(folder: str, files: dict[str, bytes], order: int = 1) -> str:
        base = tmp_path / folder
        base.mkdir()
        for name, content in files.items():
            (base / name).write_bytes(content)
        return combined_sha256([read_text(base / n, 9) for n in list(files)[::order]], base)

    one = digest("one", {"a": b"1", "b": b"2"})
    assert one == digest("two", {"a": b"1", "b": b"2"}, -1)
    assert one != digest("three", {"a": b"1", "c": b"2"})
    assert one != digest("four", {"a": b"1", "b": b"3"})
    assert one != digest("five", {"a": b"2", "b": b"1"})


@pytest.mark.parametrize(
    "line",
    ['{"a": 1', '{"a": 1, "a": 2}', '{"a": NaN}', "[1]", "3", "[" * 100_000, '{"a": 1} x'],
)
def test_strict_json(line: str) -> None:
    with pytest.raises(DataError, match=r"^here: expected one JSON object"):
        json_object(line, "here")


def test_json_that_is_fine() -> None:
    assert json_object('{"a": {"a": "é"}, "b": [1]}', "here") == {"a": {"a": "é"}, "b": [1]}
