"""What all commands do with the terminal: a console, safe text, JSON, and one lazily loaded model.

Tables and answers go to stdout, everything about the work itself to stderr, so that a pipe receives
results only. Text of models and files never reaches a terminal with its control characters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qbench.errors import RequestError
from qbench.report.text import for_terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# Where output is no terminal, tables keep this width instead of being squeezed into 80 columns.
PIPE_WIDTH = 200


def console(*, stderr: bool = False) -> Console:
    """Return a rich console on stdout or stderr that interprets no markup in its strings."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=width)


def safe(text: object, style: str = "") -> Text:
    """Return a table cell of outside text: no control characters, no markup."""
    from rich.text import Text

    return Text(for_terminal(str(text), multiline=False), style=style)


def note(text: str) -> None:
    """Say something about the work, on stderr."""
    print(for_terminal(text), file=sys.stderr)


def print_json(value: Any) -> None:
    """Write one JSON document to stdout.

    Parameters
    ----------
    value
        Mappings, sequences, dataclasses, numbers, text. NaN and infinity become null.
    """
    json.dump(plain(value), sys.stdout, ensure_ascii=True, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def plain(value: Any) -> Any:
    """Turn records, arrays' scalars, paths and tuples into what JSON knows.

    Parameters
    ----------
    value
        Any result of the library.

    Returns
    -------
    Any
        dict, list, str, int, float, bool or None; a non-finite float becomes None.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return [plain(item) for item in sorted(value)]
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        return plain(value.item())
    raise TypeError(f"no JSON form for {type(value).__name__}")


def refuse_existing(path: Path, force: bool) -> None:
    """Refuse to overwrite anything that the user did not say may go.

    Parameters
    ----------
    path
        What a command is about to write.
    force
        The user's `--force`.

    Raises
    ------
    RequestError
        If something stands there, or its folder does not exist.
    """
    if not path.absolute().parent.is_dir():
        raise RequestError(f"{path}: there is no folder {path.absolute().parent} to write into")
    if path.exists() and not force:
        raise RequestError(f"{path} exists; add --force to replace it, or choose another name")
