"""The replay of mutants, on a small project with one good test and several bad ones."""

from __future__ import annotations

from pathlib import Path

import mutants
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CODE = "def add(a, b):\n    return a + b\n\n\ndef twice(a):\n    return 2 * a\n"
TESTS = """
import time
import pytest
from qbench.sums import add, twice

def test_add():
    assert add(2, 3) == 5

def test_blind():
    assert add(0, 0) == 0

def test_skips():
    pytest.skip("nothing to see")

def test_ends():
    while add(1, 1) != 2:
        time.sleep(0.1)
"""


def entry(find: str, replace: str, test: str, file: str = "qbench/sums.py") -> str:
    return (
        f"[[mutant]]\nfile = '{file}'\nfind = '{find}'\nreplace = '{replace}'\n"
        f"test = 'tests/test_sums.py::{test}'\n"
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "qbench").mkdir(parents=True)
    (root / "tests" / "mutants").mkdir(parents=True)
    (root / "qbench" / "__init__.py").touch()
    (root / "qbench" / "sums.py").write_text(CODE)
    (root / "tests" / "test_sums.py").write_text(TESTS)
    (root / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    return root


def replay(root: Path, *entries: str, arguments: tuple[str, ...] = ()) -> int:
    (root / "tests" / "mutants" / "sums.toml").write_text("\n".join(entries))
    return mutants.main(arguments, root)


@pytest.mark.slow
def test_verdicts(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [
        ("killed", entry("a + b", "a - b", "test_add")),
        ("killed", entry("a + b", "a - b", "test_ends")),
        ("survived", entry("a + b", "a - b", "test_blind")),
        ("survived", entry("2 * a", "3 * a", "test_add")),
        ("not run", entry("return a + b", "return a +", "test_add")),
        ("skipped", entry("a + b", "a - b", "test_skips")),
    ]
    assert replay(project, *(text for _, text in cases), arguments=("--timeout", "25")) == 1
    *lines, total = capsys.readouterr().out.splitlines()
    verdicts = [line.split(" ")[0] for line in lines if "qbench/sums.py" in line]
    assert sorted(verdicts) == sorted(verdict.split(" ")[0] for verdict, _ in cases)
    assert total == "2 killed, 3 survived, 1 skipped"
    assert (project / "qbench" / "sums.py").read_text() == CODE


@pytest.mark.slow
def test_all_killed_is_success(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(project, entry("a + b", "a - b", "test_add")) == 0
    assert capsys.readouterr().out.endswith("1 killed, 0 survived\n")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (entry("a % b", "a", "test_add"), "occurs 0 times"),
        (entry("a", "b", "test_add"), "times"),
        (entry("a + b", "a + b", "test_add"), "nothing changes"),
        (entry("a + b", "a", "test_gone"), "test_gone does not exist"),
        (entry("a + b", "a", "test_add", "qbench/gone.py"), "gone.py does not exist"),
    ],
)
def test_a_stale_entry_is_named(
    project: Path, capsys: pytest.CaptureFixture[str], bad: str, said: str
) -> None:
    assert replay(project, bad) == 1
    assert said in capsys.readouterr().err


def test_other_keys_are_refused(project: Path) -> None:
    with pytest.raises(ValueError, match="expected the keys"):
        replay(project, entry("a + b", "a", "test_add") + "colour = 'red'\n")


def test_an_unknown_area_is_refused(project: Path) -> None:
    with pytest.raises(ValueError, match="no mutants for summs"):
        replay(project, entry("a + b", "a", "test_add"), arguments=("summs",))


@pytest.mark.slow
def test_failing_tests_are_no_evidence(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "qbench" / "sums.py").write_text(CODE.replace("a + b", "a * b"))
    assert replay(project, entry("a * b", "a - b", "test_add")) == 1
    assert "the tests fail without a mutant" in capsys.readouterr().err


def test_the_lists_of_this_repository_can_be_replayed() -> None:
    listed = mutants.read_mutants(ROOT)
    assert [line for mutant in listed for line in mutants.problems(mutant, ROOT)] == []
