"""Likelihoods, greedy text and perplexity of a mini model in PyTorch; round-to-nearest weights.

Everything runs on `MiniLlama.hidden`, `step` and `logits`. The options of a choice stand in one row
behind their shared context, each at the positions and with the view that it would have alone, so
one forward pass scores a whole batch of questions. Texts are written by a batch with a cache, from
which finished rows are dropped.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mini_model import CONTEXT, MiniLlama
from torch import Tensor, nn

END_TOKENS = ("<|im_end|>", "<|endoftext|>")
# A stop string is looked for in the last tokens only; each holds at least a byte of it.
TAIL_TOKENS = 16
# KL is measured on this many windows at most: enough for three digits.
KL_WINDOWS = 32


class Answer(NamedTuple):
    """Text written for a prompt.

    ``cut``: the prompt lost its beginning to fit; ``capped``: the text ran into the limit of new
    tokens; ``finite``: all logits were.
    """

    text: str
    cut: bool = False
    capped: bool = False
    finite: bool = True


class Likelihoods(NamedTuple):
    """Summed log-probabilities of the options of a question; ``cut`` as for Answer."""

    sums: tuple[float, ...]
    cut: bool = False


class TextLoss(NamedTuple):
    """Losses in nats of the scored tokens of a text, and the bytes that those tokens cover."""

    losses: np.ndarray
    n_bytes: int


class Divergence(NamedTuple):
    """Per scored token: KL(reference || model) in nats, and whether both prefer the same token."""

    kl: np.ndarray
    same_top: np.ndarray


class _Row(NamedTuple):
    """One context with the continuations that share it; ``slots`` say where their sums belong."""

    context: list[int]
    continuations: list[list[int]]
    slots: list[int]

    @property
    def length(self) -> int:
        """Tokens that are fed: the last of a continuation never is."""
        return len(self.context) + sum(len(ids) - 1 for ids in self.continuations)


class Scorer:
    """A model and its tokenizer.

    Parameters
    ----------
    model
        A MiniLlama, or anything with its ``step``, ``hidden`` and ``logits`` and as many caches as
        ``n_layers``.
    tokenizer
        A ``tokenizers.Tokenizer``.
    budget
        Tokens of a batch, padding included.
    """

    def __init__(self, model: Any, tokenizer: Any, *, budget: int | None = None) -> None:
        self.model, self.tokenizer = model, tokenizer
        weights = list(model.parameters()) if isinstance(model, nn.Module) else []
        self.device = weights[0].device if weights else torch.device("cpu")
        self.budget = budget or (4_096 if self.device.type == "cpu" else 65_536)
        self.n_layers = len(getattr(model, "blocks", ())) or 1
        ends = [tokenizer.token_to_id(token) for token in END_TOKENS]
        self.end_ids = frozenset(token for token in ends if token is not None)

    def encode(self, text: str) -> list[int]:
        """Ids of a text; special tokens are recognised where they are written, none are added."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def choices(self, questions: Sequence[tuple[str, Sequence[str]]]) -> list[Likelihoods]:
        """Score the options of each question as continuations of its context.

        Context and option are encoded as one text, and the tokens after as many as the context
        alone has are the option's (lm-eval's rule). A context too long loses its beginning.
        """
        rows: list[_Row] = []
        starts, cuts, n_slots = [], [], 0
        for context, options in questions:
            alone = len(self.encode(context))
            shared: dict[tuple[int, ...], _Row] = {}
            pairs = []
            for option in options:
                ids = self.encode(context + option)
                split = max(1, min(alone, len(ids) - 1))
                pairs.append((ids[:split], ids[split:]))
            room = CONTEXT + 1 - max(len(tail) for _, tail in pairs)
            for slot, (head, tail) in enumerate(pairs, n_slots):
                row = shared.setdefault(tuple(head), _Row(head[-room:], [], []))
                row.continuations.append(tail)
                row.slots.append(slot)
            rows += shared.values()
            starts.append(n_slots)
            cuts.append(any(len(head) > room for head, _ in pairs))
            n_slots += len(pairs)
        sums = self._row_sums(rows, n_slots)
        ends = [*starts[1:], n_slots]
        return [
            Likelihoods(tuple(sums[start:end].tolist()), cut)
            for start, end, cut in zip(starts, ends, cuts, strict=True)
        ]

    @torch.inference_mode()
    def _row_sums(self, rows: list[_Row], n_slots: int) -> Tensor:
        """Sums of log-probabilities by slot."""
        sums = torch.zeros(n_slots, dtype=torch.float64)
        for batch in self._batches(rows, [row.length for row in rows]):
            ids, positions, mask, asked = _tree(batch)
            caches: list[list[Tensor]] = [[] for _ in range(self.n_layers)]
            states = self.model.step(
                ids.to(self.device), positions.to(self.device), mask.to(self.device), caches
            )
            where, place, target, slot = (torch.tensor(column) for column in asked)
            logits = self.model.logits(states[where.to(self.device), place.to(self.device)]).float()
            chosen = logits.log_softmax(-1).gather(1, target.to(self.device)[:, None])[:, 0]
            sums.index_add_(0, slot, chosen.cpu().double())
        return sums

    def _batches(self, things: list[Any], lengths: Sequence[int]) -> Iterator[list[Any]]:
        """Groups of similar length whose padded size stays within the budget."""
        order = sorted(range(len(things)), key=lambda i: lengths[i])
        batch: list[Any] = []
        for i in order:
            if batch and (len(batch) + 1) * lengths[i] > self.budget:
                yield batch
                batch = []
            batch.append(things[i])
        if batch:
            yield batch

    @torch.inference_mode()
    def write(self, prompts: Sequence[str], max_new: int, stops: Sequence[str]) -> list[Answer]:
        """Continue each prompt greedily, up to an end token, a stop string or ``max_new`` tokens.

        What follows the first stop string is dropped, the string included.
        """
        room = CONTEXT - max_new
        encoded = [self.encode(prompt) for prompt in prompts]
        answers: list[Answer | None] = [None] * len(prompts)
        jobs = [(i, ids[-room:]) for i, ids in enumerate(encoded)]
        # Half of the new tokens stand for the average length of the cache.
        for batch in self._batches(jobs, [len(ids) + max_new // 2 for _, ids in jobs]):
            found = self._write_batch([ids for _, ids in batch], max_new, stops)
            for (i, _), (new, capped, finite) in zip(batch, found, strict=True):
                text = self.tokenizer.decode(new, skip_special_tokens=True)
                for stop in stops:
                    text = text.split(stop, 1)[0]
                answers[i] = Answer(text, len(encoded[i]) > room, capped, finite)
        return [answer for answer in answers if answer is not None]

    def _write_batch(
        self, prompts: list[list[int]], max_new: int, stops: Sequence[str]
    ) -> list[tuple[list[int], bool, bool]]:
        """New ids of each prompt, whether the limit ended them, and whether they were finite."""
        widest = max(len(ids) for ids in prompts)
        n_pad = torch.tensor([widest - len(ids) for ids in prompts], device=self.device)
        ids = torch.tensor(
            [[0] * (widest - len(p)) + p for p in prompts], dtype=torch.long, device=self.device
        )
        seen = torch.arange(widest, device=self.device) >= n_pad[:, None]
        causal = torch.ones(widest, widest, dtype=torch.bool, device=self.device).tril()
        # A padded position looks at itself: a row of the mask without any True gives NaN.
        itself = torch.eye(widest, dtype=torch.bool, device=self.device)
        mask = (causal & seen[:, None, :] | itself)[:, None]
        positions = (torch.arange(widest, device=self.device) - n_pad[:, None]).clamp(min=0)
        caches: list[list[Tensor]] = [[] for _ in range(self.n_layers)]
        states = self.model.step(ids, positions, mask, caches)
        results: list[tuple[list[int], bool, bool]] = [([], True, True) for _ in prompts]
        alive = list(range(len(prompts)))
        for done in range(1, max_new + 1):
            logits = self.model.logits(states[:, -1])
            finite = torch.isfinite(logits).all(-1).tolist()
            chosen = logits.argmax(-1)
            keep = []
            for place, (row, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
                new = results[row][0]
                if finite[place] and token not in self.end_ids:
                    new.append(token)
                    if not self._stopped(new, stops):
                        keep.append(place)
                        continue
                results[row] = (new, False, finite[place])
            if not keep or done == max_new:
                break
            if len(keep) < len(alive):
                alive = [alive[place] for place in keep]
                kept = torch.tensor(keep, device=self.device)
                chosen, seen, n_pad = chosen[kept], seen[kept], n_pad[kept]
                for cache in caches:
                    cache[:] = [part[kept] for part in cache]
            seen = torch.cat([seen, seen.new_ones(len(alive), 1)], 1)
            positions = widest + done - 1 - n_pad[:, None]
            states = self.model.step(chosen[:, None], positions, seen[:, None, None, :], caches)
        return results

    def _stopped(self, new: list[int], stops: Sequence[str]) -> bool:
        """Whether a stop string stands at the end of the new text."""
        if not stops:
            return False
        tail = self.tokenizer.decode(new[-TAIL_TOKENS:], skip_special_tokens=True)
        return any(stop in tail for stop in stops)

    def _windows(self, text: str, limit: int | None) -> tuple[list[list[int]], list[int]]:
        """Disjoint windows of a text, and the bytes that the scored tokens of each cover.

        The first token of a window is given, not scored.
        """
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        windows, n_bytes = [], []
        for start in range(0, len(encoding.ids), CONTEXT)[:limit]:
            window = encoding.ids[start : start + CONTEXT]
            if len(window) > 1:
                ends = [end for _, end in encoding.offsets[start : start + CONTEXT]]
                windows.append(window)
                n_bytes.append(len(text[ends[0] : ends[-1]].encode()))
        return windows, n_bytes

    @torch.inference_mode()
    def _window_logits(self, windows: list[list[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Log-probabilities (scored tokens, vocabulary) and the tokens, window by window."""
        for window in windows:
            ids = torch.tensor([window], device=self.device)
            logits = self.model.logits(self.model.hidden(ids)[0, :-1])
            yield logits.float().log_softmax(-1), ids[0, 1:]

    def text_loss(self, text: str, limit: int | None = None) -> TextLoss:
        """Score a text in disjoint windows of the context length, ``limit`` of them at most."""
        windows, n_bytes = self._windows(text, limit)
        losses = [
            -logprobs.gather(1, tokens[:, None])[:, 0].cpu().double().numpy()
            for logprobs, tokens in self._window_logits(windows)
        ]
        return TextLoss(np.concatenate(losses) if losses else np.empty(0), sum(n_bytes))

    def divergence(self, reference: Scorer, text: str, limit: int | None = None) -> Divergence:
        """Compare the next-token distributions of a reference and this model on a text."""
        windows, _ = self._windows(text, min(limit or KL_WINDOWS, KL_WINDOWS))
        kl, same = [], []
        ours, theirs = self._window_logits(windows), reference._window_logits(windows)
        for (mine, _), (base, _) in zip(ours, theirs, strict=True):
            kl.append((base.double().exp() * (base - mine).double()).sum(-1).cpu().numpy())
            same.append((base.argmax(-1) == mine.argmax(-1)).cpu().numpy())
        return Divergence(np.concatenate(kl), np.concatenate(same))


def _tree(rows: list[_Row]) -> tuple[Tensor, Tensor, Tensor, tuple[list[int], ...]]:
    """Ids, positions and mask of a batch of rows, and what is asked of its states.

    What is asked: row, place of the state, token to be predicted, slot of the sum. The owner of a
    place is 0 for the context, 1 + k for continuation k, -1 for padding; a place sees the context
    and its own owner's places before it.
    """
    width = max(row.length for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    positions, owners = torch.zeros_like(ids), torch.full_like(ids, -1)
    asked: list[tuple[int, int, int, int]] = []
    for i, row in enumerate(rows):
        n = len(row.context)
        line, places, owner = list(row.context), list(range(n)), [0] * n
        for k, (tail, slot) in enumerate(zip(row.continuations, row.slots, strict=True), 1):
            asked.append((i, n - 1, tail[0], slot))
            asked += [(i, len(line) + j, token, slot) for j, token in enumerate(tail[1:])]
            line += tail[:-1]
            places += range(n, n + len(tail) - 1)
            owner += [k] * (len(tail) - 1)
        ids[i, : len(line)] = torch.tensor(line)
        positions[i, : len(line)] = torch.tensor(places)
        owners[i, : len(line)] = torch.tensor(owner)
    seen = (owners[:, None, :] == 0) | (owners[:, None, :] == owners[:, :, None])
    mask = (seen & torch.ones(width, width, dtype=torch.bool).tril())[:, None]
    return ids, positions, mask, tuple(list(column) for column in zip(*asked, strict=True))


def round_to_nearest(weight: Tensor, bits: int, group: int = 32) -> Tensor:
    """Fake-quantize a matrix, asymmetric, by the minimum and maximum of groups of inputs.

    The range includes zero and the zero point is a code, as in GPTQ's and qbench's families:
    ``s = (hi - lo) / n``, ``z = round(-lo / s)``, codes ``clip(round(w / s) + z, 0, n)``.
    """
    levels = 2**bits - 1
    parts = weight.float().reshape(weight.shape[0], -1, group)
    low = parts.amin(-1, keepdim=True).clamp(max=0)
    high = parts.amax(-1, keepdim=True).clamp(min=0)
    scale = (high - low) / levels
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    zero = (-low / scale).round()
    codes = ((parts / scale).round() + zero).clamp(0, levels)
    return ((codes - zero) * scale).reshape(weight.shape)


def quantized(
    model: MiniLlama, bits: int, quantize: Callable[[Tensor, int], Tensor] = round_to_nearest
) -> MiniLlama:
    """Return a copy of a model whose linears in the layers are fake-quantized.

    Embedding, head and gains stay; 16 bits and more mean a plain copy.
    """
    twin = copy.deepcopy(model)
    if bits < 16:
        with torch.no_grad():
            for block in twin.blocks:
                for linear in (block.qkv, block.out, block.gate_up, block.down):
                    linear.weight.copy_(quantize(linear.weight, bits))
    return twin
