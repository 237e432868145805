"""Arguments and options that several commands share, so that they read alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A model folder, or a hub id: owner/name or owner/name@revision."
    ),
]
StoreArgument = Annotated[
    Path, typer.Argument(metavar="STORE", help="The result file that `qbench run` wrote.")
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        "-r",
        metavar="RECIPE",
        help="Such as rtn-w4g32, f16. Default: as the checkpoint is.",
    ),
]
RecipesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--recipe",
        "-r",
        metavar="RECIPE",
        help="Such as f16, rtn-w4g32. Repeatable. Default: as the checkpoint is.",
    ),
]
ModeOption = Annotated[
    str,
    typer.Option(
        "--mode",
        metavar="MODE",
        help="Activations: exact (float32), faithful (16 bits) or fast (8 bits).",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Default: the processors this process may use."),
]
MemoryOption = Annotated[
    float | None,
    typer.Option(
        "--memory",
        metavar="GIB",
        help="For weights, activations and cache of all workers. Default: 2 GiB of cache.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder of benchmark files. Default: $QBENCH_DATA, else the cache.",
    ),
]
ChatTemplateOption = Annotated[
    str | None,
    typer.Option(
        "--chat-template",
        metavar="NAME|FILE",
        help="chatml, or a Jinja file. Default: the model's own.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, nothing else.")]
OutOption = Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="What to write.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what stands at OUT.")]


def template_source(value: str | None) -> str | None:
    """Return the template that `--chat-template` names, by built-in name or file.

    Parameters
    ----------
    value
        As the user gave it; None for the model's own.

    Returns
    -------
    str or None
        The source of the template.

    Raises
    ------
    RequestError
        It is neither a known name nor a file.
    TemplateError
        The file is no text.
    """
    if value is None:
        return None
    from qbench.models.chat.template import load_template

    return load_template(value)


def checked_template(value: str | None) -> str | None:
    """Check `--chat-template` before any work, and make it mean the same in every process.

    Parameters
    ----------
    value
        As the user gave it; None for the model's own.

    Returns
    -------
    str or None
        The name, or the absolute path of the file.

    Raises
    ------
    RequestError, TemplateError
        As for `template_source`.
    """
    if value is None or template_source(value) is None:
        return None
    path = Path(value).expanduser()
    return str(path.absolute()) if path.exists() else value
