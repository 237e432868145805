"""Contestants that fail are left out by name, and the others still compared."""

from __future__ import annotations

from pathlib import Path

import contest
import pytest
from contest import SCRIPTS, Contestant, in_turn, ratio

SERVE = (SCRIPTS / "serve.py").read_text()
FAKE = """
import os, sys
from serve import serve

def load(speed, fails="", at=-1):
    def work(seed):
        if seed == at and fails == "dies":
            print("the last thing it says\\n", file=sys.stderr, flush=True)
            os.abort()
        if seed == at and fails == "leaves":
            os._exit(3)
        if seed == at and fails == "raises":
            raise ValueError("no more")
        return seed + speed
    if fails == "loads":
        raise OSError("no such model")
    return {"work": work}

serve(load)
"""


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "serve.py").write_text(SERVE)
    (tmp_path / "fake.py").write_text(FAKE)
    monkeypatch.setattr(contest, "SETTLE_SECONDS", 0.0)
    return tmp_path


@pytest.mark.parametrize(
    ("fails", "reason"),
    [
        ("dies", "bad: the process has ended (signal SIGABRT): the last thing it says"),
        ("leaves", "bad: the process has ended (exit status 3)"),
        ("raises", "bad: ValueError: no more"),
    ],
)
@pytest.mark.parametrize("at", [0, 2])
def test_who_fails_is_left_out_by_name(scripts: Path, fails: str, reason: str, at: int) -> None:
    notes: list[str] = []
    here = [
        Contestant("good", "fake", {"speed": 1.0}, scripts),
        Contestant("bad", "fake", {"speed": 0.0, "fails": fails, "at": at}, scripts),
        Contestant("slow", "fake", {"speed": 9.0}, scripts),
    ]
    try:
        answers = in_turn(here, 3, "work", notes.append)
    finally:
        for contestant in here:
            contestant.close()
    assert answers == {"good": [2.0, 3.0, 4.0], "slow": [10.0, 11.0, 12.0]}
    assert notes == [f"left out: {reason}"]
    assert ratio(answers["good"], answers["slow"]) == pytest.approx(11 / 3)


def test_who_cannot_load_says_why(scripts: Path) -> None:
    with pytest.raises(contest.Dropout, match="bad: OSError: no such model"):
        Contestant("bad", "fake", {"speed": 1.0, "fails": "loads"}, scripts)
