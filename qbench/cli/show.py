"""`qbench show`: a task, and one of its items exactly as a model gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from qbench.cli.options import ChatTemplateOption, DataOption, JsonOption, template_source
from qbench.errors import RequestError

if TYPE_CHECKING:
    from qbench.cli.reader import Asked, Reader
    from qbench.tasks import Prepared, PreparedItem


def show(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Such as mmlu:lm-eval@5.")],
    item: Annotated[int, typer.Option("--item", min=0, help="Which item, from 0.")] = 0,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="MODEL", help="Show the tokens of this model, too."),
    ] = None,
    data: DataOption = None,
    chat_template: ChatTemplateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a task asks: prompt, choices, gold answer; with a model, its tokens and what is cut.

    No weights are read.
    """
    from qbench.cli.reader import Reader
    from qbench.study.plan import data_folder
    from qbench.tasks import get_task, parse_task

    spec = parse_task(task)
    folder = data_folder(data)
    reader = Reader.open(model, template_source(chat_template)) if model is not None else None
    prepared = get_task(spec.task).prepare(
        spec,
        folder,
        tokenizer=reader.tokenizer if reader else None,
        context_length=reader.context_length if reader else 2**20,
        limit=None,
        seed=0,
    )
    if item >= len(prepared.items):
        raise RequestError(f"{spec.canonical} has items 0 to {len(prepared.items) - 1}, not {item}")
    chosen = prepared.items[item]
    asked = reader.ask(prepared, chosen) if reader else None
    if as_json:
        from qbench.cli.terminal import print_json

        print_json(_document(prepared, item, chosen, reader, asked))
    else:
        _print(prepared, item, chosen, reader, asked)


def _texts(item: PreparedItem, reader: Reader | None) -> list[str]:
    """Texts of an item; token ids of windows become text where a tokenizer is known."""
    if reader is None:
        return item.render()
    tokenizer = reader.tokenizer
    return item.render(lambda ids: tokenizer.decode(ids, skip_special=False))


def _print(
    prepared: Prepared, number: int, item: PreparedItem, reader: Reader | None, asked: Asked | None
) -> None:
    """Print facts of the task, then the item in sections."""
    from qbench.cli.terminal import console, safe
    from qbench.report.text import for_terminal

    preset = prepared.preset
    boundary = f", boundary {preset.boundary}" if preset.kind == "choice" else ""
    screen = console()
    screen.print(safe(prepared.spec.canonical, "bold"), safe(preset.description))
    facts = [
        f"{preset.kind}{boundary}, overflow {preset.overflow}, version {prepared.version}",
        f"{prepared.n_total} items, data {prepared.data_sha256[:12]}",
        *prepared.notes,
    ]
    for fact in facts:
        screen.print(safe(fact, "dim"))
    screen.print()
    stratum = f" ({item.stratum})" if item.stratum else ""
    screen.print(safe(f"item {number}: {item.id}{stratum}", "bold"))
    for text in _texts(item, reader):
        screen.print(safe("─" * 8, "dim"))
        screen.out(for_terminal(text), highlight=False)
    if asked is not None and reader is not None:
        screen.print(safe("─" * 8, "dim"))
        for line in _told(asked, reader):
            screen.print(safe(line))
        if sent := _as_sent(item, reader, asked):
            screen.print(safe("─" * 8 + " as sent", "dim"))
            screen.out(for_terminal(sent), highlight=False)


def _told(asked: Asked, reader: Reader) -> list[str]:
    """Say what a model's tokenizer and context make of an item."""
    lines = [f"{reader.name}: context of {reader.context_length} tokens"]
    if asked.skipped:
        return [*lines, f"skipped: {asked.skipped}"]
    if asked.prompt:
        lines.append(f"prompt of {len(asked.prompt)} tokens")
    lines += [
        f"{len(context)} + {len(continuation)} tokens: … {context[-4:]} | {continuation[:8]}"
        for context, continuation in asked.pairs
    ]
    return [*lines, "cut to fit"] if asked.cut else lines


def _as_sent(item: PreparedItem, reader: Reader, asked: Asked) -> str:
    """Return the prompt where it differs from the item's texts: a rendered chat, a cut context."""
    from qbench.tasks import ChatRequest

    if isinstance(item.request, ChatRequest) and not asked.skipped:
        turns = [{"role": role, "content": text} for role, text in item.request.messages]
        return reader.tokenizer.render_chat(turns)
    if asked.cut and asked.pairs:
        return reader.tokenizer.decode(asked.pairs[0][0], skip_special=False)
    return ""


def _document(
    prepared: Prepared, number: int, item: PreparedItem, reader: Reader | None, asked: Asked | None
) -> dict[str, Any]:
    """Everything that is printed, as data."""
    document: dict[str, Any] = {
        "task": prepared.spec.canonical,
        "preset": prepared.preset,
        "version": prepared.version,
        "n_total": prepared.n_total,
        "data_sha256": prepared.data_sha256,
        "prompt_sha256": prepared.prompt_sha256,
        "notes": prepared.notes,
        "item": number,
        "id": item.id,
        "stratum": item.stratum,
        "texts": _texts(item, reader),
        "gold": item.gold,
    }
    if asked is not None and reader is not None:
        document["model"] = reader.name
        document["context_length"] = reader.context_length
        document["asked"] = asked
        document["as_sent"] = _as_sent(item, reader, asked)
    return document
