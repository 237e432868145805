"""One place that turns what the ``tokenizers`` package raises into qbench's errors.

The package is Rust: besides plain exceptions it panics, which arrives as a BaseException.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qbench.errors import CheckpointError, QbenchError, RequestError


@contextmanager
def tokenizer_faults(where: str) -> Iterator[None]:
    """Translate failures of the ``tokenizers`` package inside the block.

    Raises
    ------
    RequestError
        If the text is no valid Unicode.
    CheckpointError
        For every other failure.
    """
    try:
        yield
    except (QbenchError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except (UnicodeEncodeError, TypeError, OverflowError) as exc:
        raise RequestError(f"this cannot be tokenized: {_line(exc)}") from None
    except BaseException as exc:
        raise CheckpointError(f"{where}: the tokenizer failed: {_line(exc)}") from None


def _line(exc: BaseException) -> str:
    """First line of an exception's text."""
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0][:200]
