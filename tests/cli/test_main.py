"""The border: one line for every error, exit codes, signals, pipes, and a quick start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from cli.conftest import Qbench

import qbench.errors as errors
from qbench.cli import main as module

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-c", "import sys; from qbench.cli.main import main; sys.exit(main())"]
COMMANDS = (
    "run", "quantize", "perplexity", "score", "generate", "bench", "compare", "ls", "show",
    "doctor", "report", "export",
)  # fmt: skip


def broken_app(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Replace all commands by one that raises."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def fail() -> None:
        raise error

    @app.command()
    def other() -> None:
        """Make the app a group."""

    monkeypatch.setattr(module, "app", app)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (errors.RequestError("no such thing; name another"), 2, "no such thing; name another"),
        (errors.RecipeError("recipe 'x'"), 2, "recipe 'x'"),
        (errors.CheckpointError("a.safetensors: cut"), 1, "a.safetensors: cut"),
        (errors.StoreError("locked\nby 12"), 1, "locked by 12"),
        (errors.DataError("bad \x1b[31mname"), 1, "bad [31mname"),
        (OSError(28, "No space left on device", "/x/y"), 1, "/x/y: No space left on device"),
        (MemoryError(), 1, "out of memory"),
        (ZeroDivisionError("odd"), 1, "unexpected ZeroDivisionError: odd; run with --debug"),
        (typer.Abort(), 1, "the input ended"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_error_is_one_line(
    qbench: Qbench, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, said: str
) -> None:
    broken_app(monkeypatch, error)
    outcome = qbench("fail")
    assert outcome.code == code
    outcome.error(said)


def test_debug_shows_the_traceback_wherever_it_stands(
    qbench: Qbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_app(monkeypatch, errors.DataError("why"))
    for arguments in (("--debug", "fail"), ("fail", "--debug")):
        outcome = qbench(*arguments)
        assert outcome.code == 1
        assert "Traceback" in outcome.err and outcome.err.endswith("qbench: error: why\n")


def test_debug_after_two_dashes_is_an_argument(qbench: Qbench) -> None:
    assert module._take_debug(["a", "--", "--debug"]) == (["a", "--", "--debug"], False)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BrokenPipeError()])
def test_interrupts_are_quiet(
    qbench: Qbench, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(module, "_silence_output", lambda: module.BROKEN_PIPE)
    broken_app(monkeypatch, error)
    outcome = qbench("fail")
    assert outcome.code == (130 if isinstance(error, KeyboardInterrupt) else 141)
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["run", "--limit", "x"], "'--limit'"),
        (["run", "--limit", "0"], "'--limit'"),
        (["run", "--nothing"], "No such option"),
        (["quantize", "a"], "Missing argument 'RECIPE'"),
        (["ls", "nothing"], "'nothing'"),
        (["compare", "a", "b", "c", "--fail-if", "sad"], "'sad'"),
    ],
)
def test_a_wrong_command_line_exits_2(qbench: Qbench, arguments: list[str], said: str) -> None:
    outcome = qbench(*arguments)
    assert outcome.code == 2
    outcome.error(said, "see qbench --help")


def test_help_names_every_command_and_version_is_the_package(qbench: Qbench) -> None:
    from qbench._version import __version__

    text = qbench("--help").out
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert qbench().out == qbench("-h").out == text
    assert qbench("--version").out == f"qbench {__version__}\n"
    for name in COMMANDS:
        outcome = qbench(name, "--help")
        assert outcome.code == 0 and f"qbench {name}" in outcome.out


def run_program(*arguments: str, **more: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        **more,
    )  # type: ignore[call-overload, no-any-return]  # fmt: skip


def test_a_closed_pipe_ends_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*PROGRAM, "ls", "tasks"], stdout=write, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        check=False,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_with_130(number: int) -> None:
    code = (
        "import sys, time, typer\nfrom qbench.cli import main as m\n"
        "app = typer.Typer()\n"
        "def wait():\n    print('ready', flush=True)\n    time.sleep(30)\n"
        "app.command()(wait)\napp.command('other')(lambda: None)\nm.app = app\n"
        "sys.exit(m.main(['wait']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    start = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, "")
    assert time.monotonic() - start < 5


def test_a_second_interrupt_does_not_wait() -> None:
    code = (
        "import sys, time, typer\nfrom qbench.cli import main as m\n"
        "app = typer.Typer()\n"
        "def wait():\n    try:\n"
        "        print('ready', flush=True)\n        time.sleep(30)\n"
        "    finally:\n        print('closing', flush=True)\n        time.sleep(30)\n"
        "app.command()(wait)\napp.command('other')(lambda: None)\nm.app = app\n"
        "sys.exit(m.main(['wait']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "closing\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    process.stdout.close()


def loaded(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after some code."""
    names = "sorted({m.split('.')[0] for m in sys.modules})"
    report = f"\nimport json, sys; print(json.dumps({names}), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return set(json.loads(done.stderr.strip().splitlines()[-1]))


def test_the_start_is_light() -> None:
    heavy = {"numpy", "scipy", "pandas", "pyarrow", "matplotlib", "rich", "jinja2", "tokenizers"}
    assert not heavy & loaded("import qbench.cli.main")
    assert not heavy & loaded("from qbench.cli.main import main; main(['ls', 'tasks'])")


def test_ls_answers_within_half_a_second() -> None:
    def seconds() -> float:
        process = run_program("ls", "tasks")
        process.communicate()
        usage = os.times()
        return usage.children_user + usage.children_system

    spent = [seconds() for _ in range(4)]
    assert min(b - a for a, b in pairwise(spent)) < 0.5


def test_warnings_are_one_line_each_and_once(
    qbench: Qbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    from qbench.cli import main
    from qbench.errors import QbenchWarning

    def work() -> None:
        for text in ("odd\x1b[31m\nmodel", "odd\x1b[31m\nmodel", "other"):
            warnings.warn(text, QbenchWarning, stacklevel=1)

    before = warnings.showwarning
    command = main.app.registered_commands[0]
    monkeypatch.setattr(command, "callback", work)
    outcome = qbench("run")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "qbench: warning: odd[31m model\nqbench: warning: other\n"
    assert warnings.showwarning is before
