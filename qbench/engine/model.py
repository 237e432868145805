"""A model that is ready to run: weights, tokenizer and everything a result must name.

Made by ``qbench.load``. Text goes in and out here; below, there are only token ids. It knows no
benchmark.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qbench.engine import requests, scoring
from qbench.engine.batches import Limits
from qbench.engine.described import Described, Provenance
from qbench.engine.ends import Ends
from qbench.engine.generation import Generator
from qbench.engine.perplexity import Perplexity, exp
from qbench.engine.requests import Room
from qbench.engine.runtime import Runtime
from qbench.errors import RequestError
from qbench.metrics.windows import windows
from qbench.models import DecoderSpec, Tokenizer

MAX_WINDOW = 2048

Saver = Callable[[Path, bool], Path]


class Model(Described):
    """A decoder with its tokenizer.

    Attributes
    ----------
    spec : DecoderSpec
    tokenizer : Tokenizer
    batch_tokens : int
        Most tokens of one forward (see `qbench.engine.memory.default_batch_tokens`).
    batch_sequences : int or None
        Most sequences of one forward. Neither limit changes a result.
    room : Room
        What ids it reads, and how many in a row.
    """

    def __init__(
        self,
        spec: DecoderSpec,
        tokenizer: Tokenizer | None,
        runtime: Runtime,
        provenance: Provenance,
        saver: Saver,
    ) -> None:
        super().__init__(spec, runtime, provenance)
        self._tokenizer = tokenizer
        self._saver = saver
        self.batch_tokens = runtime.batch_tokens
        self.room = Room.of(spec, runtime.memory.longest)
        self.batch_sequences: int | None = None

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
    def keep_prefix(self) -> bool:
        """Whether a call of ``loglikelihood`` leaves the last it read in the cache, for the next.

        Off by default. Where calls share a beginning, as the parts of a few-shot task do, the next
        call does not compute it again. No result depends on it. The cache keeps up to one context
        until it is switched off.
        """
        return self._runtime.prefix.wanted

    @keep_prefix.setter
    def keep_prefix(self, wanted: bool) -> None:
        with self._runtime.exclusive(reuse=wanted):
            self._runtime.prefix.wanted = wanted

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
        tokens = requests.token_ids(ids, self.room, "logits")
        step = self._limits.tokens
        with self._runtime.exclusive():
            self._runtime.rotation = self.spec.rotation_key(len(tokens))
            sequence = self._runtime.new_sequence()
            self._runtime.rotation = 0
            pieces = [
                self._runtime.logits(sequence, tokens[first : first + step])
                for first in range(0, len(tokens), step)
            ]
            self._runtime.release(sequence)
        return np.concatenate(pieces)

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
            int32, ``bad_layer`` int32 (first layer with a non-finite value, else -1; the number of
            layers stands for the final norm, one more for the head).

        Raises
        ------
        RequestError
            An empty part, an id outside the vocabulary, or a pair that does not fit.
        """
        asked = [requests.scoring_request(i, pair, self.room) for i, pair in enumerate(pairs)]
        return scoring.score(self._runtime, asked, self._limits)

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
        if isinstance(text_or_ids, str):
            text, ids = text_or_ids, self.tokenizer.encode(text_or_ids)
        else:
            text, ids = None, list(text_or_ids)
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
        nll = -math.fsum(result["logprob"].tolist())
        n_tokens = int(result["n_tokens"].sum())
        return Perplexity(
            ppl=exp(nll / n_tokens),
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
        as_text: bool | None = None,
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
        as_text : bool, optional
            Whether texts or ids come out; default what went in. The text ends right before a stop,
            the ids with the token that completes it.

        Returns
        -------
        str, list of ids, or a list of either
            What is new only; an iterator of str if ``stream``.

        Raises
        ------
        RequestError
            An empty prompt, one that fills the context, or an impossible setting.
        """
        single = isinstance(prompts, str) or (len(prompts) > 0 and requests.is_id(prompts[0]))
        given: Any = [prompts] if single else prompts
        sampling = requests.check_sampling(temperature, top_k, top_p, seed, repeat)
        if stream or as_text:
            _ = self.tokenizer  # says what is missing
        ends = self._ends(stop, stream)
        names = requests.check_names(item_ids, len(given))
        asked = [
            requests.generation_request(
                name,
                self.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt,
                max_new_tokens,
                sampling,
                self.room,
            )
            for name, prompt in zip(names, given, strict=True)
        ]
        generator = Generator(self._runtime, asked, sampling, ends, self._limits)
        if stream:
            if len(asked) != 1:
                raise RequestError(f"stream=True takes one prompt, not {len(asked)}")
            return generator.stream()
        generator.run()
        texts = [isinstance(p, str) if as_text is None else as_text for p in given]
        results = [r.text if text else r.new for r, text in zip(asked, texts, strict=True)]
        return results[0] if single else results

    def _ends(self, stop: str | Sequence[str], follow: bool) -> Ends:
        """Return what ends a generation of this model."""
        stops = requests.check_stops(stop, self._tokenizer)
        if self._tokenizer is None:
            return Ends(self.spec.eos_token_ids, stops, None, follow)
        eos_ids = tuple(sorted(self._tokenizer.eos_ids))
        return Ends(eos_ids, stops, self._tokenizer.decode, follow)

    def chat(self, messages: Sequence[Mapping[str, str]], **settings: Any) -> Any:
        """Answer a conversation.

        Parameters
        ----------
        messages : sequence of mappings with ``role`` and ``content``
        **settings
            As for `generate`; every other name is a variable of the chat template, such as
            ``enable_thinking=False`` or ``tools=[…]``.

        Returns
        -------
        str
            The answer, reasoning included (see `qbench.metrics.thinking`); an iterator of its
            pieces if ``stream``.

        Raises
        ------
        RequestError
            If a name is neither a setting nor a variable of the template.
        TemplateError
            If the model has no chat template.
        """
        known = inspect.signature(self.generate).parameters
        variables = {name: settings.pop(name) for name in [*settings] if name not in known}
        ids = self.tokenizer.apply_chat([dict(message) for message in messages], **variables)
        return self.generate(ids, as_text=True, **settings)

    def save(self, path: Path | str, *, force: bool = False) -> Path:
        """Write the model to a folder that ``qbench.load`` reads back, bit for bit.

        Raises
        ------
        RequestError
            If the folder is not empty, unless ``force``.
        """
        return self._saver(Path(path), force)
