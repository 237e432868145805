"""qbench as a model of lm-eval 0.4: ``--model qbench`` there, or ``simple_evaluate(model=lm)``.

Every method keeps the conventions of lm-eval's own ``hf`` backend (boundary of context and
continuation, cutting on the left, rolling windows, stop strings), so that the two can be compared
item by item. Import this module to register the name; it imports lm_eval, and through it torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from qbench.errors import NonFiniteError, RequestError

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from qbench.engine import Model
    from qbench.models.tokenizer import Tokenizer

Pair = tuple[list[int], list[int]]

# Settings of other backends that change nothing at these values.
NEUTRAL = {"num_beams": 1, "num_return_sequences": 1, "repetition_penalty": 1.0, "use_cache": True}


@register_model("qbench")
class QbenchLM(TemplateLM):
    """A qbench model behind lm-eval's interface.

    Parameters
    ----------
    pretrained
        Folder or hub id, as for ``qbench.load``; not together with ``model``.
    recipe, mode, threads, chat_template
        As for ``qbench.load``.
    max_length
        Tokens of context to use, at most the model's; None: all of them.
    max_gen_toks
        New tokens where a task does not say.
    seed
        Of sampled generation.
    model
        A loaded model.
    batch_size, max_batch_size
        Accepted because lm-eval passes them; the engine packs its batches itself and its results do
        not depend on them.
    device
        None or ``cpu``.
    enable_thinking
        Passed to the chat template, as lm-eval's own backend does; None leaves it to the template.
    """

    def __init__(
        self,
        pretrained: str | None = None,
        recipe: str | None = None,
        mode: str = "faithful",
        threads: int | None = None,
        chat_template: str | None = None,
        max_length: int | None = None,
        max_gen_toks: int = 256,
        seed: int = 0,
        model: Model | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        device: str | None = None,
        enable_thinking: bool | None = None,
    ) -> None:
        super().__init__()
        if (pretrained is None) == (model is None):
            raise RequestError("QbenchLM takes either pretrained= or model=")
        if device not in (None, "cpu"):
            raise RequestError(f"qbench runs on the CPU, not on {device!r}; leave device out")
        if model is None:
            from qbench.quant.load import load

            model = load(
                pretrained, recipe, mode=mode, threads=threads, chat_template=chat_template
            )
        self._model = model
        self._max_length = model.context_length if max_length is None else int(max_length)
        if not 1 <= self._max_length <= model.context_length:
            raise RequestError(
                f"max_length {self._max_length} is not within 1 to {model.context_length}, the "
                "model's context"
            )
        self._max_gen_toks = int(max_gen_toks)
        self._seed = int(seed)
        self._variables = {} if enable_thinking is None else {"enable_thinking": enable_thinking}
        self.tokenizer: Tokenizer = model.tokenizer

    @property
    def max_length(self) -> int:
        """Tokens that the model reads at once."""
        return self._max_length

    @property
    def max_gen_toks(self) -> int:
        """New tokens where a task does not say."""
        return self._max_gen_toks

    @property
    def eot_token_id(self) -> int:
        """The tokenizer's EOS, else the first id that ends a generation.

        Raises
        ------
        RequestError
            The model has none.
        """
        files = self.tokenizer.folder_files
        named = files.special.get("eos_token")
        if named is not None:
            return files.ids[named]
        if not self.tokenizer.eos_ids:
            raise RequestError("the model has no EOS token, which lm-eval needs here")
        return min(self.tokenizer.eos_ids)

    @property
    def prefix_token_id(self) -> int:
        """The token that stands for an empty context: BOS, else EOS."""
        return self.tokenizer.prefix_id

    @property
    def tokenizer_name(self) -> str:
        """Fingerprint of tokenizer, chat template and its variables for lm-eval's request cache."""
        variables = "".join(f"-{name}-{value}" for name, value in self._variables.items())
        return f"qbench-{self.tokenizer.sha256}{variables}"

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        """Token ids of a text; special tokens follow the model's rule unless told otherwise."""
        return self.tokenizer.encode(string, bos=False if add_special_tokens is False else None)

    def tok_decode(self, tokens: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Text of token ids."""
        return self.tokenizer.decode(tokens, skip_special=skip_special_tokens)

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Render a conversation as text."""
        return self.tokenizer.render_chat(chat_history, add_generation_prompt, **self._variables)

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **kwargs: Any
    ) -> list[tuple[float, bool]]:
        """Score continuations, all requests in one call."""
        answers = self._score([(context, cont) for _, context, cont in requests])
        for (strings, _, _), answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial("loglikelihood", strings, answer)
        return answers

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-likelihood of whole texts, in windows that score each token once."""
        pairs: list[Pair] = []
        owners: list[int] = []
        for number, (text,) in enumerate(request.args for request in requests):
            windows = get_rolling_token_windows(
                token_list=self.tok_encode(text),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
            for window in windows:
                pairs.append(make_disjoint_window(window))
                owners.append(number)
        totals = [0.0] * len(requests)
        for number, (logprob, _) in zip(owners, self._score(pairs), strict=True):
            totals[number] += logprob
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Generate an answer to each request, those of equal settings in one call.

        Of requests that lm-eval repeats, each occurrence draws anew where a temperature is set.
        """
        seen: dict[int, int] = {}
        groups: dict[str, list[tuple[int, int, Instance]]] = {}
        for number, request in enumerate(requests):
            occurrence = seen[id(request)] = seen.get(id(request), -1) + 1
            key = repr((request.args[1], occurrence))
            groups.setdefault(key, []).append((number, occurrence, request))
        texts = [""] * len(requests)
        for group in groups.values():
            numbers, occurrences, instances = zip(*group, strict=True)
            for number, text in zip(
                numbers, self._generate(instances, occurrences[0]), strict=True
            ):
                texts[number] = text
                self.cache_hook.add_partial("generate_until", requests[number].args, text)
        return texts

    def _generate(self, instances: Sequence[Instance], repeat: int) -> list[str]:
        """Answers to requests of equal settings."""
        settings = dict(normalize_gen_kwargs(instances[0].args[1], self.max_gen_toks))
        until = [text for text in settings.pop("until") if text]
        new_tokens = int(settings.pop("max_gen_toks"))
        # Temperature 1 is what transformers samples at where a task names none.
        temperature = float(settings.pop("temperature", 1.0)) * bool(settings.pop("do_sample"))
        top_p, top_k = float(settings.pop("top_p", 1.0)), int(settings.pop("top_k", 0))
        unknown = [k for k, v in settings.items() if k not in NEUTRAL or v != NEUTRAL[k]]
        if unknown:
            raise RequestError(f"qbench cannot generate with {', '.join(sorted(unknown))}")
        room = self.max_length - new_tokens
        if room < 1:
            raise RequestError(
                f"{new_tokens} new tokens leave no room for a prompt in {self.max_length}; "
                "lower max_gen_toks"
            )
        answers = self._model.generate(
            [self.tok_encode(request.args[0])[-room:] for request in instances],
            max_new_tokens=new_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=self._seed,
            stop=tuple(until),
            item_ids=[f"{r.task_name}/{r.doc_id}/{r.idx}" for r in instances],
            repeat=repeat,
        )
        return [
            postprocess_generated_text(self.tok_decode(ids), stop=until, think_end_token=None)
            for ids in answers
        ]

    def _score(self, pairs: Sequence[Pair]) -> list[tuple[float, bool]]:
        """Log-probability of each continuation and whether it is the greedy one."""
        if not pairs:
            return []
        cut = []
        for context, continuation in pairs:
            if not 1 <= len(continuation) <= self.max_length:
                raise RequestError(
                    f"a continuation of {len(continuation)} tokens cannot be scored in a context "
                    f"of {self.max_length}"
                )
            keep = self.max_length + 1 - len(continuation)
            cut.append((context[-keep:], continuation))
        scores = self._model.loglikelihood_tokens(cut)
        lost = [i for i, x in enumerate(scores["logprob"]) if not math.isfinite(x)]
        if lost:
            raise NonFiniteError(
                f"{len(lost)} of {len(pairs)} requests gave NaN or infinity, the first is number "
                f"{lost[0]}; lm-eval would score them as wrong"
            )
        pairs_out = zip(scores["logprob"], scores["is_greedy"], strict=True)
        return [(float(logprob), bool(greedy)) for logprob, greedy in pairs_out]
