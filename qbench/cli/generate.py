"""`qbench generate`: continue a prompt, and show the text as it comes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from qbench.cli.options import (
    JsonOption,
    ModelArgument,
    ModeOption,
    RecipeOption,
    ThreadsOption,
)


def generate(
    model: ModelArgument,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="Text to continue.")],
    recipe: RecipeOption = None,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1)] = 256,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0.0, help="0 takes the likeliest token.")
    ] = 0.0,
    top_k: Annotated[int, typer.Option("--top-k", min=0, help="0 for no limit.")] = 0,
    top_p: Annotated[float, typer.Option("--top-p", min=0.0, max=1.0)] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Of sampling.")] = 0,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", help="Text that ends the answer. Repeatable.")
    ] = None,
    mode: ModeOption = "faithful",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Continue a prompt. Only new text is printed; the same seed gives the same text."""
    from qbench.cli.terminal import print_json
    from qbench.quant.load import load

    loaded = load(model, recipe=recipe, mode=mode, threads=threads)
    pieces = loaded.generate(
        prompt,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        stop=tuple(stop or ()),
        stream=True,
    )
    if as_json:
        text = "".join(pieces)
        print_json({"model": model, "recipe": loaded.recipe, "prompt": prompt, "text": text})
    else:
        _print_stream(pieces)


def _print_stream(pieces: Iterable[str]) -> None:
    """Write pieces as they come; a terminal gets them without control characters."""
    from qbench.report.text import for_terminal

    shown = for_terminal if sys.stdout.isatty() else str
    for piece in pieces:
        sys.stdout.write(shown(piece))
        sys.stdout.flush()
    sys.stdout.write("\n")
