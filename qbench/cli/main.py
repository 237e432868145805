"""The program `qbench`: its commands, its exit codes, and the border where exceptions end.

A command only raises. What the user sees of an exception is decided here and nowhere else: one
line on stderr that names cause and remedy, and an exit code: 0 done, 1 the work failed, 2 the
request was wrong, 3 a stated condition held (`--fail-if`), 130 interrupted. `--debug`, anywhere on
the line, shows the traceback as well. Everything heavier than typer is imported inside the
commands, because `qbench ls` has to answer at once.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any

import typer

from qbench.cli import (
    bench,
    compare,
    doctor,
    export,
    generate,
    ls,
    perplexity,
    quantize,
    report,
    run,
    score,
    show,
)
from qbench.errors import QbenchError, QbenchWarning

INTERRUPTED = 130
BROKEN_PIPE = 141
SECOND_INTERRUPT_SECONDS = 2.0

app = typer.Typer(
    name="qbench",
    help="What does this quantization do to this language model? Measured on an ordinary CPU.",
    epilog="Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 3 --fail-if held.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", short_help="Compute models x recipes x tasks into a store.")(run.run)
app.command("quantize", short_help="Quantize a checkpoint and save it.")(quantize.quantize)
app.command("perplexity", short_help="Measure perplexity on a text file.")(perplexity.perplexity)
app.command("score", short_help="Log-likelihoods of given continuations.")(score.score)
app.command("generate", short_help="Continue a prompt.")(generate.generate)
app.command("bench", short_help="Time a model against the machine's peaks.")(bench.bench)
app.command("compare", short_help="Compare two recipes item by item.")(compare.compare)
app.command("ls", short_help="List models, recipes, tasks, kernels, runs.")(ls.ls)
app.command("show", short_help="Show an item as a model gets it.")(show.show)
app.command("doctor", short_help="Tell what this machine offers.")(doctor.doctor)
app.command("report", short_help="Write the HTML report of a store.")(report.report)
app.command("export", short_help="Write results for other programs.")(export.export)


def _print_version(wanted: bool) -> None:
    """Print the version and stop, if asked."""
    if wanted:
        from qbench._version import __version__

        typer.echo(f"qbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, too.")
    ] = False,
) -> None:
    """Options that stand before every command; `main` has taken --debug off the line by now."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Parameters
    ----------
    argv
        Arguments without the program's name; None takes those of the process.

    Returns
    -------
    int
        The exit code. Nothing is raised, whatever the command raised.
    """
    arguments, debug = _take_debug(list(sys.argv[1:] if argv is None else argv))
    try:
        with _signals_interrupt(), _plain_warnings():
            command = typer.main.get_command(app)
            # Not command.main(): that would answer a closed pipe and Ctrl-C in its own way.
            with command.make_context("qbench", arguments or ["--help"]) as context:
                command.invoke(context)
            sys.stdout.flush()
        return 0
    except typer.Exit as end:
        return end.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _silence_output()
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            return _silence_output()
        return _explain(error, debug)


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Remove `--debug` wherever it stands before a `--`, and say whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [a for i, a in enumerate(arguments) if i >= end or a != "--debug"]
    return kept, len(kept) != len(arguments)


def _explain(error: Exception, debug: bool) -> int:
    """Print the one line that an error is worth, and return its exit code."""
    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, QbenchError):
        text, code = str(error), error.exit_code
    elif hasattr(error, "format_message"):  # The parser of the command line, in any typer.
        text, code = f"{error.format_message()}; see qbench --help", getattr(error, "exit_code", 2)
    elif isinstance(error, typer.Abort):
        text, code = "the input ended before it was complete", 1
    elif isinstance(error, MemoryError):
        text, code = "out of memory: take a smaller model, window or --workers", 1
    elif isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        text, code = f"{where}{error.strerror}", 1
    else:
        text, code = f"unexpected {type(error).__name__}: {error}", 1
        if not debug:
            text += "; run with --debug for the traceback"
    _print_line("error", text)
    return code


def _print_line(kind: str, text: str) -> None:
    """Write one line to stderr; control characters of foreign names do not get through."""
    from qbench.report.text import for_terminal

    print(f"qbench: {kind}: {' '.join(for_terminal(text).split())}", file=sys.stderr)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print qbench's own warnings as one line each, every text once."""
    shown: set[str] = set()
    with warnings.catch_warnings():
        python = warnings.showwarning

        def show(message: Warning | str, *rest: Any, **more: Any) -> None:
            if not isinstance(message, QbenchWarning):
                python(message, *rest, **more)
            elif str(message) not in shown:
                shown.add(str(message))
                _print_line("warning", str(message))

        warnings.simplefilter("always", QbenchWarning)
        warnings.showwarning = show
        yield


def _silence_output() -> int:
    """Point stdout at nothing, so that the interpreter's last flush stays quiet too."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
    return BROKEN_PIPE


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP act like Ctrl-C, and a second Ctrl-C within two seconds end at once.

    The store needs no more than that: a shard is written in one transaction or not at all.
    """
    last = -SECOND_INTERRUPT_SECONDS

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < SECOND_INTERRUPT_SECONDS:
            os._exit(INTERRUPTED)
        last = now
        raise KeyboardInterrupt

    previous: dict[int, object] = {}
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        try:
            standing = signal.getsignal(number)
            if standing in (signal.SIG_DFL, signal.default_int_handler):
                previous[number] = signal.signal(number, interrupt)
        except ValueError:  # Not the main thread: the embedding program keeps its own signals.
            break
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
