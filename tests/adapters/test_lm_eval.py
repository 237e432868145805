"""Oracle: lm-eval's own ``hf`` backend on the same weights in float32.

Behind our adapter stands torch once, so that what is compared is the adapter alone (ids, borders,
cutting, windows, stop strings), and once our engine in mode ``exact``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # of torch, transformers and datasets, not ours
]

torch = pytest.importorskip("torch", reason="needs the extra parity")
transformers = pytest.importorskip("transformers", reason="needs the extra parity")
pytest.importorskip("lm_eval", reason="needs the extra parity")

from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.api.registry import get_model  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402

from qbench.adapters.lm_eval import QbenchLM  # noqa: E402
from qbench.errors import NonFiniteError, RequestError  # noqa: E402
from qbench.models import decoder_spec, read_config  # noqa: E402
from qbench.models.tokenizer import Tokenizer  # noqa: E402

STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
)
torch.set_num_threads(1)  # the models are tiny, and the machine may be busy
SCORES = np.dtype([("logprob", "f8"), ("is_greedy", "?"), ("n_tokens", "i4")])


class TorchModel:
    """The part of our Model that the adapter uses, computed by transformers."""

    def __init__(self, folder: Path) -> None:
        self.spec = decoder_spec(read_config(folder), str(folder))
        self.tokenizer = Tokenizer.from_folder(folder, self.spec)
        self.context_length = self.spec.context_length
        self.net = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.settings: list[dict[str, Any]] = []
        self.broken = False

    @torch.no_grad()
    def loglikelihood_tokens(self, pairs: Sequence[tuple[list[int], list[int]]]) -> np.ndarray:
        rows = []
        for context, continuation in pairs:
            ids = [*context, *continuation]
            assert 0 < len(ids) - 1 <= self.context_length
            logits = self.net(torch.tensor([ids[:-1]])).logits[0, len(context) - 1 :]
            wanted = torch.tensor(continuation)
            picked = torch.log_softmax(logits, -1)[range(len(wanted)), wanted]
            greedy = bool((logits.argmax(-1) == wanted).all())
            total = float("nan") if self.broken else float(picked.double().sum())
            rows.append((total, greedy, len(continuation)))
        return np.array(rows, dtype=SCORES)

    @torch.no_grad()
    def generate(self, prompts: Sequence[list[int]], **settings: Any) -> list[list[int]]:
        self.settings.append(settings)
        answers = []
        for prompt in prompts:
            assert len(prompt) + settings["max_new_tokens"] <= self.context_length
            ids = list(prompt)
            for _ in range(settings["max_new_tokens"]):
                token = int(self.net(torch.tensor([ids])).logits[0, -1].argmax())
                if token in self.tokenizer.eos_ids:
                    break
                ids.append(token)
            answers.append(ids[len(prompt) :])
        return answers


@pytest.fixture(scope="module", params=["stories260K", "babyllama-tok105"])
def folder(request: pytest.FixtureRequest, shared: Path) -> Path:
    return shared / "models" / request.param / "hf"


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=1)


@pytest.fixture(scope="module", params=["torch", "engine"])
def pair(request: pytest.FixtureRequest, folder: Path, theirs: Any) -> tuple[Any, QbenchLM]:
    """Both backends over one checkpoint."""
    if request.param == "torch":
        return theirs, QbenchLM(model=TorchModel(folder))  # type: ignore[arg-type]
    return theirs, QbenchLM(str(folder), recipe="f32", mode="exact", batch_size=1, device="cpu")


def instances(kind: str, *arguments: tuple[Any, ...]) -> list[Instance]:
    return [
        Instance(kind, {}, args, 0, metadata=("t", number, 1))  # type: ignore[arg-type]
        for number, args in enumerate(arguments)
    ]


def test_ids_are_those_of_transformers(pair: tuple[Any, QbenchLM]) -> None:
    theirs, ours = pair
    for text in ("", "a", " a", "a ", STORY, "<s>a", "</s>", "é\n“x”", "A. b\nAnswer: C"):
        assert ours.tok_encode(text) == theirs.tok_encode(text), text
        for special in (False, None):
            assert ours.tok_encode(text, add_special_tokens=special) == theirs.tok_encode(
                text, add_special_tokens=special
            )
    assert ours.prefix_token_id == theirs.prefix_token_id
    assert ours.eot_token_id == theirs.eot_token_id
    assert ours.max_length == theirs.max_length


def test_loglikelihoods(pair: tuple[Any, QbenchLM]) -> None:
    theirs, ours = pair
    long = STORY * 20
    requests = instances(
        "loglikelihood",
        ("Once upon a time", ", there was"),
        # Not the same text again: lm-eval's cache of logits takes equal ids for equal requests.
        ("Tom had a dog. One day, ", "he ran"),
        ("", "Once upon a time"),
        ("Question: x\nAnswer:", " A"),
        ("Question: x\nAnswer:", " B"),
        (long, " They"),
        (long, " They went to the park and played"),
        ("a", "b"),
    )
    assert len(ours.tok_encode(long)) > ours.max_length + 1
    expected = theirs.loglikelihood(requests, disable_tqdm=True)
    found = ours.loglikelihood(requests, disable_tqdm=True)
    assert [f[1] for f in found] == [e[1] for e in expected]
    assert [f[0] for f in found] == pytest.approx([e[0] for e in expected], abs=1e-3)


@pytest.mark.parametrize("repeats", [0, 1, 9, 25])
def test_rolling(pair: tuple[Any, QbenchLM], repeats: int) -> None:
    theirs, ours = pair
    requests = instances("loglikelihood_rolling", (STORY * repeats + "The end.",), ("x",))
    expected = theirs.loglikelihood_rolling(requests, disable_tqdm=True)
    found = ours.loglikelihood_rolling(requests, disable_tqdm=True)
    assert found == pytest.approx(expected, rel=1e-5)


def test_generation(pair: tuple[Any, QbenchLM]) -> None:
    theirs, ours = pair
    greedy = {"until": [".", "!"], "max_gen_toks": 24, "do_sample": False}
    requests = instances(
        "generate_until",
        ("Once upon a time", dict(greedy)),
        (STORY, dict(greedy)),
        (STORY * 12, dict(greedy)),
        (STORY, {"until": "zzz", "max_gen_toks": 10}),
    )
    expected = theirs.generate_until(requests, disable_tqdm=True)
    assert ours.generate_until(requests, disable_tqdm=True) == expected
    assert any(expected)


def test_the_same_scores_in_a_whole_evaluation(pair: tuple[Any, QbenchLM], tmp_path: Path) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    theirs, ours = pair
    path = tmp_path / "items.jsonl"
    nouns = ("dog", "park", "ball", "girl", "boat", "sun", "cake", "bird")
    path.write_text(
        "".join(
            json.dumps(
                {"q": f"Lily saw a {noun}. She", "c": ["was happy", "ran", "xqz"], "a": i % 3}
            )
            + "\n"
            for i, noun in enumerate(nouns)
        )
    )
    task = {
        "task": "local_choices",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}, "cache_dir": str(tmp_path / "c")},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{q}}",
        "doc_to_choice": "{{c}}",
        "doc_to_target": "{{a}}",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    }
    manager = TaskManager(include_defaults=False)  # the index of all tasks takes a minute
    settings = {"tasks": [task], "bootstrap_iters": 0, "task_manager": manager}
    results = [simple_evaluate(model=lm, **settings) for lm in (theirs, ours)]
    scores = [r["results"]["local_choices"] for r in results]
    assert scores[0]["acc,none"] == scores[1]["acc,none"]
    assert scores[0]["acc_norm,none"] == scores[1]["acc_norm,none"]
    logs = [
        [response[0][0] for s in r["samples"]["local_choices"] for response in s["resps"]]
        for r in results
    ]
    assert logs[0] == pytest.approx(logs[1], abs=1e-3)


@pytest.fixture(scope="module")
def model(shared: Path) -> TorchModel:
    return TorchModel(shared / "models" / "stories260K" / "hf")


def test_repeats_draw_anew_and_settings_are_passed_on(model: TorchModel) -> None:
    lm = QbenchLM(model=model, seed=3)  # type: ignore[arg-type]
    sampled = {"until": [], "do_sample": True, "temperature": 0.5, "top_p": 0.9, "max_gen_toks": 2}
    (first,) = instances("generate_until", ("Once", sampled))
    (second,) = instances("generate_until", ("Once", {"until": ["x"], "max_gen_toks": 2}))
    model.settings.clear()
    lm.generate_until([first, first, second])
    assert [(s["repeat"], s["temperature"], s["seed"]) for s in model.settings] == [
        (0, 0.5, 3),
        (1, 0.5, 3),
        (0, 0.0, 3),
    ]
    assert [s["stop"] for s in model.settings] == [(), (), ("x",)]
    (odd,) = instances("generate_until", ("Once", {"until": [], "num_beams": 4}))
    with pytest.raises(RequestError, match="cannot generate with num_beams"):
        lm.generate_until([odd])
    (neutral,) = instances("generate_until", ("Once", {"until": [], "num_beams": 1}))
    with pytest.raises(RequestError, match="256 new tokens leave no room for a prompt in 200"):
        QbenchLM(model=model, max_length=200).generate_until([neutral])  # type: ignore[arg-type]


def test_non_finite_scores_are_an_error(model: TorchModel) -> None:
    lm = QbenchLM(model=model)  # type: ignore[arg-type]
    model.broken = True
    try:
        with pytest.raises(NonFiniteError, match="1 of 1 requests"):
            lm.loglikelihood(instances("loglikelihood", ("a", "b")))
    finally:
        model.broken = False


@pytest.mark.parametrize(
    ("given", "fragment"),
    [
        ({}, "either pretrained= or model="),
        ({"pretrained": "x", "model": 1}, "either pretrained= or model="),
        ({"pretrained": "x", "device": "cuda"}, "not on 'cuda'"),
    ],
)
def test_refusals(given: dict[str, Any], fragment: str) -> None:
    with pytest.raises(RequestError, match=fragment):
        QbenchLM(**given)


def test_max_length_is_within_the_context(model: TorchModel) -> None:
    for length in (0, 513):
        with pytest.raises(RequestError, match="not within 1 to 512"):
            QbenchLM(model=model, max_length=length)  # type: ignore[arg-type]
    lm = QbenchLM(model=model, max_length=4)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="cannot be scored in a context of 4"):
        lm.loglikelihood(instances("loglikelihood", ("a", " long continuation of many tokens")))


def test_the_name_is_registered_and_chat_templates_are_used(model: TorchModel) -> None:
    assert get_model("qbench") is QbenchLM
    lm = QbenchLM(model=model)  # type: ignore[arg-type]
    assert lm.chat_template(True) is None
    template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    plain = model.tokenizer
    model.tokenizer = plain.with_template(template)
    try:
        chat = QbenchLM(model=model)  # type: ignore[arg-type]
        assert chat.chat_template(True) == template
        assert chat.apply_chat_template([{"role": "user", "content": "x"}]) == "[user]x"
        assert chat.tokenizer_name != lm.tokenizer_name
        model.tokenizer = plain.with_template(template + "{{ enable_thinking }}")
        names = set()
        for value, text in ((None, ""), (False, "False"), (True, "True")):
            chat = QbenchLM(model=model, enable_thinking=value)  # type: ignore[arg-type]
            assert chat.apply_chat_template([{"role": "user", "content": "x"}]) == "[user]x" + text
            names.add(chat.tokenizer_name)
        assert len(names) == 3
    finally:
        model.tokenizer = plain
