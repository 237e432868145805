"""`qbench score`: log-likelihoods of given continuations, JSON lines in and out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.options import ModelArgument, ModeOption, RecipeOption, ThreadsOption
from qbench.errors import DataError, RequestError

# Requests that are given to the engine together: enough to share prefixes, and bounded memory.
CHUNK = 1024
MAX_LINE_BYTES = 16 << 20
KEYS = ("context", "continuation")

Pair = tuple[str, str]


def score(
    model: ModelArgument,
    requests: Annotated[
        Path,
        typer.Argument(
            metavar="REQUESTS.jsonl", help='Lines of {"context": "…", "continuation": "…"}.'
        ),
    ],
    recipe: RecipeOption = None,
    mode: ModeOption = "faithful",
    threads: ThreadsOption = None,
) -> None:
    """Print one JSON line per request: logprob (nats), is_greedy, n_tokens, in the same order.

    Context and continuation are encoded as one string and split where the context's ids end, as
    in lm-eval (boundary policy whole). All lines are checked before the model is loaded. A
    log-probability that is not finite is null.
    """
    n_requests = sum(1 for _ in read_requests(requests))
    if n_requests == 0:
        raise RequestError(f"{requests}: no requests in this file")
    from qbench.quant.load import load

    loaded = load(model, recipe=recipe, mode=mode, threads=threads)
    lines = read_requests(requests)
    while chunk := list(islice(lines, CHUNK)):
        for found in loaded.loglikelihood(chunk):
            logprob = float(found["logprob"])
            answer = {
                "logprob": logprob if logprob - logprob == 0.0 else None,
                "is_greedy": bool(found["is_greedy"]),
                "n_tokens": int(found["n_tokens"]),
            }
            sys.stdout.write(json.dumps(answer, allow_nan=False) + "\n")
        sys.stdout.flush()


def read_requests(path: Path) -> Iterator[Pair]:
    """Read requests line by line; blank lines are skipped.

    Parameters
    ----------
    path
        JSON lines.

    Yields
    ------
    (context, continuation)

    Raises
    ------
    RequestError
        There is no such file.
    DataError
        A line is no request; it is named by its number.
    """
    if not path.is_file():
        raise RequestError(f"{path}: no such file")
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise DataError(f"{path}, line {number}: longer than {MAX_LINE_BYTES} bytes")
            if line.strip():
                yield _request(line, f"{path}, line {number}")


def _request(line: bytes, where: str) -> Pair:
    """Check one line."""
    from qbench.models.strict_json import loads

    content = loads(line, where, error=DataError)
    if not isinstance(content, dict) or set(content) != set(KEYS):
        raise DataError(f'{where}: expected {{"context": "…", "continuation": "…"}}')
    for key in KEYS:
        if not isinstance(content[key], str):
            raise DataError(f"{where}: {key} must be a string")
    if not content["continuation"]:
        raise DataError(f"{where}: the continuation is empty; there is nothing to score")
    return content["context"], content["continuation"]
