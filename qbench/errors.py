"""Every exception that qbench raises on purpose, and the exit code each one means; its warning.

A message is one line that names the cause and the remedy. Each class also derives from the built-in
that a user would catch, so that ``except ValueError`` works as expected.
"""

from __future__ import annotations


class QbenchError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 1


class RequestError(QbenchError, ValueError):
    """The request was wrong: an unknown name, a missing path, an impossible option."""

    exit_code = 2


class RecipeError(RequestError):
    """A recipe that does not parse, or names a method or suffix that is not there."""


class CheckpointError(QbenchError, ValueError):
    """A model folder that cannot be read: a broken file, an unknown architecture, a bad tensor."""


class DataError(QbenchError, ValueError):
    """A benchmark file that cannot be read as what it claims to be."""


class TemplateError(QbenchError, ValueError):
    """A chat template that fails, is missing, or exceeds its bounds."""


class StoreError(QbenchError, RuntimeError):
    """A result store that is locked, broken, or of another version."""


class FormatError(QbenchError, ValueError):
    """A weight format or layout that the core does not know."""


class CapacityError(QbenchError, MemoryError):
    """A cache or buffer whose stated capacity is exhausted."""


class BusyError(QbenchError, RuntimeError):
    """An object of the core that another call is using at this moment."""


class NonFiniteError(QbenchError, ArithmeticError):
    """NaN or infinity where a number is needed; names where it first appeared."""


class QbenchWarning(UserWarning):
    """Something about a model that a user should know before believing its scores."""
