"""Threads, interrupts, forks and memory: one model in the hands of a careless caller."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from engine.builders import arrays, awkward_pairs, from_memory, sequences_alive

from qbench.quant.load import load

ROOT = Path(__file__).resolve().parent.parent.parent


def test_calls_from_several_threads_queue(loaded, tiny_model, rng) -> None:
    model = loaded(tiny_model, "rtn-w4g32", threads=1)
    pairs = awkward_pairs(rng, 416, 200, n=3)
    scores, texts = model.loglikelihood_tokens(pairs), model.generate(["Tom", "Once"], 20)
    logits = model.logits(pairs[0][0])
    failures, start = [], threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        for turn in range(4):
            what = (number + turn) % 3
            try:
                if what == 0:
                    assert model.loglikelihood_tokens(pairs).tobytes() == scores.tobytes()
                elif what == 1:
                    assert model.generate(["Tom", "Once"], 20) == texts
                else:
                    assert model.logits(pairs[0][0]).tobytes() == logits.tobytes()
            except BaseException as error:
                failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


class Unlucky:
    """A cache whose first sequence is made, but an interrupt comes before anybody hears of it."""

    def __init__(self, cache) -> None:
        self.cache = cache

    def __getattr__(self, name: str):
        return getattr(self.cache, name)

    def new_sequence(self, rotation: int) -> int:
        self.cache.new_sequence(rotation)
        raise KeyboardInterrupt


def test_a_sequence_that_nobody_noted_is_released() -> None:
    model = from_memory(*arrays())
    expected = model.logits([1, 2]).tobytes()
    for n_open in range(3):
        model = from_memory(*arrays())
        cache = model._runtime.cache
        for _ in range(n_open):
            model._runtime.kept[model._runtime.new_sequence()] = 1
        model._runtime.cache = Unlucky(cache)
        with pytest.raises(KeyboardInterrupt):
            model.logits([1, 2])
        model._runtime.cache = cache
        assert sequences_alive(model) == list(range(n_open))
        assert model.logits([1, 2]).tobytes() == expected


PRELUDE = """
import os, signal, sys, threading, time
import numpy as np
import qbench as qb
model = qb.load(sys.argv[1], "rtn-w4g32", threads=2)
model._runtime.products_per_thread = 0.0
ids = np.random.default_rng(0).integers(2, 400, (4000, 200)).tolist()
few = [(row[:1], row[1:]) for row in ids[:20]]
expected = model.loglikelihood_tokens(few).tobytes()
"""


def run_script(script: str, folder: Path) -> str:
    """Run Python code of its own process on a model; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + script, str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


INTERRUPT = """
def interrupt():
    time.sleep(0.4)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

calls = {
    "score": lambda: model.loglikelihood_tokens([(row[:1], row[1:]) for row in ids]),
    "generate": lambda: model.generate([row[:20] for row in ids], 200, temperature=9.0),
}
sent, waits = [], []
threading.Thread(target=interrupt).start()
try:
    calls[CALL]()
except KeyboardInterrupt:
    waits.append(time.monotonic() - sent[0])
assert len(waits) == 1, "it was over before it could be interrupted"
assert model._runtime.cache.pages_used == 0
assert model.loglikelihood_tokens(few).tobytes() == expected
print(waits[0])
"""


@pytest.mark.parametrize("call", ["score", "generate"])
def test_ctrl_c_is_answered_and_leaves_the_model_usable(call, tiny_model) -> None:
    wait = float(run_script(INTERRUPT.replace("CALL", repr(call)), tiny_model))
    assert wait < 0.5


QUEUED = """
hold = threading.Event()
def holder():
    with model._runtime.exclusive():
        hold.set()
        time.sleep(3.0)
threading.Thread(target=holder, daemon=True).start()
hold.wait()
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
start = time.monotonic()
try:
    model.logits([1])
except KeyboardInterrupt:
    print(time.monotonic() - start)
"""


def test_ctrl_c_is_answered_in_the_queue(tiny_model) -> None:
    assert float(run_script(QUEUED, tiny_model)) < 1.5


FORK = """
child = os.fork()
if child == 0:
    same = model.loglikelihood_tokens(few).tobytes() == expected
    os._exit(0 if same and model._runtime.useful_threads(64) == 1 else 1)
ended, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert model.loglikelihood_tokens(few).tobytes() == expected
print(model._runtime.useful_threads(64))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_computes_the_same(tiny_model) -> None:
    """The child runs alone, since OpenMP does not survive a fork; the parent keeps its threads."""
    assert run_script(FORK, tiny_model) == "2"


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_does_not_grow(model, rng) -> None:
    pairs = awkward_pairs(rng, 416, 256, n=4)

    def use(times: int) -> None:
        for _ in range(times):
            model.loglikelihood_tokens(pairs[:8])
            model.logits(pairs[0][0])
            model.generate(["Tom", "Once"], 8)
            next(iter(model.generate("Tom", 8, stream=True)))

    model.loglikelihood_tokens(pairs)
    use(40)
    before = resident_bytes()
    use(200)
    assert resident_bytes() - before < 2 << 20


def test_memory_is_what_lies_there(loaded, tiny_model) -> None:
    f32, w4 = (loaded(tiny_model, recipe, mode="exact") for recipe in ("f32", "rtn-w4g32"))
    spec = f32.spec
    n_embedding = spec.vocab_size * spec.hidden_size
    n_linear = spec.n_layers * (
        2 * spec.hidden_size * spec.hidden_size
        + 2 * spec.hidden_size * spec.n_kv_heads * spec.head_dim
        + 3 * spec.hidden_size * spec.widest
    )
    n_norms = (2 * spec.n_layers + 1) * spec.hidden_size
    assert f32.memory["weights"] >= 4 * (n_embedding + n_linear + n_norms)
    assert f32.memory["weights"] < 4.3 * (n_embedding + n_linear + n_norms)
    assert 0.5 * n_linear < w4.memory["weights"] - 2 * n_embedding - 4 * n_norms < 0.85 * n_linear
    per_token = 2 * spec.n_layers * spec.n_kv_heads * spec.head_dim
    assert f32.memory["kv_per_token"] == 4 * per_token
    assert loaded(tiny_model, "f32+kv16", mode="exact").memory["kv_per_token"] == 2 * per_token
    assert np.isclose(w4.bits_per_weight, 4 + (16 + 4) / 32, atol=0.05)


def test_small_forwards_take_few_threads(tiny_model) -> None:
    """One thread for a token of the test model, all of them for a prompt of it or a large model."""
    runtime = load(tiny_model, "rtn-w4g32", threads=2)._runtime
    per_token = sum(part.shape[0] * part.shape[1] for part in runtime.weights.linears())
    enough = int(2 * runtime.products_per_thread / per_token)
    assert [runtime.useful_threads(n) for n in (1, enough // 2, enough + 1)] == [1, 1, 2]
