"""Log-likelihoods against plain log-softmax, and against themselves however they are cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from engine.builders import arrays, awkward_pairs, brute_force, from_memory, sequences_alive

from qbench import core
from qbench.engine import memory as memory_module
from qbench.engine import scoring
from qbench.engine.scoring import _Answers
from qbench.errors import NonFiniteError, RequestError


@pytest.fixture
def pairs(rng, model):
    return awkward_pairs(rng, model.spec.vocab_size, model.context_length)


@pytest.fixture
def small_groups(monkeypatch) -> None:
    """Plan no more reads together than fit one forward: then few requests make many groups."""
    monkeypatch.setattr(scoring, "GROUP_TOKENS", 1)


def check(model, pairs) -> np.ndarray:
    """Compare a call's results with brute force; return them."""
    results = model.loglikelihood_tokens(pairs)
    assert results["n_tokens"].tolist() == [len(continuation) for _, continuation in pairs]
    assert (results["bad_layer"] == -1).all()
    for result, (logprob, is_greedy) in zip(results, brute_force(model, pairs), strict=True):
        assert result["logprob"] == pytest.approx(logprob, abs=2e-5, rel=1e-6)
        assert result["is_greedy"] == is_greedy
    return results


def test_equals_the_sum_of_log_softmax(model, pairs) -> None:
    check(model, pairs)


@pytest.mark.parametrize("recipe", ["f32", "bf16", "rtn-w8g32-sym", "rtn-w3gr+kv32"])
@pytest.mark.parametrize("mode", core.MODES)
def test_equals_the_sum_of_log_softmax_for(recipe, mode, loaded, tiny_model, rng) -> None:
    model = loaded(tiny_model, recipe, mode=mode)
    check(model, awkward_pairs(rng, model.spec.vocab_size, model.context_length, n=2))


def test_greedy_continuations_are_found(model, rng) -> None:
    prompts = [[int(i) for i in rng.integers(2, 400, n)] for n in (1, 5, 40, 90)]
    new = model.generate(prompts, max_new_tokens=12)
    pairs = [(prompt, ids) for prompt, ids in zip(prompts, new, strict=True) if ids]
    assert len(pairs) >= 3
    assert model.loglikelihood_tokens(pairs)["is_greedy"].all()
    wrong = [(prompt, [*ids[:-1], (ids[-1] + 1) % 416]) for prompt, ids in pairs]
    assert not model.loglikelihood_tokens(wrong)["is_greedy"].any()


@pytest.mark.usefixtures("small_groups")
def test_bitwise_equal_whatever_the_batches(loaded, tiny_model, rng) -> None:
    """Batch limits, threads and the order of the requests change no bit of a result."""
    models = [loaded(tiny_model, "rtn-w4g32", threads=n) for n in (1, 2)]
    pairs = awkward_pairs(rng, models[0].spec.vocab_size, 100, n=4)
    expected = models[0].loglikelihood_tokens(pairs)
    limits = [*itertools.product(models[:1], (1, 7, 64, 2048), (None, 1, 7, 64))]
    # Two threads are slow where other processes want the cores: fewer combinations, as different.
    limits += [(models[1], *pair) for pair in ((1, None), (7, 7), (64, 1), (64, 64), (2048, None))]
    for model, tokens, sequences in limits:
        model.batch_tokens, model.batch_sequences = tokens, sequences
        order = rng.permutation(len(pairs))
        results = model.loglikelihood_tokens([pairs[i] for i in order])
        assert results.tobytes() == expected[order].tobytes(), (tokens, sequences)
        assert model._runtime.cache.pages_used == 0


def test_bitwise_equal_one_by_one(model, pairs) -> None:
    together = model.loglikelihood_tokens(pairs)
    alone = [model.loglikelihood_tokens([pair])[0] for pair in pairs]
    assert [row.tobytes() for row in together] == [row.tobytes() for row in alone]


@pytest.mark.usefixtures("small_groups")
def test_shared_prefixes_are_computed_once(model, rng, monkeypatch) -> None:
    """Groups as small as one forward still share their long stem with the group before."""
    stem = [int(i) for i in rng.integers(0, 400, 150)]
    pairs = [([*stem, *(int(i) for i in rng.integers(0, 400, 20))], [1, 2]) for _ in range(12)]
    computed = []
    forward = type(model._runtime).forward

    def counted(self, runs, *args):
        computed.append(sum(len(run.tokens) for run in runs))
        return forward(self, runs, *args)

    monkeypatch.setattr(type(model._runtime), "forward", counted)
    for tokens in (2048, 64):
        computed.clear()
        model.batch_tokens = tokens
        model.loglikelihood_tokens(pairs)
        assert sum(computed) == 150 + 12 * 21


def test_a_prefix_is_kept_for_the_next_call(model, rng, monkeypatch) -> None:
    """On request only; what it saves is not computed again, and no bit changes."""
    stem = [int(i) for i in rng.integers(0, 400, 90)]
    parts = [
        [([*stem, *ids], [1, 2]) for ids in rng.integers(0, 400, (3, 20)).tolist()] for _ in "ab"
    ]
    other = [([int(i) for i in rng.integers(0, 400, 50)], [7])]
    calls = [parts[0], parts[1], other, parts[1], parts[1][:1], parts[0]]
    expected = [model.loglikelihood_tokens(pairs).tobytes() for pairs in calls]
    computed = []
    forward = type(model._runtime).forward

    def counted(self, runs, *args):
        computed[-1] += sum(len(run.tokens) for run in runs)
        return forward(self, runs, *args)

    monkeypatch.setattr(type(model._runtime), "forward", counted)
    for keep, shared in ((False, 0), (True, 90)):
        model.keep_prefix = keep
        computed.clear()
        for pairs, answer in zip(calls, expected, strict=True):
            computed.append(0)
            assert model.loglikelihood_tokens(pairs).tobytes() == answer
        whole = 90 + 3 * 21
        # The last read of parts[1] is kept; the call after it asks for its first alone.
        assert computed[0] == computed[3] == whole
        assert computed[1] == whole - shared
        assert computed[2] == 50 and computed[4] in (90 + 21 - shared, 2)
        assert computed[5] == whole - shared
    assert model._runtime.cache.pages_used > 0
    model.generate([stem], 1)
    assert model._runtime.cache.pages_used == 0  # whatever else wants the cache finds it empty
    model.loglikelihood_tokens(other)
    model.keep_prefix = False
    assert model._runtime.cache.pages_used == 0


@pytest.mark.parametrize("tokens", [16, 2048])
def test_a_small_cache_is_enough(tokens, rng, monkeypatch) -> None:
    """With no more pages than are promised, any requests fit, even beside an open stream."""
    weights, config = arrays(eos_token_id=None)
    plain = from_memory(weights, config)
    monkeypatch.setattr(memory_module, "DEFAULT_CACHE_BYTES", 0)
    small = from_memory(weights, config)
    pairs = awkward_pairs(rng, 37, 64, n=40)
    pairs += [([1] * n + [2] * k, [3]) for n in (31, 32, 33, 63) for k in range(1, 65 - n)]
    small.batch_tokens = tokens
    expected = plain.loglikelihood_tokens(pairs)
    assert small.loglikelihood_tokens(pairs).tobytes() == expected.tobytes()
    prompts = [pair[0][:50] for pair in pairs]
    assert small.generate(prompts, 20) == plain.generate(prompts, 20)
    assert small._runtime.cache.pages_used == 0


def test_sums_are_exact() -> None:
    """The results of two requests, one of whose sums float64 cannot do from left to right."""
    one = np.ones(1, np.int32)
    answers = _Answers([(one, np.ones(4, np.int32)), (one, one)])
    answers.logprobs[:] = [-1e17, -1.0, -1.0, 1e17, -3.0]
    answers.is_greedy[:] = [True, True, False, True, True]
    answers.bad_layer[:] = [-1, 7, 2, -1, -1]
    expected = [(-2.0, False, 4, 7), (-3.0, True, 1, -1)]
    assert answers.results().tolist() == expected
    answers.logprobs[2] = np.nan
    assert np.isnan(answers.results()["logprob"]).tolist() == [True, False]


def test_no_requests(model) -> None:
    results = model.loglikelihood_tokens([])
    assert len(results) == 0
    assert results.dtype.names == ("logprob", "is_greedy", "n_tokens", "bad_layer")


def test_text_pairs_are_encoded_as_one_string(model) -> None:
    """lm-eval's rule: the space belongs to the continuation."""
    pairs = [("Once upon a time", " there was"), ("The cat ", "sat"), ("", "Tom")]
    ids = [model.tokenizer.encode_pair(*pair) for pair in pairs]
    expected = model.loglikelihood_tokens(ids)
    assert model.loglikelihood(pairs).tobytes() == expected.tobytes()
    assert ids[2][0] == [model.tokenizer.bos_id]


def test_arrays_are_taken_as_lists_are(model, pairs) -> None:
    as_arrays = [(np.array(c), np.array(t, np.uint16)) for c, t in pairs]
    expected = model.loglikelihood_tokens(pairs)
    assert model.loglikelihood_tokens(as_arrays).tobytes() == expected.tobytes()


def test_logits_do_not_depend_on_the_batch_limit(model, rng) -> None:
    ids = rng.integers(0, 416, model.context_length).tolist()
    whole = model.logits(ids)
    assert whole.shape == (256, 416)
    assert whole.dtype == np.float32
    for tokens in (1, 7, 64):
        model.batch_tokens = tokens
        assert model.logits(ids).tobytes() == whole.tobytes()
    assert model.logits(ids[:9]).tobytes() == whole[:9].tobytes()


WRONG_PAIRS = [
    (([], [1]), "context of pair 1: no tokens"),
    (([1], []), "continuation of pair 1: no tokens"),
    (([1, 416], [1]), "token id 416 is outside the vocabulary of 416"),
    (([1], [-1]), "token id -1 is outside"),
    (([1, 2**40], [1]), "token id 1099511627776 is outside"),
    (([1, 2**80], [1]), "whole numbers"),
    (([1.0], [1]), "whole numbers"),
    (([True], [1]), "whole numbers"),
    ((["a"], [1]), "whole numbers"),
    (([[1], [2, 3]], [1]), "whole numbers"),
    (([1] * 200, [2] * 58), "pair 1: 200 \\+ 58 tokens do not fit; the context has 256"),
    (([1] * 257, [2]), "257 tokens do not fit"),
]


@pytest.mark.parametrize(("pair", "said"), WRONG_PAIRS)
def test_wrong_pairs(pair, said, model) -> None:
    with pytest.raises(RequestError, match=said):
        model.loglikelihood_tokens([([1], [2]), pair])


@pytest.mark.parametrize("ids", [[], [416], [-1], [1] * 257, [1.5]])
def test_wrong_ids_for_logits(ids, model) -> None:
    with pytest.raises(RequestError, match="logits: "):
        model.logits(ids)


@pytest.mark.parametrize("setting", [{"batch_tokens": 0}, {"batch_sequences": 0}])
def test_wrong_limits(setting, model) -> None:
    for name, value in setting.items():
        setattr(model, name, value)
    with pytest.raises(RequestError, match="must be 1 or more, not 0"):
        model.loglikelihood_tokens([([1], [2])])


class Boom(RuntimeError):
    """Nobody else raises this."""


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt, NonFiniteError])
@pytest.mark.parametrize("at", ["before", "after"])
def test_everything_is_released_after(error, at, model, pairs, monkeypatch) -> None:
    """Whatever stops a call, in the core or between two of its calls, leaves the cache empty."""
    expected = model.loglikelihood_tokens(pairs)
    model.batch_tokens = 32
    for method, stop_at in (("forward", 0), ("forward", 9), ("fork", 0), ("fork", 4)):
        with monkeypatch.context() as patch:
            fail_at(patch, model._runtime, method, stop_at, error, at)
            with pytest.raises(error):
                model.loglikelihood_tokens(pairs)
        assert model._runtime.cache.pages_used == 0
        assert sequences_alive(model) == []
    assert model.loglikelihood_tokens(pairs).tobytes() == expected.tobytes()


def fail_at(patch, runtime, method, stop_at, error, at) -> None:
    """Let the n-th call of a method of the runtime fail, before or after it does its work."""
    original, calls = getattr(runtime, method), itertools.count()

    def failing(*args, **settings):
        if next(calls) != stop_at:
            return original(*args, **settings)
        if at == "after":
            original(*args, **settings)
        raise error("stop")

    patch.setattr(runtime, method, failing, raising=True)
