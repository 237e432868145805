"""From examples to batches: encoding with loss weights, packing into rows, prefetching.

Step ``i`` of a stage is a function of (seed, stage, i) alone, so that training can be resumed and
shared out. Rows hold whole examples; attention stays within an example, except in long rows, which
are there to learn far distances: few-shot prompts and documents one after another.
"""

from __future__ import annotations

import multiprocessing
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from mini_mixes import SOURCES, STAGES, Mix
from mini_tokenizer import END_OF_TEXT, IM_END
from tokenizers import Encoding, Tokenizer

from qbench.mini.draws import Draws
from qbench.mini.world.examples import SYSTEM, Document, Example, Exercise, Hint, chat_prompt
from qbench.mini.world.facts import SEED, World, world
from qbench.mini.world.knowledge.letters import LETTERS

SHORT, LONG = 256, 1024
TOKENS_PER_STEP = 4096
LONG_EVERY = 8
SYSTEM_SHARE = 0.3
# An answer of few tokens weighs as much as one of ten, or a letter would drown among statements.
ANSWER_WEIGHT = 10.0
HINT_WEIGHT = 3.0
STEPS_PER_SHARD = 32
OPEN_ROWS = 12


class Encoded(NamedTuple):
    """Ids of an example, and the weight of the loss of predicting each (the first has none).

    ``hints`` are what the middle layer is to predict instead, by place.
    """

    ids: list[int]
    weights: list[float]
    hints: dict[int, int]


@dataclass(frozen=True)
class Batch:
    """Rows of ids, the segment of each position (0: padding), its weight as a target.

    ``middle_ids`` and ``middle_weights`` are targets of the middle layer: the same but for hints.
    """

    ids: np.ndarray
    segments: np.ndarray
    weights: np.ndarray
    middle_ids: np.ndarray
    middle_weights: np.ndarray


def encode(tokenizer: Tokenizer, example: Example, system: bool) -> Encoded:
    """Encode one example."""
    if isinstance(example, Document):
        encoding = tokenizer.encode(example.text)
        ids = [END_OF_TEXT, *encoding.ids, END_OF_TEXT]
        spans = [(0, 0), *encoding.offsets]
        weights = [0.0] + [1.0] * (len(ids) - 1)
        return Encoded(ids, weights, _placed(tokenizer, example.hints, spans))
    prompt, start, length = example.prompt, 0, len(example.prompt)
    if example.chat:
        prompt = chat_prompt(prompt, SYSTEM if system else None)
        start = prompt.index(example.prompt)
    before, answer = tokenizer.encode(prompt), tokenizer.encode(example.answer)
    hints = [
        Hint(end + (start if end < length else len(prompt) - length), word)
        for end, word in example.hints
    ]
    spans = [*before.offsets, *((a + len(prompt), b + len(prompt)) for a, b in answer.offsets)]
    return Encoded(
        [*before.ids, *answer.ids, IM_END if example.chat else END_OF_TEXT],
        [0.0] * len(before.ids) + _answer_weights(tokenizer, example, answer) + [1.0],
        _placed(tokenizer, hints, spans),
    )


def _placed(
    tokenizer: Tokenizer, hints: Iterable[Hint], spans: Sequence[tuple[int, int]]
) -> dict[int, int]:
    """Return the first token of each hint by the place after the last token it may know."""
    starts, placed = [start for start, _ in spans], {}
    for end, word in hints:
        tokens = tokenizer.encode(f" {word}").ids
        space = tokenizer.token_to_id("Ġ")
        placed[bisect_left(starts, end)] = next(token for token in tokens if token != space)
    return placed


def _answer_weights(tokenizer: Tokenizer, example: Exercise, answer: Encoding) -> list[float]:
    """Weights of an answer's tokens; where a letter is the answer, it carries the weight."""
    if example.spans:
        weight = ANSWER_WEIGHT / len(example.spans) ** 0.5
        inside = [any(a < to and b > at for at, to in example.spans) for a, b in answer.offsets]
        return [weight * is_inside for is_inside in inside]
    if example.letter:
        letters = [tokenizer.decode([i]).strip() in LETTERS for i in answer.ids]
        weight = ANSWER_WEIGHT / max(1, sum(letters)) ** 0.5
        return [weight if is_letter else 1.0 for is_letter in letters]
    return [max(1.0, ANSWER_WEIGHT / len(answer))] * len(answer)


def examples(stream: str, mix: Mix, the_world: World) -> Iterator[tuple[str, Example]]:
    """Yield (source, example) without end, by shares of examples."""
    draws = Draws(SEED, f"train/{stream}")
    pairs = [(share, name) for name, share in mix.items()]
    while True:
        name = draws.weighted(pairs)
        yield name, SOURCES[name](the_world, draws)


class Packer:
    """Fills rows with whole examples, first fit among a few open rows."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.open: list[list[Encoded]] = []
        self.full: list[list[Encoded]] = []

    def add(self, encoded: Encoded) -> None:
        """Put an example into the first open row with room for it."""
        for row in self.open:
            if sum(len(e.ids) for e in row) + len(encoded.ids) <= self.length:
                row.append(encoded)
                break
        else:
            self.open.append([encoded])
        if len(self.open) > OPEN_ROWS:
            fullest = max(self.open, key=lambda row: sum(len(e.ids) for e in row))
            self.open = [row for row in self.open if row is not fullest]
            self.full.append(fullest)

    def batch(self, n_rows: int, *, one_segment: bool) -> Batch:
        """Take rows off; ``one_segment`` lets examples see those before them in their row."""
        rows, self.full = self.full[:n_rows], self.full[n_rows:]
        ids = np.full((n_rows, self.length), END_OF_TEXT, np.int16)
        segments = np.zeros((n_rows, self.length), np.int16)
        weights = np.zeros((n_rows, self.length), np.float32)
        middle_ids, middle_weights = ids.copy(), weights.copy()
        for r, row in enumerate(rows):
            start = 0
            for number, encoded in enumerate(row, start=1):
                stop = start + len(encoded.ids)
                ids[r, start:stop] = encoded.ids
                segments[r, start:stop] = 1 if one_segment else number
                weights[r, start:stop] = middle_weights[r, start:stop] = encoded.weights
                middle_ids[r, start:stop] = encoded.ids
                for place, token in encoded.hints.items():
                    middle_ids[r, start + place] = token
                    weight = max(encoded.weights[place], HINT_WEIGHT)
                    middle_weights[r, start + place] = weight
                start = stop
        return Batch(ids, segments, weights, middle_ids, middle_weights)


class Part(NamedTuple):
    """One of ``count`` equal parts of every batch of a stage, made ``n_steps`` steps at a time."""

    stage: str
    place: int
    count: int
    n_steps: int = STEPS_PER_SHARD

    def steps(self, number: int) -> range:
        """Return the steps of one shard."""
        return range(number * self.n_steps, (number + 1) * self.n_steps)


def packed(part: Part, number: int, tokenizer: Tokenizer) -> tuple[Packer, Packer, list[Example]]:
    """Draw the examples of one shard and pack them; returns short rows, long rows, and examples."""
    stream, n_tokens = f"{part.stage}/{number}/{part.place}", TOKENS_PER_STEP // part.count
    draws, plan, the_world = Draws(SEED, f"system/{stream}"), STAGES[part.stage], world()
    n_long = sum(map(_is_long, part.steps(number)))
    short, long, drawn = Packer(SHORT), Packer(LONG), []
    for packer, shares, n_steps in (
        (short, plan.mix, part.n_steps - n_long),
        (long, plan.long_mix, n_long),
    ):
        mix, wanted = _per_token(shares, tokenizer, the_world), n_steps * n_tokens // packer.length
        for _, example in examples(f"{stream}/{packer.length}", mix, the_world):
            if len(packer.full) >= wanted:
                break
            encoded = encode(tokenizer, example, draws.chance(SYSTEM_SHARE))
            if len(encoded.ids) <= packer.length:
                packer.add(encoded)
                drawn.append(example)
    return short, long, drawn


def shard(part: Part, number: int, tokenizer_json: str) -> list[Batch]:
    """Make the batches of the steps of one shard."""
    short, long, _ = packed(part, number, Tokenizer.from_str(tokenizer_json))
    n_tokens = TOKENS_PER_STEP // part.count
    return [
        long.batch(n_tokens // LONG, one_segment=True)
        if _is_long(step)
        else short.batch(n_tokens // SHORT, one_segment=False)
        for step in part.steps(number)
    ]


def _is_long(step: int) -> bool:
    """Whether a step trains on long rows."""
    return step % LONG_EVERY == LONG_EVERY - 1


_LENGTHS: dict[str, float] = {}


def _per_token(mix: Mix, tokenizer: Tokenizer, the_world: World) -> Mix:
    """Turn shares of tokens into shares of examples, by the mean length of each source."""
    for name in mix:
        if name not in _LENGTHS:
            draws = Draws(SEED, f"lengths/{name}")
            drawn = [SOURCES[name](the_world, draws) for _ in range(200)]
            _LENGTHS[name] = float(np.mean([len(encode(tokenizer, e, False).ids) for e in drawn]))
    return {name: share / _LENGTHS[name] for name, share in mix.items()}


def batches(part: Part, steps: range, tokenizer: Tokenizer) -> Iterator[Batch]:
    """Yield one part of the batches of some steps of a stage, made ahead by another process."""
    text = tokenizer.to_str()
    numbers = range(steps.start // part.n_steps, -(-steps.stop // part.n_steps))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(shard, part, n, text) for n in numbers[:2]]
        for place, number in enumerate(numbers):
            made = waiting.pop(0).result()
            if place + 2 < len(numbers):
                waiting.append(pool.submit(shard, part, numbers[place + 2], text))
            first = number * part.n_steps
            yield from made[max(0, steps.start - first) : max(0, steps.stop - first)]
