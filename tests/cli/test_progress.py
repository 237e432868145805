"""Progress: lines for a log, a live bar for a terminal, silence when asked."""

from __future__ import annotations

import io
import sys

import pytest

from qbench.cli import progress as module
from qbench.study.progress import Progress

RUN = Progress("run", "m", "rtn-w4g32", "snli:words@0", 2, 9, 64, 200, 3200, 2.0, "acc", 0.335)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (RUN, "2/9 m · rtn-w4g32 · snli:words@0: 64 of 200 items, acc 0.3350, 1600 tokens/s"),
        (Progress("load", "m", "f32", "", 1, 9), "1/9 m · f32: loading"),
        (
            Progress("failed", "m", "f32", "snli", 1, 9, message="layer 0"),
            "1/9 m · f32 · snli: failed: layer 0",
        ),
        (Progress("done", "m", "f32", "snli", 1, 9, 5, 5), "1/9 m · f32 · snli: 5 of 5 items"),
    ],
)
def test_an_event_is_one_line(event: Progress, text: str) -> None:
    assert module.describe(event) == text


def test_a_log_gets_a_line_per_cell(capsys: pytest.CaptureFixture[str]) -> None:
    done = Progress("done", "m\x1b[2J", "f32", "snli", 1, 9, 5, 5)
    with module.progress() as listener:
        assert listener is not None
        for event in (Progress("load", "m", "f32", "", 1, 9), RUN, RUN, done):
            listener(event)
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == "1/9 m[2J · f32 · snli: 5 of 5 items\n"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with module.progress() as listener:
        assert isinstance(listener, module._Live)
        listener(RUN)
        listener._bar.refresh()
        listener(Progress("done", "m", "f32", "evil\x1b]0;x\x07", 1, 9, 5, 5))
    text = terminal.getvalue()
    assert "64/200" in text and "acc 0.3350" in text and "1600 tok/s" in text
    assert "\x1b]0;" not in text and "\x07" not in text


def test_it_can_be_turned_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QBENCH_PROGRESS", "0")
    with module.progress() as listener:
        assert listener is None
    assert capsys.readouterr().err == ""


def test_steps_are_a_bar_on_a_terminal_and_nothing_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with module.steps("rtn-w4g32") as on_step:
        assert on_step is None
    assert capsys.readouterr() == ("", "")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with module.steps("rtn-w4g32 evil\x1b]0;x\x07") as on_step:
        assert on_step is not None
        on_step(3, 12)
        assert "rtn-w4g32 evil]0;x " in terminal.getvalue() and " 25%" in terminal.getvalue()
