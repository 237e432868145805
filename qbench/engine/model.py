"""A model that is ready to run: weights, tokenizer and everything a result must name.

Made by ``qbench.load``. Text goes in and out here; below, there are only token ids. It knows no
benchmark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qbench.engine import scoring
from qbench.engine.generation import Generation, Sampling, generate, request_key
from qbench.engine.perplexity import Perplexity
from qbench.engine.runtime import Run, Runtime
from qbench.engine.scoring import Limits
from qbench.errors import RequestError
from qbench.metrics.windows import windows
from qbench.models import DecoderSpec, Tokenizer

MAX_WINDOW = 2048

Saver = Callable[[Path, bool], Path]


@dataclass(frozen=True)
class Provenance:
    """What a model was made from, and what its weights cost.

    ``bits_per_weight``: mean bits of the quantized linears, padding not counted; ``model_bits``:
    bits of everything needed, per parameter.
    """

    name: str
    recipe: str
    mode: str
    kv_format: str
    weights_sha256: str
    bits_per_weight: float
    model_bits: float


class Model:
    """A decoder with its tokenizer.

    Attributes
    ----------
    spec : DecoderSpec
    tokenizer : Tokenizer
    batch_tokens : int
        Most tokens of one forward.
    batch_sequences : int or None
        Most sequences of one forward. Neither limit changes a result.
    """

    def __init__(
        self,
        spec: DecoderSpec,
        tokenizer: Tokenizer | None,
        runtime: Runtime,
        provenance: Provenance,
        saver: Saver,
    ) -> None:
        self.spec = spec
        self._tokenizer = tokenizer
        self._runtime = runtime
        self._provenance = provenance
        self._saver = saver
        self.batch_tokens = 2048
        self.batch_sequences: int | None = None

    def __repr__(self) -> str:
        p = self._provenance
        return f"Model({p.name!r}, recipe={p.recipe!r}, mode={p.mode!r}, kv={p.kv_format!r})"

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer.

        Raises
        ------
        RequestError
            If the model was made from memory without one.
        """
        if self._tokenizer is None:
            raise RequestError("this model has no tokenizer; give one to load(tokenizer=…)")
        return self._tokenizer

    @property
    def name(self) -> str:
        """What the model was loaded as."""
        return self._provenance.name

    @property
    def recipe(self) -> str:
        """The recipe in canonical form."""
        return self._provenance.recipe

    @property
    def mode(self) -> str:
        """``"exact"`` or ``"faithful"``."""
        return self._provenance.mode

    @property
    def kv_format(self) -> str:
        """``"f32"`` or ``"bf16"``."""
        return self._provenance.kv_format

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights as they were stored."""
        return self._provenance.weights_sha256

    @property
    def bits_per_weight(self) -> float:
        """Mean bits of a weight of the quantized linears."""
        return self._provenance.bits_per_weight

    @property
    def model_bits(self) -> float:
        """Bits of everything needed, per parameter."""
        return self._provenance.model_bits

    @property
    def context_length(self) -> int:
        """Most tokens of one sequence."""
        return self.spec.context_length

    @property
    def config(self) -> DecoderSpec:
        """The decoder's specification."""
        return self.spec

    @property
    def threads(self) -> int:
        """Threads of a forward."""
        return self._runtime.threads

    @property
    def isa(self) -> str:
        """Tier of the kernels."""
        return self._runtime.isa

    @property
    def memory(self) -> dict[str, int]:
        """Bytes: ``weights`` as they lie in memory, and ``kv_per_token``."""
        page = self._runtime.cache.page_bytes
        return {"weights": self._runtime.weights.nbytes, "kv_per_token": -(-page // 32)}

    @property
    def _limits(self) -> Limits:
        return Limits(self.batch_tokens, self.batch_sequences)

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return the logits after each token.

        Parameters
        ----------
        ids : sequence of int, length n
            At most the context length.

        Returns
        -------
        ndarray of float32, shape (n, vocabulary)

        Raises
        ------
        RequestError
            No ids, too many, or an id outside the vocabulary.
        """
        tokens = self._check_ids(ids, self.context_length)
        if not tokens:
            raise RequestError("logits needs at least one token")
        pieces = []
        with self._runtime.exclusive():
            sequence = self._runtime.cache.new_sequence()
            try:
                for first in range(0, len(tokens), self.batch_tokens):
                    piece = tokens[first : first + self.batch_tokens]
                    scored = self._runtime.forward(
                        [Run(sequence, piece)], range(len(piece)), logits=True
                    )
                    pieces.append(scored.logits)
            finally:
                self._runtime.cache.release(sequence)
        return np.concatenate([piece for piece in pieces if piece is not None])

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.void]:
        """Score continuations after contexts; see `loglikelihood_tokens`.

        Parameters
        ----------
        pairs : sequence of (context, continuation)
            Encoded as one string, the continuation being what follows the context's tokens
            (lm-eval's rule).
        """
        return self.loglikelihood_tokens([self.tokenizer.encode_pair(c, t) for c, t in pairs])

    def loglikelihood_tokens(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> NDArray[np.void]:
        """Score continuations after contexts, as ids; no BOS is added.

        Parameters
        ----------
        pairs : sequence of (context ids, continuation ids)
            Both non-empty; all ids but the last fit the context length.

        Returns
        -------
        structured ndarray, shape (pairs,)
            ``logprob`` float64 (nats, summed; NaN if not finite), ``is_greedy`` bool, ``n_tokens``
            int32, ``bad_layer`` int32 (first layer with a non-finite value, else -1).

        Raises
        ------
        RequestError
            An empty part, an id outside the vocabulary, or a pair that does not fit.
        """
        requests = []
        for number, (context, continuation) in enumerate(pairs):
            if len(context) == 0 or len(continuation) == 0:
                raise RequestError(f"pair {number}: context and continuation need a token each")
            ids = self._check_ids([*context, *continuation], self.context_length + 1)
            requests.append((ids[: len(context)], ids[len(context) :]))
        return scoring.score(self._runtime, requests, self._limits)

    def perplexity(
        self,
        text_or_ids: str | Sequence[int],
        window: int | None = None,
        stride: int | None = None,
    ) -> Perplexity:
        """Return the perplexity of a text or of ids.

        Parameters
        ----------
        text_or_ids : str or sequence of int
            A text is encoded once by the tokenizer's own rule.
        window : int, optional
            Tokens of a window; default min(2048, context length).
        stride : int, optional
            Distance of the windows; default the window: disjoint, the first token of each
            unscored. With a smaller stride a window scores the tokens that the one before did not.

        Raises
        ------
        RequestError
            Fewer than two tokens, or an impossible window or stride.
        """
        text = text_or_ids if isinstance(text_or_ids, str) else None
        ids = self.tokenizer.encode(text_or_ids) if isinstance(text_or_ids, str) else text_or_ids
        window = min(MAX_WINDOW, self.context_length) if window is None else window
        stride = window if stride is None else stride
        if window > self.context_length:
            raise RequestError(
                f"a window of {window} tokens exceeds the context of {self.context_length}"
            )
        spans = windows(len(ids), window, stride)
        if not spans:
            raise RequestError("a perplexity needs at least two tokens")
        result = self.loglikelihood_tokens(
            [(ids[s.begin : s.scored], ids[s.scored : s.end]) for s in spans]
        )
        nll = -math.fsum(result["logprob"]) if np.isfinite(result["logprob"]).all() else math.nan
        n_tokens = int(result["n_tokens"].sum())
        return Perplexity(
            ppl=math.exp(nll / n_tokens),
            nll=nll,
            n_tokens=n_tokens,
            n_words=None if text is None else len(text.split()),
            n_bytes=None if text is None else len(text.encode()),
            n_windows=len(spans),
            window=window,
            stride=stride,
        )

    def generate(
        self,
        prompts: str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]],
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: str | Sequence[str] = (),
        stream: bool = False,
        *,
        item_ids: Sequence[str] | None = None,
        repeat: int = 0,
    ) -> Any:
        """Continue prompts.

        Parameters
        ----------
        prompts : str, list of ids, or a list of either
            Ids are taken as given; texts are encoded by the tokenizer's own rule.
        max_new_tokens : int
            Fewer where the context ends.
        temperature : float
            0: greedy, the lowest id of equals.
        top_k, top_p : int, float
            Keep the k most likely ids, then the smallest set that reaches probability top_p.
        seed : int
            A draw depends on (seed, item id, repeat, step) alone.
        stop : str or sequence of str
            Generation ends before the first of these texts.
        stream : bool
            Yield the text of one prompt in pieces.
        item_ids : sequence of str, optional
            Names of the prompts for the draws; default their numbers.
        repeat : int

        Returns
        -------
        str, list of ids, or a list of either
            New tokens only, in the form of the prompts; an iterator of str if ``stream``.

        Raises
        ------
        RequestError
            An empty prompt, one that fills the context, or an impossible setting.
        """
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        sampling = _sampling(temperature, top_k, top_p, seed, repeat)
        single = isinstance(prompts, str) or (len(prompts) > 0 and _is_id(prompts[0]))
        given: Any = [prompts] if single else prompts
        requests = [
            self._request(i, prompt, max_new_tokens, sampling, item_ids)
            for i, prompt in enumerate(given)
        ]
        if stream:
            if len(requests) != 1:
                raise RequestError("stream=True takes one prompt")
            return self._stream(requests[0], sampling, stops)
        for _ in self._run(requests, sampling, stops):
            pass
        results = [
            r.text if isinstance(prompt, str) else r.new
            for prompt, r in zip(given, requests, strict=True)
        ]
        return results[0] if single else results

    def chat(self, messages: Sequence[Mapping[str, str]], **settings: Any) -> str:
        """Answer a conversation.

        Parameters
        ----------
        messages : sequence of mappings with ``role`` and ``content``
        **settings
            As for `generate`.

        Raises
        ------
        TemplateError
            If the model has no chat template.
        """
        ids = self.tokenizer.apply_chat([dict(message) for message in messages])
        new = self.generate([ids], **settings)
        return self.tokenizer.decode(new[0])

    def save(self, path: Path | str, *, force: bool = False) -> Path:
        """Write the model to a folder that ``qbench.load`` reads back, bit for bit.

        Raises
        ------
        RequestError
            If the folder is not empty, unless ``force``.
        """
        return self._saver(Path(path), force)

    def _check_ids(self, ids: Sequence[int], most: int) -> tuple[int, ...]:
        tokens = tuple(map(int, ids))
        if len(tokens) > most:
            raise RequestError(
                f"{len(tokens)} tokens do not fit: the context of {self.name} has "
                f"{self.context_length}"
            )
        for token in tokens:
            if not 0 <= token < self.spec.vocab_size:
                raise RequestError(
                    f"token id {token} is outside the vocabulary of {self.spec.vocab_size}"
                )
        return tokens

    def _request(
        self,
        index: int,
        prompt: str | Sequence[int],
        max_new_tokens: int,
        sampling: Sampling,
        item_ids: Sequence[str] | None,
    ) -> Generation:
        ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
        tokens = self._check_ids(ids, self.context_length)
        if not tokens:
            raise RequestError(f"prompt {index} has no tokens")
        # The last new token is not read, so one more than the free places can be generated.
        room = self.context_length - len(tokens) + 1
        name = str(index) if item_ids is None else item_ids[index]
        key = request_key(sampling.seed, name, sampling.repeat)
        return Generation(index, tokens, key, min(max_new_tokens, room))

    def _run(
        self, requests: Sequence[Generation], sampling: Sampling, stop: Sequence[str]
    ) -> Iterator[list[Generation]]:
        return generate(
            self._runtime,
            [request for request in requests if request.max_new > 0],
            sampling,
            end_ids=sorted(self._tokenizer.eos_ids if self._tokenizer else self.spec.eos_token_ids),
            stop=stop,
            decode=self._decode,
            limits=self._limits,
        )

    def _decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(ids) if self._tokenizer is not None else ""

    def _stream(
        self, request: Generation, sampling: Sampling, stop: Sequence[str]
    ) -> Iterator[str]:
        """Text as it comes, holding back what may turn out to be the beginning of a stop."""
        held = max((len(s) - 1 for s in stop), default=0)
        sent = 0
        for _ in self._run([request], sampling, stop):
            ready = len(request.text) if request.done else max(sent, len(request.text) - held)
            if not request.done and request.text.endswith("\ufffd"):
                continue  # half of a character
            if ready > sent:
                yield request.text[sent:ready]
                sent = ready


def _is_id(value: Any) -> bool:
    return isinstance(value, int | np.integer)


def _sampling(
    temperature: float, top_k: int, top_p: float, seed: int, repeat: int
) -> Sampling:
    """Check the settings of a generation."""
    if not (math.isfinite(temperature) and temperature >= 0.0):
        raise RequestError(f"temperature must be 0 or more, not {temperature}")
    if top_k < 0:
        raise RequestError(f"top_k must be 0 (all) or more, not {top_k}")
    if not 0.0 < top_p <= 1.0:
        raise RequestError(f"top_p must be above 0 and at most 1, not {top_p}")
    return Sampling(temperature, top_k, top_p, seed, repeat)
