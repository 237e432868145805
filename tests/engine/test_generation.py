"""Generation against one token at a time, and against itself however it is batched."""

from __future__ import annotations

import hashlib
import itertools
import threading

import numpy as np
import pytest
from engine.builders import arrays, from_memory, sequences_alive

from qbench import core
from qbench.engine import memory as memory_module
from qbench.engine.generation import STEPS_PER_CALL, request_key
from qbench.errors import CapacityError, RequestError

PROMPTS = ["Once upon a time", "Once upon a time, there", "Tom", "The cat sat on", "Q: 2 + 2 ="]
SAMPLED = {"temperature": 1.3, "top_k": 60, "top_p": 0.95, "seed": 5}


def slowly(model, prompt, max_new_tokens, **how) -> list[int]:
    """Generate from the logits of the whole text, one token at a time."""
    seed, name = how.pop("seed", 0), how.pop("name", "0")
    digest = hashlib.sha256(f"{seed}\0{name}\0{how.pop('repeat', 0)}".encode()).digest()
    ids: list[int] = []
    for step in range(min(max_new_tokens, model.context_length - len(prompt) + 1)):
        logits = model.logits([*prompt, *ids])[-1]
        if how.get("temperature", 0.0) == 0.0:
            token = int(np.argmax(logits))
        else:
            u = core.uniform(int.from_bytes(digest[:8], "little"), step)
            token = core.sample(logits, u, **how)
        if token in model.tokenizer.eos_ids:
            break
        ids.append(token)
    return ids


@pytest.fixture
def prompts(model, rng) -> list[list[int]]:
    """Prompts of many lengths, some alike, one that begins another, and one twice."""
    texts = [model.tokenizer.encode(text) for text in PROMPTS]
    stem = rng.integers(2, 400, 50).tolist()
    alike = [[*stem, *rng.integers(2, 400, k).tolist()] for k in (1, 9)]
    return [*texts, *alike, [7], stem, alike[0]]


@pytest.mark.parametrize("how", [{}, SAMPLED, {"temperature": 0.7}], ids=str)
def test_equals_one_token_at_a_time(how, model, prompts) -> None:
    new = model.generate(prompts, max_new_tokens=20, **how)
    for number, (prompt, ids) in enumerate(zip(prompts, new, strict=True)):
        assert ids == slowly(model, prompt, 20, name=str(number), **how)
    assert max(map(len, new)) == 20


@pytest.mark.parametrize("how", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_slots_batches_and_threads_change_nothing(how, loaded, tiny_model, prompts, rng) -> None:
    models = [loaded(tiny_model, "rtn-w4g32", threads=n) for n in (1, 2)]
    names = [f"item {i}" for i in range(len(prompts))]
    # Different lengths, so that slots are refilled at different times.
    expected = models[0].generate(prompts, max_new_tokens=40, item_ids=names, **how)
    limits = [*itertools.product(models[:1], (1, 7, 2048), (1, 2, None)), (models[1], 64, 5)]
    for model, tokens, sequences in limits:
        model.batch_tokens, model.batch_sequences = tokens, sequences
        order = rng.permutation(len(prompts))
        new = model.generate(
            [prompts[i] for i in order],
            max_new_tokens=40,
            item_ids=[names[i] for i in order],
            **how,
        )
        assert new == [expected[i] for i in order], (tokens, sequences)


def test_no_more_requests_at_a_time_than_asked(model, prompts, monkeypatch) -> None:
    sizes = []
    generate = model._runtime.generate

    def watched(sequences, *args, **settings):
        sizes.append(len(sequences))
        return generate(sequences, *args, **settings)

    monkeypatch.setattr(model._runtime, "generate", watched)
    model.batch_sequences = 2
    model.generate(prompts, max_new_tokens=STEPS_PER_CALL)
    assert sizes == [2] * (len(prompts) // 2)


@pytest.mark.parametrize("sequences", [1, 2, None])
def test_a_shared_prompt_is_computed_once(sequences, model, rng, monkeypatch) -> None:
    """Also when requests enter one after another."""
    stem = rng.integers(2, 400, 100).tolist()
    prompts = [[*stem, *rng.integers(2, 400, 20).tolist()] for _ in range(6)]
    computed = []
    forward = model._runtime.forward

    def watched(runs):
        computed.append(sum(len(run.tokens) for run in runs))
        return forward(runs)

    monkeypatch.setattr(model._runtime, "forward", watched)
    model.batch_sequences = sequences
    model.generate(prompts, max_new_tokens=8)
    assert sum(computed) == 100 + 6 * 19


def test_draws_belong_to_seed_item_repeat_and_step(model) -> None:
    def draw(seed=1, item="a", repeat=0):
        how = {"temperature": 1.0, "seed": seed, "item_ids": [item], "repeat": repeat}
        return model.generate(["Once upon a time"], max_new_tokens=30, **how)[0]

    same, others = draw(), [draw(seed=2), draw(item="b"), draw(repeat=1)]
    assert draw() == same
    assert len({same, *others}) == 4
    assert request_key(1, "a", 0) != request_key(1, "a\x000", 0)


def test_new_tokens_end_with_the_context(model, rng) -> None:
    """The last new token is not read, so one more fits than there are places."""
    model.batch_sequences = 2
    ids = rng.integers(2, 400, 256).tolist()
    for n, most in ((256, 1), (255, 2), (240, 17), (239, 18)):
        assert len(model.generate(ids[:n], max_new_tokens=99)) <= most
        sampled = model.generate(ids[:n], max_new_tokens=99, temperature=50.0)
        assert len(sampled) == most
    assert model.generate(ids, max_new_tokens=0) == []
    assert model.generate("Tom", max_new_tokens=0) == ""


def test_an_end_id_ends_and_is_left_out(model, prompts, monkeypatch) -> None:
    whole = model.generate(prompts, max_new_tokens=40)
    ends = {ids[len(ids) // 2] for ids in whole if ids}
    monkeypatch.setattr(model.tokenizer, "eos_ids", model.tokenizer.eos_ids | ends)
    for full, cut in zip(whole, model.generate(prompts, max_new_tokens=40), strict=True):
        at = next((i for i, token in enumerate(full) if token in ends), len(full))
        assert cut == full[:at]


def test_stop_texts_end_before_their_first_occurrence(model) -> None:
    full = model.generate(PROMPTS, max_new_tokens=60)
    across = full[0][9:12]  # most likely the end of one token and the begin of the next
    for stops in ([","], [across, "zzz"], ["\n", " the", "."], ["no such text"]):
        for text, cut in zip(full, model.generate(PROMPTS, 60, stop=stops), strict=True):
            found = [at for at in map(text.find, stops) if at >= 0]
            assert cut == text[: min(found, default=None)]
    for n in range(1, 12):
        stop = full[0][n : n + 3]
        assert model.generate(PROMPTS[0], 60, stop=stop) == full[0][: full[0].find(stop)]


def test_ids_stop_with_the_token_that_completes_the_text(model) -> None:
    prompt = model.tokenizer.encode(PROMPTS[0])
    ids = model.generate(prompt, 60, stop=".")
    text = model.generate(PROMPTS[0], 60, stop=".")
    assert model.generate(prompt, 60, stop=".", as_text=True) == text
    assert model.generate(PROMPTS[0], 60, stop=".", as_text=False) == ids
    assert model.tokenizer.decode(ids).startswith(text)
    assert ids == model.generate(prompt, 60)[: len(ids)]


def test_prompts_come_in_four_forms(model) -> None:
    tokenizer = model.tokenizer
    ids = [tokenizer.encode(text) for text in PROMPTS]
    texts = model.generate(PROMPTS, 10)
    new = model.generate(ids, 10)
    assert texts == [tokenizer.decode(n) for n in new]
    assert model.generate(PROMPTS[1], 10) == texts[1]
    assert model.generate(ids[1], 10) == new[1]
    assert model.generate(np.array(ids[1]), 10) == new[1]
    assert model.generate([PROMPTS[0], ids[1]], 10) == [texts[0], new[1]]
    assert model.generate([], 10) == []
    assert all(type(token) is int for token in new[0])


@pytest.mark.parametrize("how", [{}, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("stop", [(), (".", " the"), ("Anna. She",)])
def test_pieces_of_a_stream_join_to_the_text(how, stop, model) -> None:
    for prompt in PROMPTS:
        pieces = list(model.generate(prompt, 40, stop=stop, stream=True, **how))
        assert "".join(pieces) == model.generate(prompt, 40, stop=stop, **how)
        assert all(pieces)
    assert len(list(model.generate(PROMPTS[0], 40, stream=True))) > 20
    assert list(model.generate(PROMPTS[0], 0, stream=True)) == []


def test_a_stream_that_ends_early_holds_nothing(model) -> None:
    stream = model.generate(PROMPTS[0], 100, stream=True)
    next(stream)
    assert model._runtime.cache.pages_used > 0
    stream.close()
    assert model._runtime.cache.pages_used == 0
    for _ in model.generate(PROMPTS[0], 100, stream=True):
        break
    unused = model.generate(PROMPTS[0], 100, stream=True)
    del unused
    assert sequences_alive(model) == []


def test_the_model_can_be_used_while_a_stream_is_open(model) -> None:
    expected = [model.generate(text, 40) for text in PROMPTS]
    scores = model.loglikelihood(list(itertools.pairwise(PROMPTS)))
    streams = [model.generate(text, 40, stream=True) for text in PROMPTS]
    texts = [""] * len(streams)
    for pieces in itertools.zip_longest(*streams, fillvalue=""):
        texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
        assert model.loglikelihood(list(itertools.pairwise(PROMPTS))).tobytes() == scores.tobytes()
        assert model.generate(PROMPTS[1], 40) == expected[1]
    assert texts == expected


def test_a_stream_may_be_continued_by_another_thread(model) -> None:
    stream = model.generate(PROMPTS[0], 40, stream=True)
    texts = [next(stream)]
    thread = threading.Thread(target=lambda: texts.extend(itertools.islice(stream, 5)))
    thread.start()
    thread.join()
    assert "".join([*texts, *stream]) == model.generate(PROMPTS[0], 40)


def test_too_many_streams_are_refused_and_the_open_ones_go_on(monkeypatch) -> None:
    class Letters:
        eos_ids = frozenset()

        def decode(self, ids):
            return "".join(chr(65 + i) for i in ids)

    monkeypatch.setattr(memory_module, "DEFAULT_CACHE_BYTES", 0)
    weights, config = arrays()
    model = from_memory(weights, config, tokenizer=Letters())
    expected = model.generate([5], 60, as_text=True)
    streams = [model.generate([5], 60, stream=True) for _ in range(3)]
    first = next(streams[0])
    assert model.generate([5], 60, as_text=True) == expected
    first_of_second = next(streams[1])
    full = "2 open streams hold 6 of its 9 pages; close some"
    with pytest.raises(CapacityError, match=full):
        next(streams[2])
    with pytest.raises(CapacityError, match=full):
        model.loglikelihood_tokens([([1], [2])])
    assert first + "".join(streams[0]) == expected
    assert first_of_second + "".join(streams[1]) == expected
    assert model.generate([[5]] * 4, 60, as_text=True) == [expected] * 4
    assert model._runtime.cache.pages_used == 0


class Boom(RuntimeError):
    """Nobody else raises this."""


@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt])
@pytest.mark.parametrize("stop_at", [0, 1, 2])
@pytest.mark.parametrize("method", ["forward", "fork", "generate"])
def test_everything_is_released_after(method, stop_at, error, model, prompts, monkeypatch) -> None:
    expected = model.generate(prompts, 40)
    original, calls = getattr(model._runtime, method), itertools.count()

    def failing(*args, **settings):
        result = original(*args, **settings)
        if next(calls) == stop_at:
            raise error("stop")
        return result

    model.batch_sequences = 3
    with monkeypatch.context() as patch:
        patch.setattr(model._runtime, method, failing)
        with pytest.raises(error):
            model.generate(prompts, 40)
    assert model._runtime.cache.pages_used == 0
    assert sequences_alive(model) == []
    assert model.generate(prompts, 40) == expected


@pytest.mark.parametrize("stop_at", [0, 1, 2])
def test_a_stream_that_fails_holds_nothing(stop_at, model, monkeypatch) -> None:
    original, calls = model._runtime.generate, itertools.count()

    def failing(*args, **settings):
        if next(calls) == stop_at:
            raise Boom("stop")
        return original(*args, **settings)

    other = model.generate(PROMPTS[1], 40, stream=True)
    begun = next(other)
    with monkeypatch.context() as patch:
        patch.setattr(model._runtime, "generate", failing)
        with pytest.raises(Boom):
            list(model.generate(PROMPTS[0], 40, stream=True))
    assert len(sequences_alive(model)) == 1
    assert begun + "".join(other) == model.generate(PROMPTS[1], 40)


def test_chat_passes_variables_to_the_template(loaded, tiny_model, tmp_path) -> None:
    path = tmp_path / "t.jinja"
    source = "{{ messages[0].content }}{% if enable_thinking is false %} there was{% endif %}"
    path.write_text(source)
    model = loaded(tiny_model, chat_template=str(path))
    messages = [{"role": "user", "content": "Once upon a time,"}]
    quick = model.chat(messages, enable_thinking=False, max_new_tokens=8)
    assert quick == model.generate("Once upon a time, there was", max_new_tokens=8)
    assert model.chat(messages, max_new_tokens=8) == model.generate(
        "Once upon a time,", max_new_tokens=8
    )
    with pytest.raises(RequestError, match="unknown variable of the chat template 'temprature'"):
        model.chat(messages, temprature=0.5)


def test_chat_answers_with_text(loaded, tiny_model) -> None:
    model = loaded(tiny_model, chat_template="chatml")
    messages = [{"role": "user", "content": "Who has a cat?"}]
    ids = model.tokenizer.apply_chat(messages)
    answer = model.chat(messages, max_new_tokens=30)
    assert answer == model.tokenizer.decode(model.generate(ids, 30))
    assert "".join(model.chat(messages, max_new_tokens=30, stream=True)) == answer
    stop = answer[3:5]
    assert model.chat(messages, max_new_tokens=30, stop=stop) == answer[: answer.find(stop)]


WRONG = [
    ({"prompts": [[]]}, "prompt 0: no tokens"),
    ({"prompts": [[1], [416]]}, "prompt 1: token id 416"),
    ({"prompts": [1] * 257}, "257 tokens do not fit"),
    ({"max_new_tokens": -1}, "max_new_tokens must be 0 or more"),
    ({"max_new_tokens": 1.5}, "max_new_tokens must be 0 or more"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": float("nan")}, "temperature"),
    ({"temperature": float("inf")}, "temperature"),
    ({"top_k": -1}, "top_k"),
    ({"top_k": 2**31}, "top_k"),
    ({"top_p": 0.0}, "top_p"),
    ({"top_p": 1.1}, "top_p"),
    ({"stop": ""}, "stop must be texts"),
    ({"stop": ["a", ""]}, "stop must be texts"),
    ({"stop": [1]}, "stop must be texts"),
    ({"item_ids": ["a", "b"]}, "one name for each of the 1 prompts"),
    ({"item_ids": "a"}, "one name for each"),
    ({"prompts": ["a", "b"], "stream": True}, "one prompt, not 2"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_wrong_settings(wrong, said, model) -> None:
    with pytest.raises(RequestError, match=said):
        model.generate(**({"prompts": [[1]]} | wrong))


def test_without_a_tokenizer_there_are_ids_only() -> None:
    weights, config = arrays()
    model = from_memory(weights, config)
    assert len(model.generate([1, 2], 5)) <= 5
    for wrong in ({"prompts": "text"}, {"stop": "a"}, {"stream": True}, {"as_text": True}):
        with pytest.raises(RequestError, match="tokenizer"):
            model.generate(**({"prompts": [1, 2]} | wrong))
    with pytest.raises(RequestError, match="tokenizer"):
        model.loglikelihood([("a", "b")])
