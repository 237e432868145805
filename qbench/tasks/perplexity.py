"""Perplexity of a text, by windows of tokens.

Presets: ``gptq`` is the convention of the GPTQ, AWQ and SpQR papers on WikiText-2 (lines joined by
blank lines, encoded once by the tokenizer's own rule, so a BOS stands at the very start only;
disjoint full windows of 2048 tokens or the model's context, the first token of each not scored,
mean NLL per token); ``windows`` keeps the last, shorter window too and allows a stride. Words and
bytes: whitespace words and UTF-8 bytes of the joined text times the share of its tokens that were
scored.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from qbench.data.folder import DataFolder
from qbench.data.text import Corpus, read_wikitext2
from qbench.errors import RequestError
from qbench.metrics.perplexity import bits
from qbench.metrics.values import MetricDef
from qbench.metrics.windows import Span, windows
from qbench.tasks.base import Prepared, PreparedItem, Preset, Score, Task, TextEncoder
from qbench.tasks.limit import select
from qbench.tasks.requests import WindowRequest
from qbench.tasks.spec import TaskSpec

MAX_WINDOW = 2048
# Characters from which the ids of a document are kept, and of how many documents.
KEPT_FROM = 100_000
KEPT_MOST = 2

_kept: dict[tuple[str, str], array[int]] = {}

PRESETS = (
    Preset(
        "gptq",
        "perplexity",
        overflow="skip",
        default_shots=None,
        max_shots=0,
        version=1,
        description="WikiText-2 test as in the GPTQ papers: disjoint full windows",
    ),
    Preset(
        "windows",
        "perplexity",
        overflow="skip",
        default_shots=None,
        max_shots=0,
        version=1,
        description="all windows, the last shorter one too; a stride gives context",
    ),
)


class Perplexity(Task):
    """Perplexity of WikiText-2, or of any corpus through ``prepare_corpus``."""

    name = "perplexity"
    presets: ClassVar[Mapping[str, Preset]] = {preset.name: preset for preset in PRESETS}
    metric_defs = (
        MetricDef("ppl", "exp-ratio", "nll", "n_tokens", higher_is_better=False),
        MetricDef("word_ppl", "exp-ratio", "nll", "n_words", higher_is_better=False),
        MetricDef("bits_per_byte", "ratio", "bits", "n_bytes", higher_is_better=False),
    )

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
        """Cut WikiText-2 into windows; see ``Task.prepare``."""
        if tokenizer is None:
            raise RequestError("the windows of a perplexity are cut by a tokenizer: name a model")
        return prepare_corpus(
            read_wikitext2(DataFolder.open(data)),
            tokenizer=tokenizer,
            context_length=context_length,
            limit=limit,
            seed=seed,
            window=window,
            stride=stride,
            preset=spec.preset,
        )

    def score(self, item: PreparedItem, response: Mapping[str, Any]) -> Score:
        """Return NLL (nats) and bits of the window, with what it is divided by."""
        request = item.request
        if not isinstance(request, WindowRequest):
            raise TypeError(f"item {item.id!r} is no window")
        nll = -float(response["logprobs"][0])
        parts = {
            "nll": nll,
            "bits": bits(nll),
            "n_tokens": len(request.continuation),
            "n_words": request.n_words,
            "n_bytes": request.n_bytes,
        }
        return Score("scored", parts)


class _Cut(NamedTuple):
    """A window of a document, with the words and bytes that fall to it."""

    id: str
    cluster: str
    ids: Sequence[int]
    span: Span
    n_words: int
    n_bytes: int


def prepare_corpus(
    corpus: Corpus,
    *,
    tokenizer: TextEncoder,
    context_length: int,
    limit: int | None = None,
    seed: int = 0,
    window: int | None = None,
    stride: int | None = None,
    preset: str = "windows",
) -> Prepared:
    """Cut a corpus into windows, each document on its own.

    Parameters
    ----------
    corpus
        From ``qbench.data``.
    tokenizer, context_length
        The model's.
    limit, seed
        Windows to choose; None for all.
    window, stride
        Tokens; None: 2048 or the context, whichever is smaller, and disjoint windows.
    preset
        ``windows``, or ``gptq`` to drop a last window that is not full.

    Returns
    -------
    Prepared

    Raises
    ------
    RequestError
        An impossible window or stride, or a text of fewer than two tokens.
    """
    width = min(MAX_WINDOW, context_length) if window is None else window
    if width > context_length:
        raise RequestError(f"a window of {width} tokens exceeds the context of {context_length}")
    step = width if stride is None else stride
    if preset == "gptq" and step != width:
        raise RequestError("perplexity:gptq has disjoint windows; use perplexity:windows to stride")
    cuts: list[_Cut] = []
    for number, document in enumerate(corpus.documents):
        name = f"d{number:05d}" if len(corpus.documents) > 1 else ""
        cuts += _cut_document(document, name, tokenizer, width, step, preset == "windows")
    if not cuts:
        raise RequestError(f"{corpus.name}: fewer than two tokens, so nothing can be scored")
    chosen = select([cut.id for cut in cuts], [""] * len(cuts), limit, seed)
    protocol = f"{preset} window={width} stride={step}"
    return Prepared(
        TaskSpec("perplexity", preset, None),
        Perplexity.presets[preset],
        tuple(_item(cuts[i]) for i in chosen),
        len(cuts),
        corpus.sha256,
        hashlib.sha256(protocol.encode()).hexdigest(),
        Perplexity.presets[preset].version,
        (f"corpus: {corpus.name}", f"windows of {width} tokens, stride {step}"),
    )


def _cut_document(
    text: str, name: str, tokenizer: TextEncoder, width: int, step: int, keep_tail: bool
) -> list[_Cut]:
    """Windows of one document."""
    ids = _encode(text, tokenizer)
    has_bos = bool(ids) and ids[0] == tokenizer.bos_id
    n_text = max(1, len(ids) - has_bos)
    n_words, n_bytes = len(text.split()), len(text.encode())
    cuts, before = [], 0
    for number, span in enumerate(windows(len(ids), width, step, keep_tail=keep_tail)):
        after = before + span.end - span.scored
        words, size = (n * after // n_text - n * before // n_text for n in (n_words, n_bytes))
        window_id = f"{name}/w{number:06d}" if name else f"w{number:06d}"
        cuts.append(_Cut(window_id, name or window_id, ids, span, words, size))
        before = after
    return cuts


def _encode(text: str, tokenizer: TextEncoder) -> Sequence[int]:
    """Encode a document; the last long ones are kept, since every recipe of a model needs them.

    A tokenizer takes seconds for WikiText-2, and its hash and the text's say what comes out. (A
    foreign tokenizer has no hash.)
    """
    name = str(getattr(tokenizer, "sha256", ""))
    if len(text) < KEPT_FROM or not name:
        return tokenizer.encode(text)
    key = (hashlib.sha256(text.encode()).hexdigest(), name)
    if key not in _kept:
        while len(_kept) >= KEPT_MOST:
            del _kept[next(iter(_kept))]
        _kept[key] = array("i", tokenizer.encode(text))
    return _kept[key]


def _item(cut: _Cut) -> PreparedItem:
    """Item of a window."""
    begin, scored, end = cut.span
    context, continuation = tuple(cut.ids[begin:scored]), tuple(cut.ids[scored:end])
    request = WindowRequest(context, continuation, cut.n_words, cut.n_bytes)
    return PreparedItem(cut.id, cut.cluster, "", request, None)
