"""A model that computes nothing and data that say nothing, for the tests of studies.

The toy gives log-probabilities that are a pure function of token ids and recipe: fast, equal in
every process, and different under every recipe. Every pair that it scores is counted in the file
that ``$QBENCH_TOY_LOG`` names; ``$QBENCH_TOY_DELAY`` (seconds per call) makes it slow, and a text
in ``$QBENCH_TOY_POISON`` makes it fail wherever that text is asked for.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np

from qbench.errors import CheckpointError, NonFiniteError

FIRST_CHARACTER = 3
RESULT = np.dtype([("logprob", "f8"), ("is_greedy", "?"), ("n_tokens", "i4")])


class ToyTokenizer:
    """One token per byte; 1 begins, 2 ends, nothing is unknown."""

    sha256 = "toy-tokenizer"
    vocab_size = FIRST_CHARACTER + 256
    bos_id, eos_ids, unk_id, chat_template = 1, frozenset({2}), None, None

    def encode(self, text: str, *, bos: bool | None = None) -> list[int]:
        ids = [FIRST_CHARACTER + byte for byte in text.encode()]
        return ids if bos is False else [self.bos_id, *ids]

    def decode(self, ids, *, skip_special: bool = True) -> str:
        return bytes(i - FIRST_CHARACTER for i in ids if i >= FIRST_CHARACTER).decode()

    def encode_pair(self, context: str, continuation: str, policy: str = "whole"):
        if not context:
            return [self.bos_id], self.encode(continuation, bos=False)
        return self.encode(context), self.encode(continuation, bos=False)

    def count_unk(self, ids) -> int:
        return 0


class ToyModel:
    """Scores by hashing; the recipe ``rtn-w2g32`` is noisier than ``rtn-w8g32``."""

    NOISE: ClassVar = {"f32": 0.0, "rtn-w8g32": 0.05, "rtn-w4g32": 0.5, "rtn-w2g32": 5.0}

    def __init__(self, recipe: str = "f32", weights: str = "toy", context_length: int = 4096):
        self.recipe, self.weights_sha256, self.context_length = recipe, weights, context_length
        self.mode, self.kv_format, self.threads = "faithful", "bf16", 1
        self.tokenizer = ToyTokenizer()
        self.spec = None
        self.bits_per_weight, self.model_bits = 4.5, 5.0
        self.batch_sequences, self.batch_tokens = None, 512

    def loglikelihood_tokens(self, pairs) -> np.ndarray:
        time.sleep(float(os.environ.get("QBENCH_TOY_DELAY", "0")))
        out = np.zeros(len(pairs), RESULT)
        for i, (context, continuation) in enumerate(pairs):
            self._count(context, continuation)
            n = len(continuation)
            base = self._hash("base", context, continuation)
            noise = self._hash(self.recipe, context, continuation) - 0.5
            logprob = -n * (1.0 + base + self.NOISE[self.recipe] * abs(noise))
            out[i] = (logprob, False, n)
        return out

    def _hash(self, salt: str, context, continuation) -> float:
        text = f"{self.weights_sha256}|{salt}|{list(context)}|{list(continuation)}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7]) / 2**56

    def _count(self, context, continuation) -> None:
        poison = os.environ.get("QBENCH_TOY_POISON")
        text = self.tokenizer.decode(context)
        if poison and poison in text:
            if poison == "kill me":
                os.kill(os.getpid(), signal.SIGKILL)
            raise NonFiniteError(f"layer 0 is not finite after {poison!r}")
        log = os.environ.get("QBENCH_TOY_LOG")
        if log:
            line = f"{self._hash(self.recipe, context, continuation)}\n".encode()
            descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, line)
            os.close(descriptor)


def load(path, *, recipe=None, mode="faithful", threads=None, chat_template=None) -> ToyModel:
    """Stand in for ``qbench.load``: the folder's ``weights`` file is all it reads."""
    content = (Path(path) / "weights").read_text()
    if content == "broken":
        raise CheckpointError(f"{path}/weights: broken; copy it again")
    model = ToyModel(recipe or "f32", weights=content)
    model.mode = mode
    model.kv_format = "f32" if mode == "exact" else "bf16"
    return model


def make_model(folder: Path, content: str = "toy") -> Path:
    """A model folder."""
    folder.mkdir(parents=True)
    (folder / "weights").write_text(content)
    return folder


def make_data(folder: Path, n_items: int = 200) -> Path:
    """A data folder with SNLI in four columns and a small WikiText-2."""
    labels = ("entailment", "neutral", "contradiction")
    lines = ["gold_label,sentence1,sentence2,SET"]
    lines += [
        f"{labels[i % 3]},Person {i // 3} walks.,The person wears hat {i}.,TEST"
        for i in range(n_items)
    ]
    (folder / "snli").mkdir(parents=True)
    (folder / "snli" / "snli_test.csv").write_text("\n".join(lines) + "\n")
    (folder / "wikitext2").mkdir()
    words = " ".join(f"word{i % 97}" for i in range(400))
    text = f" = Head = \n \n {words} \n \n = Other = \n \n {words[::-1]} \n"
    (folder / "wikitext2" / "wiki.test.raw").write_text(text)
    return folder


def make_world(folder: Path, **kwargs) -> SimpleNamespace:
    """Two models and a data folder."""
    return SimpleNamespace(
        small=make_model(folder / "small", "small weights"),
        big=make_model(folder / "big" / "hf", "big weights"),
        data=make_data(folder / "data", **kwargs),
        store=folder / "s.db",
    )


def toy_study(world: SimpleNamespace, **changes):
    """A study of the toy world."""
    from qbench.study.study import Study

    arguments = {
        "models": [world.small, world.big], "recipes": ["f32", "rtn-w4g32"],
        "tasks": ["snli:words", "perplexity"], "store": world.store, "data": world.data,
        "window": 64, "load": load,
    } | changes  # fmt: skip
    return Study(**arguments)


def item_rows(path: Path) -> dict:
    """Everything that must not depend on how a store came to be: items by cell and id."""
    from qbench.study.store import Store

    with Store.read(path) as store:
        return {
            (cell.key, item.item_id): item
            for cell in store.cells()
            for item in store.items(cell.key)
        }
