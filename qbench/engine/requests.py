"""Checks what a caller asks of a model, and says in one line what is wrong with it.

Ids, settings and names of prompts come in as anybody writes them and leave as the arrays and
records that scoring and generation take. It runs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from qbench.engine.generation import Generation, Sampling, request_key
from qbench.engine.trie import Ids
from qbench.errors import RequestError
from qbench.models import DecoderSpec, Tokenizer


def is_id(value: Any) -> bool:
    """Whether a value is a whole number."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


class Room(NamedTuple):
    """What ids a model reads, and how many of them in a row; ``why`` names the bound in errors.

    ``context``: where a generation ends of itself; ``longest`` is less if memory is short.
    """

    vocab_size: int
    context: int
    longest: int
    why: str

    @classmethod
    def of(cls, spec: DecoderSpec, longest: int) -> Room:
        """Room for sequences of the context length, or of what a budget of memory leaves."""
        context = spec.context_length
        why = f"the context has {context}"
        if longest < context:
            why = f"the memory given leaves room for {longest} of the context's {context}"
        return cls(spec.vocab_size, context, longest, why)


def token_ids(ids: Sequence[int], room: Room, what: str) -> Ids:
    """Check token ids.

    Parameters
    ----------
    ids : sequence of int
    room : Room
    what : str
        What the ids are, for errors.

    Returns
    -------
    ndarray of int32

    Raises
    ------
    RequestError
        None, too many, no whole numbers, or an id outside the vocabulary.
    """
    if len(ids) == 0:
        raise RequestError(f"{what}: no tokens; at least one is needed")
    try:
        array = np.asarray(ids)
    except ValueError:  # lists of unequal length
        array = np.zeros((0, 0))
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise RequestError(f"{what}: token ids must be one list of whole numbers")
    if len(array) > room.longest:
        raise RequestError(f"{what}: {len(array)} tokens do not fit; {room.why}")
    if int(array.min()) < 0 or int(array.max()) >= room.vocab_size:
        wrong = next(i for i in array.tolist() if not 0 <= i < room.vocab_size)
        raise RequestError(
            f"{what}: token id {wrong} is outside the vocabulary of {room.vocab_size}"
        )
    return array.astype(np.int32)


def scoring_request(
    number: int, pair: tuple[Sequence[int], Sequence[int]], room: Room
) -> tuple[Ids, Ids]:
    """Check one pair of context and continuation, all of which but the last id must be read.

    Raises
    ------
    RequestError
        An empty part, a wrong id, or a pair that does not fit the context.
    """
    context, continuation = pair
    checked = (
        token_ids(context, room, f"context of pair {number}"),
        token_ids(continuation, room, f"continuation of pair {number}"),
    )
    n_read = len(context) + len(continuation) - 1
    if n_read > room.longest:
        raise RequestError(
            f"pair {number}: {len(context)} + {len(continuation)} tokens do not fit; {room.why}, "
            "and only the last token is not read"
        )
    return checked


def check_sampling(
    temperature: float, top_k: int, top_p: float, seed: int, repeat: int
) -> Sampling:
    """Check the settings of a generation.

    Raises
    ------
    RequestError
        If one of them is impossible.
    """
    if not (math.isfinite(temperature) and temperature >= 0.0):
        raise RequestError(f"temperature must be 0 or more, not {temperature}")
    if not (is_id(top_k) and 0 <= top_k < 1 << 31):
        raise RequestError(f"top_k must be 0 (all) or more, not {top_k}")
    if not 0.0 < top_p <= 1.0:
        raise RequestError(f"top_p must be above 0 and at most 1, not {top_p}")
    return Sampling(temperature, int(top_k), top_p, seed, repeat)


def check_stops(stop: str | Sequence[str], tokenizer: Tokenizer | None) -> tuple[str, ...]:
    """Return stop texts as a tuple.

    Raises
    ------
    RequestError
        An empty text, or any where there is no tokenizer.
    """
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    if not all(isinstance(text, str) and text for text in stops):
        raise RequestError(f"stop must be texts that are not empty, not {stop!r}")
    if stops and tokenizer is None:
        raise RequestError("stop texts need a tokenizer; give one to load(tokenizer=…)")
    return stops


def check_names(item_ids: Sequence[str] | None, n_prompts: int) -> list[str]:
    """Names of the prompts for the draws; by default their numbers.

    Raises
    ------
    RequestError
        If their number is not that of the prompts.
    """
    if item_ids is None:
        return [str(number) for number in range(n_prompts)]
    if isinstance(item_ids, str) or len(item_ids) != n_prompts:
        raise RequestError(f"item_ids must be one name for each of the {n_prompts} prompts")
    return list(item_ids)


def generation_request(
    name: str, ids: Sequence[int], max_new_tokens: int, sampling: Sampling, room: Room
) -> Generation:
    """Check one prompt, and where its context ends.

    Raises
    ------
    RequestError
        An empty prompt, one that exceeds the context, a wrong number of new tokens, or more of
        them than there is memory for: fewer than asked would be another result.
    """
    if not is_id(max_new_tokens) or max_new_tokens < 0:
        raise RequestError(f"max_new_tokens must be 0 or more, not {max_new_tokens}")
    prompt = token_ids(ids, room, f"prompt {name}")
    # The last new token is not read, so one more than the free places can be generated.
    n_new = min(int(max_new_tokens), room.context - len(prompt) + 1)
    if len(prompt) + n_new - 1 > room.longest:
        raise RequestError(
            f"prompt {name}: {len(prompt)} tokens and up to {n_new} new ones do not fit; {room.why}"
        )
    key = request_key(sampling.seed, name, sampling.repeat)
    return Generation(name, prompt, key, n_new)
