from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

import numpy as np
import pytest
from core.builders import (
    INTEGER_FORMATS,
    Built,
    Packed,
    Shape,
    assemble,
    build,
    decoder_arguments,
    forward,
    pack_codes,
    pack_float,
    random_weights,
    relative,
)
from tolerance import DECODER, LOGPROB, QUANTIZED_DECODER

from qbench import core
from qbench.errors import BusyError, FormatError
from qbench.reference.layers import log_softmax


def tokens(rng: np.random.Generator, built: Built, n: int) -> list[int]:
    return [int(t) for t in rng.integers(0, built.shape.vocab, n)]


@pytest.mark.parametrize("mode", core.MODES)
def test_logits_of_quantized_weights(mode: str, isa: str, rng: np.random.Generator) -> None:
    shape = Shape(hidden=48, intermediate=136, n_heads=6, n_kv_heads=2)
    weights = random_weights(rng, shape)
    for fmt in INTEGER_FORMATS:

        def quantized(array: np.ndarray, fmt: core.WeightFormat = fmt) -> Packed:
            group, spread = 16 if fmt.bits < 4 else 40, float(array.std())
            return pack_codes(rng, fmt, array.shape, group, spread=spread)

        built = assemble(weights, shape, mode=mode, isa=isa, quantized=quantized)
        ids = tokens(rng, built, 50)
        cache = built.cache()
        found = forward(built, cache, [(cache.new_sequence(), ids)]).logits
        expected = built.expected(ids)
        assert relative(found, expected) <= QUANTIZED_DECODER[mode]


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_logits_of_half_precision_weights(dtype: str, isa: str, rng: np.random.Generator) -> None:
    shape = Shape()
    weights = random_weights(rng, shape)
    for mode in core.MODES:
        built = assemble(
            weights, shape, mode=mode, isa=isa, quantized=lambda a: pack_float(dtype, a)
        )
        ids = tokens(rng, built, 50)
        cache = built.cache()
        found = forward(built, cache, [(cache.new_sequence(), ids)]).logits
        expected = built.expected(ids)
        bound = DECODER[mode] if mode == "exact" else QUANTIZED_DECODER[mode]
        assert relative(found, expected) <= bound


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
def test_a_tied_head_is_the_embedding(dtype: str, isa: str, rng: np.random.Generator) -> None:
    shape = Shape(tied_head=True, n_layers=1)
    weights = random_weights(rng, shape)
    packed = pack_float(dtype, weights["model.embed_tokens.weight"])
    weights["model.embed_tokens.weight"] = packed.values.astype(np.float32)
    built = assemble(weights, shape, isa=isa)
    ids = tokens(rng, built, 9)
    cache = built.cache()
    found = forward(built, cache, [(cache.new_sequence(), ids)]).logits
    assert relative(found, built.expected(ids)) <= DECODER["exact"]


# A vocabulary below, at and above the head's chunk of 1024, and of several chunks.
@pytest.mark.parametrize("vocab", [1, 31, 1023, 1024, 1025, 2500])
def test_scores_are_those_of_the_logits(vocab: int, isa: str, rng: np.random.Generator) -> None:
    built = build(rng, Shape(vocab=vocab, n_layers=1), isa=isa)
    ids = tokens(rng, built, 70)
    rows = [69, 0, 5, 5, 33, *range(10, 60)]  # any order, and one twice
    targets = [tokens(rng, built, int(n)) for n in rng.integers(0, 6, len(rows))]
    targets[1] = [vocab - 1, 0, vocab - 1]
    results = []
    for threads in (1, 2, 3):
        cache = built.cache()
        runs = [(cache.new_sequence(), ids[:30]), (cache.new_sequence(), ids[30:])]
        results.append(forward(built, cache, runs, rows=rows, targets=targets, threads=threads))
    found = results[0]
    for other in results[1:]:
        for mine, theirs in zip(found, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    cache = built.cache()
    runs = [(cache.new_sequence(), ids[:30]), (cache.new_sequence(), ids[30:])]
    every = forward(built, cache, runs).logits
    parts = [built.expected(part) for part in (ids[:30], ids[30:])]
    assert relative(every, np.concatenate(parts)) <= DECODER["exact"]
    np.testing.assert_array_equal(found.logits, every[rows])
    np.testing.assert_array_equal(found.best, every[rows].argmax(axis=1))
    assert (found.bad_layer == -1).all()
    expected = [log_softmax(every[r])[t] for r, own in zip(rows, targets, strict=True) for t in own]
    np.testing.assert_allclose(found.logprobs, expected, rtol=0, atol=LOGPROB)


def test_of_equal_logits_in_all_chunks_the_lowest_id_is_best(
    isa: str, rng: np.random.Generator
) -> None:
    weights = random_weights(rng, Shape(vocab=2500, n_layers=1))
    weights["lm_head.weight"][:] = weights["lm_head.weight"][0]
    built = assemble(weights, Shape(vocab=2500, n_layers=1), isa=isa)
    cache = built.cache()
    found = forward(built, cache, [(cache.new_sequence(), [1, 2, 3])])
    assert (found.best == 0).all() and np.ptp(found.logits, axis=1).max() == 0


def test_scores_do_not_depend_on_what_else_is_scored(isa: str, rng: np.random.Generator) -> None:
    built = build(rng, Shape(vocab=1100, n_layers=1), isa=isa)
    ids = tokens(rng, built, 80)

    def score(rows: list[int]) -> np.ndarray:
        cache = built.cache()
        targets = [[(r * 13) % 1100] for r in rows]
        runs = [(cache.new_sequence(), ids)]
        return forward(built, cache, runs, rows=rows, targets=targets).logprobs

    every = score(list(range(80)))
    for rows in ([7], [79, 0], list(range(40, 75)), list(range(0, 80, 3))):
        np.testing.assert_array_equal(score(rows), every[rows])
    np.testing.assert_array_equal(score([]), [])


def test_logits_are_optional(rng: np.random.Generator) -> None:
    built = build(rng)
    empty = np.zeros(0, np.int32)
    cache = built.cache()
    batch = [np.array(a, np.int32) for a in ([cache.new_sequence()], [3], [1, 2, 3], [2], [0, 1])]
    target = np.array([5], np.int32)
    logprobs, best, bad, logits = built.decoder.forward(cache, *batch, target, False, 1)[:4]
    assert logits is None and logprobs.shape == best.shape == bad.shape == (1,)
    assert logprobs.dtype == np.float64 and best.dtype == bad.dtype == np.int32
    # A prefill scores nothing at all.
    prefill = [np.array(a, np.int32) for a in ([cache.new_sequence()], [2], [4, 5])]
    zero = np.zeros(1, np.int32)
    found = built.decoder.forward(cache, *prefill, empty, zero, empty, True, 1)
    shapes = [a.shape for a in found[:4]]  # type: ignore[union-attr]
    assert shapes == [(0,), (0,), (0,), (0, built.shape.vocab)] and found[4:] == (None,) * 3


@pytest.mark.parametrize("mode", core.MODES)
def test_the_layer_where_a_value_ceased_to_be_finite(mode: str, isa: str) -> None:
    shape = dataclasses.replace(Shape(), n_layers=3)
    # (weight that is spoiled, first norm that sees it); the last stands for the final norm
    places = [
        ("model.layers.0.self_attn.o_proj.weight", 0),
        ("model.layers.0.mlp.down_proj.weight", 1),
        ("model.layers.1.self_attn.v_proj.weight", 1),
        ("model.layers.2.mlp.up_proj.weight", 3),
        ("lm_head.weight", -1),
    ]
    for name, layer in places:
        for value in (np.nan, np.inf):
            rng = np.random.default_rng(5)
            weights = random_weights(rng, shape)
            weights[name][2, 3] = value
            built = assemble(weights, shape, isa=isa, mode=mode)
            cache = built.cache()
            run = [(cache.new_sequence(), [1, 2, 3])]
            found = forward(built, cache, run, targets=[[0], [5], [60]])
            assert (found.bad_layer == layer).all(), name
            assert (found.best == -1).all() and np.isnan(found.logprobs).all(), name


def test_values_too_large_to_square_are_not_scored(isa: str, rng: np.random.Generator) -> None:
    # Finite, but a norm would divide by infinity and make zeros of it: a score out of nothing.
    weights = random_weights(rng, Shape())
    weights["model.embed_tokens.weight"][7] = 1e25
    built = assemble(weights, Shape(), isa=isa)
    cache = built.cache()
    found = forward(built, cache, [(cache.new_sequence(), [1, 7])], targets=[[3], [3]])
    assert found.bad_layer.tolist() == [-1, 0] and found.best[1] == -1
    assert np.isfinite(found.logprobs[0]) and np.isnan(found.logprobs[1])


def test_a_logit_of_minus_infinity_is_not_scored(isa: str, rng: np.random.Generator) -> None:
    shape = Shape(vocab=1100, n_layers=1)
    for row in (3, 1023, 1024, 1099):
        weights = random_weights(rng, shape)
        weights["lm_head.weight"][100:124] = np.eye(24)  # these logits are the hidden state itself
        built = assemble(weights, shape, isa=isa)
        cache = built.cache()
        hidden = forward(built, cache, [(cache.new_sequence(), [1])]).logits[0, 100:124]
        weights["lm_head.weight"][row] = np.float32(-3e38) * np.sign(hidden)
        built = assemble(weights, shape, isa=isa)
        cache = built.cache()
        found = forward(built, cache, [(cache.new_sequence(), [1])], targets=[[5, row]])
        assert np.isneginf(found.logits[0, row]) and np.isfinite(np.delete(found.logits, row)).all()
        assert found.best[0] == -1 and np.isnan(found.logprobs).all()


def test_the_end_of_the_context(rng: np.random.Generator) -> None:
    built = build(rng, dataclasses.replace(Shape(), context=40))
    cache = built.cache()
    sequence = cache.new_sequence()
    with pytest.raises(ValueError, match="range"):
        forward(built, cache, [(sequence, [1] * 41)])
    forward(built, cache, [(sequence, [1] * 39)])
    with pytest.raises(ValueError, match="range"):
        forward(built, cache, [(sequence, [1, 1])])
    forward(built, cache, [(sequence, [1])])
    with pytest.raises(ValueError, match="range"):
        forward(built, cache, [(sequence, [1])])
    assert cache.length(sequence) == 40


def int32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


BATCH: dict[str, Any] = {
    "sequences": int32(0), "lengths": int32(3), "tokens": int32(1, 2, 3), "rows": int32(0, 2),
    "first_target": int32(0, 1, 2), "targets": int32(4, 5), "want_logits": False, "n_threads": 1,
}  # fmt: skip
WRONG_BATCHES: list[tuple[str, Any, type[Exception], str]] = [
    ("sequences", int32(1), ValueError, "range"),
    ("sequences", int32(-1), ValueError, "range"),
    ("sequences", int32(), ValueError, "lengths must have 0 elements"),
    ("sequences", np.zeros(1), TypeError, "sequences must have dtype int32"),
    ("sequences", np.zeros(1, np.int64), TypeError, "sequences must have dtype int32"),
    ("sequences", [0], TypeError, "sequences must be a numpy array, not list"),
    ("sequences", int32(0)[:, None], ValueError, "sequences must have 1 dimensions, not 2"),
    ("lengths", int32(2), ValueError, "shapes"),
    ("lengths", int32(4), ValueError, "shapes"),
    ("lengths", int32(0), ValueError, "range"),
    ("lengths", int32(-1), ValueError, "range"),
    ("lengths", int32(2**31 - 1), ValueError, "range"),
    ("lengths", int32(3, 3), ValueError, "lengths must have 1 elements"),
    ("tokens", int32(1, 2, 61), ValueError, "range"),
    ("tokens", int32(-1, 2, 3), ValueError, "range"),
    ("tokens", int32(), ValueError, "shapes"),
    ("tokens", int32(1, 9, 2, 9, 3)[::2], ValueError, "C-contiguous"),
    ("tokens", int32(1, 2, 3).astype(">i4"), ValueError, "native byte order"),
    ("rows", int32(0, 3), ValueError, "range"),
    ("rows", int32(-1, 0), ValueError, "range"),
    ("rows", int32(0), ValueError, "first_target must have 2 elements"),
    ("first_target", int32(1, 1, 2), ValueError, "first_target"),
    ("first_target", int32(0, 1, 1), ValueError, "first_target"),
    ("first_target", int32(0, 1, 3), ValueError, "first_target"),
    ("first_target", int32(0, -1, 2), ValueError, "range"),
    # Descending: what lies between must not be read (there is nothing there).
    ("first_target", int32(0, 2**31 - 1, 2), ValueError, "range"),
    ("targets", int32(4, 61), ValueError, "range"),
    ("targets", int32(4, -1), ValueError, "range"),
    ("targets", int32(4), ValueError, "first_target"),
    ("n_threads", 0, ValueError, "n_threads must be 1 to 256"),
    ("n_threads", 257, ValueError, "n_threads must be 1 to 256"),
    ("n_threads", 1.5, TypeError, "integer"),
]


@pytest.mark.parametrize(("name", "value", "error", "message"), WRONG_BATCHES)
def test_wrong_batches_are_refused(
    name: str, value: Any, error: type[Exception], message: str, rng: np.random.Generator
) -> None:
    built = build(rng, Shape(n_layers=1))
    cache = built.cache()
    assert cache.new_sequence() == 0
    with pytest.raises(error, match=message):
        built.decoder.forward(cache, *{**BATCH, name: value}.values())
    assert (cache.length(0), cache.pages_used) == (0, 0)
    built.decoder.forward(cache, *BATCH.values())


def test_a_cache_of_another_shape_is_refused(rng: np.random.Generator) -> None:
    built = build(rng)
    for change in ({"n_layers": 1}, {"n_kv_heads": 1}, {"head_dim": 16}):
        other = dataclasses.replace(built.shape, **change)
        cache = Built(built.decoder, {}, other).cache()
        with pytest.raises(ValueError, match="shapes"):
            forward(built, cache, [(cache.new_sequence(), [1])])
    with pytest.raises(TypeError):
        built.decoder.forward(None, *BATCH.values())  # type: ignore[arg-type]


def arguments(rng: np.random.Generator) -> dict[str, Any]:
    shape = Shape(n_layers=1)
    weights = random_weights(rng, shape)
    tensors = {n: pack_float("f32", a).tensor for n, a in weights.items() if a.ndim == 2}
    return decoder_arguments(shape, weights, tensors) | {"mode": "exact"}


def test_wrong_decoders_are_refused(rng: np.random.Generator) -> None:
    good = arguments(rng)
    core.RawDecoder(**good)
    layer, model, spec = good["layers"][0], good["weights"], good["spec"]
    other = pack_float("f32", rng.normal(size=(61, 23))).tensor.raw
    codes = pack_codes(rng, INTEGER_FORMATS[0], (61, 24), 8).tensor.raw
    turned = good["rotations"][0][0]

    def in_spec(**change: Any) -> dict[str, Any]:
        return {"spec": spec | change}

    def in_model(**change: Any) -> dict[str, Any]:
        return {"weights": model | change}

    def in_layer(**change: Any) -> dict[str, Any]:
        return {"layers": (layer | change,)}

    def without(place: dict[str, Any], key: str) -> dict[str, Any]:
        return {name: value for name, value in place.items() if name != key}

    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        (in_spec(n_heads=3), ValueError, "range"),
        (in_spec(n_heads=8), ValueError, "shapes"),
        # These wrap to sizes that fit: 4 heads too many by 2**61, and tables of 0 bytes.
        (in_spec(n_heads=(1 << 61) + 4, n_kv_heads=2), ValueError, "range"),
        (in_spec(n_heads=(1 << 61) + 4, n_kv_heads=(1 << 61) + 2), ValueError, "range"),
        (in_spec(context=1 << 61), ValueError, "range"),
        (in_spec(n_heads=0), ValueError, "range"),
        (in_spec(n_heads=-1), ValueError, "n_heads must not be negative"),
        (in_spec(n_kv_heads=0), ValueError, "range"),
        (in_spec(dim=1 << 62), ValueError, "range"),
        (in_spec(dim=9), ValueError, "range"),
        (in_spec(value_dim=0), ValueError, "range"),
        (in_spec(value_dim=9), ValueError, "shapes"),
        (in_spec(rotary_dim=10), ValueError, "inverse frequencies must have 5"),
        (in_spec(rotary_begin=2), ValueError, "range"),
        (in_spec(latent=4), ValueError, "shapes"),
        (in_spec(context=0), ValueError, "range"),
        (in_spec(context=1 << 80), ValueError, "cannot fit"),
        (in_spec(norm="batch"), ValueError, "norm must not be 'batch'"),
        (in_spec(activation="mish"), ValueError, "activation must not be 'mish'"),
        (in_spec(norm_eps="small"), TypeError, "real number"),
        ({"spec": without(spec, "clip")}, KeyError, "has no 'clip'"),
        ({"rotations": ((turned.astype(float), 1.0),)}, TypeError, "must have dtype float32"),
        ({"rotations": ((np.ones(5, np.float32), 1.0),)}, ValueError, "must have 4 elements"),
        ({"rotations": ()}, ValueError, "range"),
        ({"rotations": good["rotations"] * 17}, ValueError, "range"),
        (in_model(embedding=other), ValueError, "elements"),
        (in_model(embedding=codes), FormatError, "format"),
        (in_model(embedding=model["final_norm"]), TypeError, "embedding must be a PackedTensor"),
        (in_model(head=other), ValueError, "shapes"),
        (in_model(head=None), TypeError, "head must be a PackedTensor"),
        (in_model(positions=other), ValueError, "shapes"),
        (in_model(final_norm=np.ones(23, np.float32)), ValueError, "final_norm must have 24"),
        (in_model(slopes=np.ones(3, np.float32)), ValueError, "slopes must have 4"),
        ({"weights": without(model, "embedding")}, ValueError, "needs an embedding"),
        ({"weights": without(model, "final_norm")}, ValueError, "shapes"),
        ({"layers": ()}, ValueError, "range"),
        ({"layers": [layer]}, TypeError, "tuple"),
        ({"layers": ((layer,),)}, TypeError, "a layer must be a dictionary"),
        ({"layers": (without(layer, "q"),)}, ValueError, "shapes"),
        ({"layers": (without(layer, "up"),)}, ValueError, "shapes"),
        (in_layer(whatever=other), ValueError, "no place for 'whatever'"),
        (in_layer(attn_norm=layer["q"]), TypeError, "attn_norm must be a numpy array"),
        (in_layer(q_bias=np.ones(31, np.float32)), ValueError, "q_bias must have 32"),
        (in_layer(down=model["final_norm"]), TypeError, "down must be a PackedTensor"),
        (in_layer(down=layer["up"]), ValueError, "shapes"),
        (in_layer(rotation=1), ValueError, "range"),
        (in_layer(rotation=1 << 40), ValueError, "range"),
        (in_layer(router=other), ValueError, "shapes"),
        (in_layer(experts=()), TypeError, "experts must be a tuple"),
        (in_layer(experts=((None,),)), TypeError, "an expert must be a tuple"),
        ({"mode": "quick"}, ValueError, "'exact', 'faithful' or 'fast'"),
        ({"isa": "sse9"}, ValueError, "sse9"),
    ]
    for change, error, message in wrong:
        with pytest.raises(error, match=message):
            core.RawDecoder(**{**good, **change})


def test_a_decoder_in_use_is_busy() -> None:
    shape = Shape(n_layers=2, hidden=512, intermediate=2048, n_heads=8, head_dim=64, vocab=100)
    built = build(np.random.default_rng(1), shape)
    cache, other = built.cache(), built.cache()
    sequence, spare = cache.new_sequence(), other.new_sequence()
    started = threading.Event()

    def work() -> None:
        started.set()
        forward(built, cache, [(sequence, [1] * 600)], rows=[599])

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    seen, ended = set(), time.monotonic() + 30
    while thread.is_alive() and len(seen) < 3 and time.monotonic() < ended:
        for name, call in (
            ("cache", lambda: cache.length(sequence)),
            ("decoder", lambda: forward(built, other, [(spare, [1])])),
            ("fork", lambda: cache.fork(sequence, 0)),
        ):
            try:
                call()
            except BusyError as error:
                seen.add(name)
                assert "in use by another call" in str(error)
        time.sleep(0.001)
    thread.join()
    assert seen == {"cache", "decoder", "fork"}
    assert cache.length(sequence) == 600  # and idle again
