"""A model's tokenizer and context without its weights, to see what a model would be asked.

`run_items` decides how prompts are tokenized, shortened and skipped; a `Reader` stands where the
model would and notes the token ids it gets, so that `show` and `--dry-run` tell exactly what a run
would do and nothing is decided twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from qbench.models import DecoderSpec, decoder_spec, read_config
from qbench.models.hub import resolve
from qbench.models.tokenizer import Tokenizer
from qbench.study.execute import run_items
from qbench.study.records import ItemRecord
from qbench.tasks import Prepared, PreparedItem

Ids = list[int]


class Asked(NamedTuple):
    """What a model gets for one item, and what becomes of the item before it is scored.

    ``pairs`` are (context, continuation) ids of a choice or a window, ``prompt`` the ids of a chat.
    ``skipped`` says why the item is not asked at all.
    """

    pairs: list[tuple[Ids, Ids]]
    prompt: Ids
    cut: bool
    skipped: str

    @property
    def n_tokens(self) -> int:
        """Tokens to read: a shared context counts once."""
        if not self.pairs:
            return len(self.prompt)
        return len(self.pairs[0][0]) + sum(len(continuation) for _, continuation in self.pairs)


@dataclass
class Reader:
    """Tokenizer and context length of a model folder."""

    name: str
    spec: DecoderSpec
    tokenizer: Tokenizer

    @classmethod
    def open(cls, model: str | Path, template: str | None = None) -> Reader:
        """Read configuration and tokenizer of a model.

        Parameters
        ----------
        model
            Folder or hub id.
        template
            Source of a chat template; None keeps the model's own.

        Returns
        -------
        Reader

        Raises
        ------
        RequestError
            There is no such model.
        CheckpointError
            Its files are missing or broken.
        """
        folder = resolve(str(model))
        spec = decoder_spec(read_config(folder), str(folder))
        tokenizer = Tokenizer.from_folder(folder, spec)
        if template is not None:
            tokenizer = tokenizer.with_template(template)
        return cls(str(model), spec, tokenizer)

    @property
    def context_length(self) -> int:
        """Tokens that the model can read at once."""
        return self.spec.context_length

    def ask(self, prepared: Prepared, item: PreparedItem, seed: int = 0) -> Asked:
        """Return what a model of this tokenizer and context would be asked.

        Parameters
        ----------
        prepared
            The task.
        item
            One of its items.
        seed
            Of the study.

        Returns
        -------
        Asked
        """
        listener = _Listener(self.tokenizer, self.context_length)
        record: ItemRecord = run_items(listener, prepared, [item], seed=seed)[0]
        skipped = str(record.response.get("reason", "")) if record.status == "skipped" else ""
        prompt = listener.prompts[0] if listener.prompts else []
        return Asked(listener.pairs, prompt, record.cut, skipped)


class _Listener:
    """Takes requests like a model, notes them, and answers nothing of worth."""

    def __init__(self, tokenizer: Tokenizer, context_length: int) -> None:
        self.tokenizer = tokenizer
        self.context_length = context_length
        self.pairs: list[tuple[Ids, Ids]] = []
        self.prompts: list[Ids] = []

    def loglikelihood_tokens(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[tuple[float]]:
        """Note pairs; every answer is equally likely."""
        self.pairs += [(list(context), list(continuation)) for context, continuation in pairs]
        return [(0.0,) for _ in pairs]

    def generate(self, prompts: Sequence[Ids], **settings: Any) -> list[Ids]:
        """Note prompts; every answer is empty."""
        self.prompts += [list(prompt) for prompt in prompts]
        return [[] for _ in prompts]
