"""What every task is: presets, items turned into requests, and responses turned into scores.

A task knows its files' meaning and its prompts; it must not know a model. Of the tokenizer it uses
only what ``TextEncoder`` names, and only where windows are cut or a chat template is needed.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from qbench.errors import RequestError
from qbench.metrics.values import MetricDef, MetricValue, point_value
from qbench.tasks.limit import select
from qbench.tasks.requests import ChatRequest, ChoiceRequest, Decode, Request
from qbench.tasks.spec import TaskSpec


class TextEncoder(Protocol):
    """What a task needs of a tokenizer."""

    @property
    def chat_template(self) -> str | None:
        """The template of chat prompts, if there is one."""

    @property
    def bos_id(self) -> int | None:
        """The token that begins a text, if there is one."""

    def encode(self, text: str, *, bos: bool | None = None) -> list[int]:
        """Token ids of a text; ``bos`` None is the model's own rule."""


class Record(Protocol):
    """What a metric needs of an item's record."""

    @property
    def status(self) -> str:
        """``scored``, ``unparsed``, ``skipped`` or ``nonfinite``."""

    @property
    def stratum(self) -> str:
        """Stratum of the item."""

    @property
    def parts(self) -> Mapping[str, Any]:
        """Score parts."""


@dataclass(frozen=True)
class Preset:
    """One protocol of a task, as data.

    ``kind`` is ``choice``, ``chat`` or ``perplexity``. ``overflow`` says what happens to a request
    that does not fit the context: ``cut-left`` drops its first tokens, ``drop-shots`` whole shots,
    ``skip`` the item. ``default_shots`` None: shots mean nothing here. ``version`` grows whenever a
    prompt or a scoring rule changes. ``boundary`` is the policy by which prompt and choice are
    tokenized (see ``ChoiceRequest``); for other kinds it means nothing.
    """

    name: str
    kind: str
    overflow: str
    default_shots: int | None
    max_shots: int
    version: int
    description: str
    boundary: str = "whole"

    @property
    def chat(self) -> bool:
        """Whether prompts go through the chat template."""
        return self.kind == "chat"


@dataclass(frozen=True)
class PreparedItem:
    """An item ready to be asked. ``gold`` is JSON; items of one ``cluster`` are not independent."""

    id: str
    cluster: str
    stratum: str
    request: Request
    gold: Any

    def render(self, decode: Decode | None = None) -> list[str]:
        """Return prompt, choices and gold answer as texts, for showing."""
        gold = [] if self.gold is None else [f"gold: {self.gold}"]
        return [*self.request.render(decode), *gold]


@dataclass(frozen=True)
class Prepared:
    """The chosen items of a task under a preset, in a stable order, with the hashes of what it is.

    ``n_total`` counts items without the limit; ``prompt_sha256`` covers the prompts of all of them.
    ``notes`` are sentences for the reader, such as rows that were dropped.
    """

    spec: TaskSpec
    preset: Preset
    items: tuple[PreparedItem, ...]
    n_total: int
    data_sha256: str
    prompt_sha256: str
    version: int
    notes: tuple[str, ...] = ()


class Score(NamedTuple):
    """What a response was worth: ``status`` scored or unparsed, and the parts of the score."""

    status: str
    parts: dict[str, Any]


class Task(ABC):
    """A benchmark. The first preset is the one that a bare name means."""

    name: ClassVar[str]
    presets: ClassVar[Mapping[str, Preset]]
    metric_defs: ClassVar[tuple[MetricDef, ...]]
    chance: ClassVar[float | None] = None

    @abstractmethod
    def prepare(
        self,
        spec: TaskSpec,
        data: Path,
        *,
        tokenizer: TextEncoder | None,
        context_length: int,
        limit: int | None,
        seed: int,
        window: int | None = None,
        stride: int | None = None,
    ) -> Prepared:
        """Read the data folder and build the requests.

        Parameters
        ----------
        spec
            From ``parse_task``.
        data
            The data folder.
        tokenizer
            The model's; None to look at prompts without a model, where that is possible.
        context_length
            Tokens that the model can read at once.
        limit
            Items to choose, None for all.
        seed
            Of the choice.
        window, stride
            Tokens, for perplexity only.

        Raises
        ------
        RequestError
            Missing data or chat template, impossible shots, window or stride.
        DataError
            A broken file.
        """

    @abstractmethod
    def score(self, item: PreparedItem, response: Mapping[str, Any]) -> Score:
        """Score a stored response.

        Parameters
        ----------
        item
            The item that was asked.
        response
            ``logprobs`` of a choice or window request, ``text`` of a chat request; finite.
        """

    def subsets(self, stratum: str) -> tuple[str, ...]:
        """Names of the subsets under which metrics ``by_stratum`` are reported for a stratum."""
        return (stratum,) if stratum else ()

    def metrics(self, records: Sequence[Record]) -> list[MetricValue]:
        """Values of all metrics over item records, subsets included, without intervals.

        An unparsed answer counts 0 in a mean that has no part for it; skipped and non-finite items
        enter nothing.
        """
        values = []
        for metric in self.metric_defs:
            groups: dict[str, list[Record]] = {"": list(records)}
            if metric.by_stratum:
                for record in records:
                    for subset in self.subsets(record.stratum):
                        groups.setdefault(subset, []).append(record)
            values += [_value(metric, group, subset) for subset, group in groups.items()]
        return values


def _value(metric: MetricDef, records: Iterable[Record], subset: str) -> MetricValue:
    """One metric over the records of one subset."""
    xs, weights = [], []
    for record in records:
        parts = record.parts
        if record.status == "unparsed" and metric.kind == "mean":
            parts = {metric.numerator: 0.0} | dict(parts)
        elif record.status != "scored":
            continue
        x = parts.get(metric.numerator)
        weight = 1.0 if metric.denominator is None else parts.get(metric.denominator)
        if x is not None and weight is not None:
            xs.append(float(x))
            weights.append(float(weight))
    return MetricValue(metric.name, metric.kind, point_value(metric, xs, weights), len(xs), subset)


def assemble(
    spec: TaskSpec,
    preset: Preset,
    items: Sequence[PreparedItem],
    *,
    data_sha256: str,
    limit: int | None,
    seed: int,
    notes: Sequence[str] = (),
) -> Prepared:
    """Hash the prompts of all items and choose among them.

    Parameters
    ----------
    spec, preset, data_sha256, notes
        Passed on.
    items
        All items of choice or chat requests, in a stable order.
    limit, seed
        For ``select``.
    """
    digest = hashlib.sha256()
    for item in items:
        if not isinstance(item.request, ChoiceRequest | ChatRequest):
            raise TypeError(f"item {item.id!r} has no prompt to hash")
        policy = getattr(item.request, "policy", preset.boundary)
        if policy != preset.boundary:  # what is printed must be what is done
            raise TypeError(f"item {item.id!r}: policy {policy!r}, not {preset.boundary!r}")
        digest.update(item.request.canonical().encode() + b"\xff")
    chosen = select([i.id for i in items], [i.stratum for i in items], limit, seed)
    return Prepared(
        spec,
        preset,
        tuple(items[i] for i in chosen),
        len(items),
        data_sha256,
        digest.hexdigest(),
        preset.version,
        tuple(notes),
    )


def require_template(spec: TaskSpec, preset: Preset, tokenizer: TextEncoder | None) -> None:
    """Raise RequestError where a chat preset meets a model without a chat template."""
    if preset.chat and tokenizer is not None and not tokenizer.chat_template:
        raise RequestError(
            f"{spec.canonical} is a chat protocol and this model has no chat template; "
            "give one: --chat-template chatml"
        )
