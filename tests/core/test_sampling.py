from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.builders import Shape, assemble, build, forward, logits_of, random_weights
from tolerance import UNIFORM_MEAN, UNIFORM_VARIANCE

from qbench import core
from qbench.reference.sampling import greedy, token_distribution

MASK = 0xFFFFFFFF
# counter (low, high), key -> (low, high): kat_vectors of Random123, philox2x32 with 10 rounds.
KNOWN = [
    ((0, 0), 0, (0xFF1DAE59, 0x6CD10DF2)),
    ((MASK, MASK), MASK, (0x2C3F628B, 0xAB4FD7AD)),
    ((0x243F6A88, 0x85A308D3), 0x13198A2E, (0xDD7CE038, 0xF62A4C12)),
]
SETTINGS = [
    {"temperature": 1.0},
    {"temperature": 0.25},
    {"temperature": 4.0},
    {"temperature": 1.0, "top_k": 1},
    {"temperature": 1.0, "top_k": 3},
    {"temperature": 1.5, "top_k": 10_000},
    {"temperature": 1.0, "top_p": 0.0},
    {"temperature": 1.0, "top_p": 0.25},
    {"temperature": 2.0, "top_p": 0.875},
    {"temperature": 0.5, "top_k": 7, "top_p": 0.75},
    {"temperature": 1.0, "top_k": 2, "top_p": 0.9990234375},
]


def philox(counter: tuple[int, int], key: int) -> tuple[int, int]:
    left, right = counter
    for _ in range(10):
        product = 0xD256D193 * left
        left, right = (product >> 32) ^ key ^ right, product & MASK
        key = (key + 0x9E3779B9) & MASK
    return left, right


def test_the_generator_of_the_test_is_philox() -> None:
    for counter, key, expected in KNOWN:
        assert philox(counter, key) == expected


def test_uniform_is_philox_of_key_and_step() -> None:
    keys = [0, 1, MASK, MASK + 1, 0xDEADBEEF_12345678, 2**64 - 1]
    for key in keys:
        for step in (0, 1, 2, 17, MASK):
            low, high = philox((key & MASK, step), key >> 32)
            assert core.uniform(key, step) == ((high << 32 | low) >> 11) / 2**53
    # The known answers themselves: counter (0, 0) and key 0; all bits set.
    assert core.uniform(0, 0) == (0x6CD10DF2FF1DAE59 >> 11) / 2**53
    assert core.uniform(2**64 - 1, MASK) == (0xAB4FD7AD2C3F628B >> 11) / 2**53


def test_uniform_draws_are_uniform() -> None:
    by_step = np.array([core.uniform(0xABCDEF, step) for step in range(20_000)])
    by_key = np.array([core.uniform(key, 0) for key in range(20_000)])
    by_high_key = np.array([core.uniform(key << 32, 0) for key in range(20_000)])
    for draws in (by_step, by_key, by_high_key):
        assert draws.min() >= 0 and draws.max() < 1 and len(set(draws)) == len(draws)
        assert abs(draws.mean() - 0.5) <= UNIFORM_MEAN
        assert abs(draws.var() - 1 / 12) <= UNIFORM_VARIANCE
        neighbours = np.corrcoef(draws[:-1], draws[1:])[0, 1]
        assert abs(neighbours) <= 5 / np.sqrt(len(draws))


@pytest.mark.parametrize("how", SETTINGS, ids=str)
def test_draws_follow_the_reference_distribution(
    how: dict[str, Any], rng: np.random.Generator
) -> None:
    for n in (1, 2, 5, 33, 300):
        logits = (rng.normal(size=n) * 2).astype(np.float32)
        if n > 5:
            logits[n // 2] = logits.max()  # a tie: the lower id comes first
            logits[n // 3] = -np.inf
        expected = token_distribution(logits, **how)
        # The order in which ids divide [0, 1): most likely first, of equals the lower id.
        order = np.lexsort((np.arange(n), -logits.astype(np.float64)))
        edges = np.cumsum(expected[order])
        for u in np.concatenate([np.linspace(0, 1, 400, endpoint=False), [1 - 2**-53]]):
            if np.abs(edges - u).min() < 1e-12 and u > 0:
                continue
            chosen = core.sample(logits, float(u), **how)
            place = min(int(np.searchsorted(edges, u, side="right")), int((expected > 0).sum()) - 1)
            assert chosen == order[place]


def test_zero_temperature_is_greedy(rng: np.random.Generator) -> None:
    for n in (1, 7, 100):
        logits = rng.integers(0, 5, n).astype(np.float32)  # many ties
        for u in (0.0, 0.5, 1 - 2**-53):
            assert core.sample(logits, u, temperature=0.0) == greedy(logits)
            assert core.sample(logits, u, temperature=1.0, top_k=1) == greedy(logits)
            assert core.sample(logits, u, temperature=1e-30) in np.flatnonzero(
                logits == logits.max()
            )


def test_ties_are_cut_by_id() -> None:
    logits = np.zeros(8, np.float32)
    draws = np.linspace(0, 1, 64, endpoint=False)
    assert {core.sample(logits, u, temperature=1.0, top_k=3) for u in draws} == {0, 1, 2}
    assert {core.sample(logits, u, temperature=1.0, top_p=0.5) for u in draws} == {0, 1, 2, 3}
    # Reached exactly means reached; anything above needs one more.
    assert {core.sample(logits, u, temperature=1.0, top_p=0.51) for u in draws} == {0, 1, 2, 3, 4}


def test_an_impossible_id_is_never_drawn() -> None:
    logits = np.array([0.0, -np.inf, 1.0, -np.inf], np.float32)
    for u in (0.0, 0.999, 1 - 2**-53):
        assert core.sample(logits, u, temperature=0.7) in (0, 2)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_not_finite_give_no_id(temperature: float) -> None:
    for value in (np.nan, np.inf):
        for at in (0, 3, 6):
            logits = np.arange(7, dtype=np.float32)
            logits[at] = value
            assert core.sample(logits, 0.5, temperature=temperature) == -1
    assert core.sample(np.full(3, -np.inf, np.float32), 0.5, temperature=temperature) == -1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"temperature": -1.0}, ValueError),
        ({"temperature": np.nan}, ValueError),
        ({"temperature": np.inf}, ValueError),
        ({"temperature": 1e39}, ValueError),
        ({"temperature": "1"}, TypeError),
        ({"top_k": -1}, ValueError),
        ({"top_k": 1 << 32}, ValueError),
        ({"top_p": -0.1}, ValueError),
        ({"top_p": 1.1}, ValueError),
        ({"top_p": np.nan}, ValueError),
        ({"u": 1.0}, ValueError),
        ({"u": -1e-9}, ValueError),
        ({"u": np.nan}, ValueError),
        ({"logits": np.zeros(0, np.float32)}, ValueError),
        ({"logits": np.zeros((1, 3), np.float32)}, ValueError),
        ({"logits": np.zeros(3)}, TypeError),
    ],
)
def test_wrong_arguments_are_refused(change: dict[str, Any], error: type[Exception]) -> None:
    good: dict[str, Any] = {"logits": np.zeros(3, np.float32), "u": 0.5, "temperature": 1.0}
    core.sample(**good)
    with pytest.raises(error):
        core.sample(**{**good, **change})


def generate(built: Any, prompts: list[list[int]], n_steps: int, **how: Any) -> np.ndarray:
    """Prefill all but the last id of each prompt, then decode; one row per prompt."""
    cache = built.cache()
    sequences = [cache.new_sequence() for _ in prompts]
    for sequence, ids in zip(sequences, prompts, strict=True):
        if len(ids) > 1:
            forward(built, cache, [(sequence, ids[:-1])], rows=[])
    n = len(prompts)
    keys = how.get("keys", [11 * i + (5 << 32) for i in range(n)])
    return built.decoder.generate(
        cache,
        np.array(sequences, np.int32),
        np.array([ids[-1] for ids in prompts], np.int32),
        np.array(keys, np.uint64),
        np.array(how.get("steps", [0] * n), np.uint32),
        np.array(how.get("left", [abs(n_steps)] * n), np.uint32),
        np.array(how.get("end_ids", []), np.int32),
        n_steps,
        how.get("temperature", 0.0),
        how.get("top_k", 0),
        how.get("top_p", 1.0),
        how.get("threads", 1),
    )


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_generated_ids_are_those_of_forward_and_sample(
    temperature: float, isa: str, rng: np.random.Generator
) -> None:
    built = build(rng, isa=isa)
    prompts = [[int(t) for t in rng.integers(0, 61, n)] for n in (1, 5, 33, 64)]
    how: dict[str, Any] = {"temperature": temperature, "top_k": 20, "top_p": 0.875}
    expected = []
    for i, prompt in enumerate(prompts):
        ids = list(prompt)
        for step in range(12):
            u = core.uniform(11 * i + (5 << 32), step)
            ids.append(core.sample(logits_of(built, ids)[-1], u, **how))
        expected.append(ids[len(prompt) :])
    for threads in (1, 2):
        found = generate(built, prompts, 12, **how, threads=threads)
        np.testing.assert_array_equal(found, expected)
    for i, prompt in enumerate(prompts):  # alone, and in two calls
        alone = generate(built, [prompt], 12, **how, keys=[11 * i + (5 << 32)])
        np.testing.assert_array_equal(alone[0], expected[i])
        rest = generate(
            built, [prompt + expected[i][:7]], 5, **how, keys=[11 * i + (5 << 32)], steps=[7]
        )
        np.testing.assert_array_equal(rest[0], expected[i][7:])


def test_where_a_request_ends(rng: np.random.Generator) -> None:
    built = build(rng, Shape(context=20))
    prompts = [[3, 4], [5, 6, 7], [1] * 15, [9]]
    free = generate(built, prompts, 10)
    # Position 20 is the last; 15 ids leave room for five more, and the last id needs no place.
    assert (free[2] >= 0).tolist() == [True] * 6 + [False] * 4
    limited = generate(built, prompts, 10, left=[0, 1, 3, 10])
    assert (limited >= 0).sum(axis=1).tolist() == [0, 1, 3, 10]
    end = int(free[0, 4])
    ended = generate(built, prompts, 10, end_ids=[end, 60])
    for row, whole in zip(ended, free, strict=True):
        stops = np.flatnonzero(np.isin(whole, [end, 60]))
        length = stops[0] + 1 if len(stops) else (whole >= 0).sum()
        np.testing.assert_array_equal(row[:length], whole[:length])
        assert (row[length:] == -1).all()


def test_a_request_that_is_not_finite_is_marked(rng: np.random.Generator) -> None:
    weights = random_weights(rng, Shape())
    clean = generate(assemble(weights, Shape()), [[3, 4], [5]], 6)
    weights["model.embed_tokens.weight"][60] = np.nan
    built = assemble(weights, Shape())
    for temperature in (0.0, 1.0):
        found = generate(built, [[3, 4], [60, 2], [5]], 6, temperature=temperature)
        assert found[1].tolist() == [-2] + [-1] * 5
        if temperature == 0.0:
            assert not (clean == 60).any()  # or the others would fall into the same hole
            np.testing.assert_array_equal(found[[0, 2]], clean)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_steps": 0}, ValueError, "n_steps must be 1 to 4096"),
        ({"n_steps": 4097}, ValueError, "n_steps must be 1 to 4096"),
        ({"n_steps": -1}, ValueError, "n_steps must be 1 to 4096"),
        ({"keys": [1, 2]}, ValueError, "keys must have 1 elements"),
        ({"temperature": -0.5}, ValueError, "temperature"),
        ({"temperature": np.nan}, ValueError, "temperature"),
        ({"top_k": -2}, ValueError, "top_k"),
        ({"top_p": 2.0}, ValueError, "top_p"),
        ({"threads": 0}, ValueError, "n_threads"),
        ({"prompts": [[61]]}, ValueError, "range"),
        ({"prompts": [[-1]]}, ValueError, "range"),
    ],
)
def test_wrong_requests_are_refused(
    change: dict[str, Any], error: type[Exception], message: str, rng: np.random.Generator
) -> None:
    built = build(rng, Shape(n_layers=1))
    good: dict[str, Any] = {"prompts": [[3]], "n_steps": 2}
    assert generate(built, **good).shape == (1, 2)
    with pytest.raises(error, match=message):
        generate(built, **{**good, **change})
