"""Items to records: tokenize, fit into the context, ask the model in one batch, score.

The only place that knows a model and a task at once. Every request of a call goes to the model
together, which shares prefixes as it likes; the numerical promise makes the result independent of
what else is in the batch. An item that does not fit, or whose scores are not finite, is counted and
never scored as right or wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from qbench.errors import RequestError
from qbench.metrics.thinking import opens_thinking, strip_thinking
from qbench.study.records import ItemRecord
from qbench.tasks import (
    ChatRequest,
    ChoiceRequest,
    Prepared,
    PreparedItem,
    Preset,
    WindowRequest,
    get_task,
)

Ids = list[int]


class Pair(NamedTuple):
    """Context and continuation as token ids."""

    context: Ids
    continuation: Ids


@dataclass
class _Plan:
    """What will be asked for one item; ``skip`` says why nothing will."""

    item: PreparedItem
    pairs: list[Pair] = field(default_factory=list)
    prompt: Ids = field(default_factory=list)
    cut: bool = False
    skip: str = ""
    thinking: bool = False  # whether the prompt leaves a think block open
    response: dict[str, Any] = field(default_factory=dict)


def run_items(
    model: Any,
    prepared: Prepared,
    items: Sequence[PreparedItem],
    *,
    seed: int,
    repeat: int = 0,
) -> list[ItemRecord]:
    """Ask a model some items of a task and score its responses.

    Parameters
    ----------
    model
        Ours, or any object with ``tokenizer``, ``context_length`` and ``loglikelihood_tokens`` or
        ``generate`` (which must end an answer where the context ends).
    prepared
        The task with its preset.
    items
        Items of it, in any order.
    seed, repeat
        Of sampled generation.

    Returns
    -------
    list of ItemRecord
        In the order of ``items``.

    Raises
    ------
    RequestError
        The model lacks a method that the task needs.
    """
    plans = [_plan(model, item, prepared.preset) for item in items]
    _ask_scores(model, [plan for plan in plans if plan.pairs and not plan.skip])
    _ask_texts(model, [plan for plan in plans if plan.prompt and not plan.skip], seed, repeat)
    task = get_task(prepared.spec.task)
    return [_record(model, task.score, plan) for plan in plans]


def _plan(model: Any, item: PreparedItem, preset: Preset) -> _Plan:
    """Tokenize an item and make it fit."""
    request = item.request
    if isinstance(request, WindowRequest):
        plan = _Plan(item, [Pair(list(request.context), list(request.continuation))])
        plan.skip = "" if _fits(model, plan.pairs) else "context"
        return plan
    if isinstance(request, ChatRequest):
        return _plan_chat(model, item, request)
    plan = _Plan(item, _encode(model, request, None))
    if preset.overflow == "drop-shots":
        left = len(request.prompt.shots)
        while left and not _fits(model, plan.pairs):
            left -= 1
            plan.pairs = _encode(model, request, left)
            plan.cut = True
    elif preset.overflow == "cut-left":
        fitting = [_cut_left(pair, model.context_length) for pair in plan.pairs]
        plan.cut = fitting != plan.pairs
        plan.pairs = fitting
    if not all(pair.context and pair.continuation for pair in plan.pairs):
        plan.skip = "empty"
    elif not _fits(model, plan.pairs):
        plan.skip = "context"
    return plan


def _plan_chat(model: Any, item: PreparedItem, request: ChatRequest) -> _Plan:
    """Render a conversation; the end of the context bounds the answer."""
    messages = [{"role": role, "content": content} for role, content in request.messages]
    plan = _Plan(item, prompt=list(model.tokenizer.apply_chat(messages)))
    plan.skip = "" if _room(model, plan) > 0 else "context"
    plan.thinking = opens_thinking(model.tokenizer.decode(plan.prompt))
    return plan


def _room(model: Any, plan: _Plan) -> int:
    """Tokens that can follow a prompt; the last one is not read."""
    return int(model.context_length) - len(plan.prompt) + 1


def _encode(model: Any, request: ChoiceRequest, n_shots: int | None) -> list[Pair]:
    """Token ids of each choice after the prompt."""
    text = request.prompt.text(n_shots)
    encode = model.tokenizer.encode_pair
    return [Pair(*map(list, encode(text, c, policy=request.policy))) for c in request.choices]


def _fits(model: Any, pairs: Sequence[Pair]) -> bool:
    """Whether all tokens but the last, which is only predicted, fit the context."""
    return all(len(p.context) + len(p.continuation) - 1 <= model.context_length for p in pairs)


def _cut_left(pair: Pair, context_length: int) -> Pair:
    """Drop leading context tokens, BOS first, until the pair fits; at least one must remain.

    As lm-eval's ``hf`` backend does: it keeps the last ``max_length + 1`` tokens.
    """
    keep = max(1, context_length + 1 - len(pair.continuation))
    return Pair(pair.context[-keep:], pair.continuation)


def _ask_scores(model: Any, plans: Sequence[_Plan]) -> None:
    """Score all pairs of all plans in one call."""
    if not plans:
        return
    _require(model, "loglikelihood_tokens")
    pairs = [(pair.context, pair.continuation) for plan in plans for pair in plan.pairs]
    scores = iter(_logprobs(model.loglikelihood_tokens(pairs), len(pairs)))
    for plan in plans:
        plan.response = {"logprobs": [next(scores) for _ in plan.pairs]}


def _logprobs(result: Any, expected: int) -> list[float]:
    """Log-probabilities from a structured array, or from rows that begin with one."""
    if len(result) != expected:
        raise RequestError(
            f"loglikelihood_tokens returned {len(result)} results for {expected} requests"
        )
    if isinstance(result, np.ndarray) and result.dtype.names:
        return [float(x) for x in result["logprob"]]
    return [float(row[0]) for row in result]


def _ask_texts(model: Any, plans: Sequence[_Plan], seed: int, repeat: int) -> None:
    """Generate the answers, one call for all requests of equal settings.

    A model ends an answer where its context ends; such an answer counts as cut.
    """
    groups: dict[tuple[Any, ...], list[_Plan]] = {}
    for plan in plans:
        request = plan.item.request
        assert isinstance(request, ChatRequest)
        settings = (request.max_new_tokens, request.temperature, request.top_k, request.top_p)
        groups.setdefault((*settings, request.stop), []).append(plan)
    for (new_tokens, temperature, top_k, top_p, stop), group in groups.items():
        _require(model, "generate")
        answers = model.generate(
            [plan.prompt for plan in group],
            max_new_tokens=new_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            stop=stop,
            item_ids=[plan.item.id for plan in group],
            repeat=repeat,
        )
        for plan, ids in zip(group, answers, strict=True):
            plan.cut = _room(model, plan) <= len(ids) < new_tokens
            plan.response = {"text": model.tokenizer.decode(ids), "n_new": len(ids)}


def _require(model: Any, method: str) -> None:
    """Raise RequestError unless a model has a method."""
    if not hasattr(model, method):
        raise RequestError(f"a {type(model).__name__} has no {method}, which this task needs")


def _record(model: Any, score: Any, plan: _Plan) -> ItemRecord:
    """Build the record of an item, scored unless it was skipped or is not finite."""
    item = plan.item
    asked = _asked(plan)
    parts: dict[str, Any] = {}
    response = plan.response
    if plan.skip:
        status, response = "skipped", {"reason": plan.skip}
    elif not all(math.isfinite(x) for x in plan.response.get("logprobs", ())):
        finite = [x if math.isfinite(x) else None for x in plan.response["logprobs"]]
        status, response = "nonfinite", {"logprobs": finite}
    else:
        status, parts = score(item, _judged(plan))
    return ItemRecord(
        item_id=item.id,
        cluster=item.cluster,
        stratum=item.stratum,
        status=status,
        cut=plan.cut and not plan.skip,
        n_tokens=len(asked),
        n_unk=int(model.tokenizer.count_unk(asked)),
        parts=parts,
        response=response,
    )


def _judged(plan: _Plan) -> dict[str, Any]:
    """Return the response as a task judges it: without the reasoning, which the record keeps."""
    if "text" not in plan.response:
        return plan.response
    return {**plan.response, "text": strip_thinking(plan.response["text"], plan.thinking)}


def _asked(plan: _Plan) -> Ids:
    """All tokens of a request: the prompt once, then every continuation."""
    if not plan.pairs:
        return plan.prompt
    return plan.pairs[0].context + [i for pair in plan.pairs for i in pair.continuation]
