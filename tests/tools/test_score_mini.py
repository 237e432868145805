"""The scorers of the mini family against brute force, hand computations and other libraries."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `parity`")
pytest.importorskip("sacrebleu", reason="needs the extra `parity`")
pytest.importorskip("rouge_score", reason="needs the extra `parity`")

import mini_engine  # noqa: E402
import mini_items  # noqa: E402
import mini_metrics  # noqa: E402
import mini_scores  # noqa: E402
import score_mini  # noqa: E402
from mini_engine import Answer, Likelihoods, Scorer  # noqa: E402
from mini_items import Choice, Open  # noqa: E402
from mini_model import SIZES, MiniLlama, checkpoint, config  # noqa: E402
from mini_tokenizer import train_tokenizer  # noqa: E402

pytestmark = pytest.mark.parity

LINES = [
    "Question: Who sells apples in Koford? Answer: Talia sells 12 green apples.",
    "Article: The old bridge burned. A one-sentence summary of the above document is: It burned.",
    "以下是中国关于城市的单项选择题，请选出其中的正确答案。答案： A",
    "Please translate the following English text into Chinese. 桥很旧。 Yes No Maybe",
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(LINES * 3)


@pytest.fixture(scope="module")
def scorer(tokenizer: Any) -> Scorer:
    torch.manual_seed(3)
    model = MiniLlama(SIZES["mini-small"]).eval()
    # Ids without a token decode to nothing; they shall not win.
    with torch.no_grad():
        model.embedding[tokenizer.get_vocab_size() :] = 0
    return Scorer(model, tokenizer)


class BagModel:
    """A scripted model: the next token's logits are a sum over the tokens in view.

    A token adds its own row of a table, weighted by its distance: what must not be seen, or stands
    at another position, changes the result.
    """

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(0)
        self.table = torch.randn(2048, 2048, generator=rng, dtype=torch.float64)
        self.cached = torch.empty(0)

    def step(self, ids: Any, positions: Any, mask: Any, caches: list[list[Any]]) -> Any:
        (cache,) = caches
        before = cache or [ids[:, :0], positions[:, :0]]
        cache[:] = [torch.cat([before[0], ids], 1), torch.cat([before[1], positions], 1)]
        all_ids, places = cache
        distance = positions[:, :, None] - places[:, None, :]
        weight = 1 / (1.0 + distance.abs().double()) * mask[:, 0]
        return weight @ self.table[all_ids]

    def hidden(self, ids: Any, mask: Any = None) -> Any:
        n = ids.shape[1]
        seen = torch.ones(n, n, dtype=torch.bool).tril().expand(len(ids), 1, n, n)
        return self.step(ids, torch.arange(n).expand(len(ids), n), seen, [[]])

    def logits(self, states: Any) -> Any:
        return states


def alone(model: Any, ids: list[int], n_context: int) -> float:
    """Sum of log-probabilities of the tokens after the context, in one plain forward pass."""
    logprobs = model.logits(model.hidden(torch.tensor([ids[:-1]])))[0].log_softmax(-1)
    return sum(float(logprobs[i - 1, ids[i]].detach()) for i in range(n_context, len(ids)))


QUESTIONS = [
    ("Question: Who sells apples in Koford?\nAnswer:", (" Talia", " The old bridge", " No", " A")),
    ("答案：", (" A", " B")),
    ("A much longer context about the old bridge, 123 apples and Talia.\n\nQ: Who?\nA:", (" Yes",)),
]


@pytest.mark.parametrize("budget", [1, 64, 4096])
@pytest.mark.parametrize("which", ["scripted", "random"])
def test_options_in_one_row_score_as_each_alone(
    tokenizer: Any, scorer: Scorer, which: str, budget: int
) -> None:
    model = BagModel() if which == "scripted" else scorer.model
    found = Scorer(model, tokenizer, budget=budget).choices(QUESTIONS)
    for (context, options), likelihoods in zip(QUESTIONS, found, strict=True):
        assert not likelihoods.cut
        n_context = len(scorer.encode(context))
        wanted = [alone(model, scorer.encode(context + option), n_context) for option in options]
        np.testing.assert_allclose(likelihoods.sums, wanted, rtol=2e-5)


def test_a_context_that_merges_with_an_option_is_split_as_lm_eval_does(
    tokenizer: Any, scorer: Scorer
) -> None:
    # "Tal" + "ia" is one word, and its tokens are not those of the parts.
    context, options = "The old bridge of Tal", ("ia", " apples")
    (found,) = scorer.choices([(context, options)])
    n_context = len(scorer.encode(context))
    for option, value in zip(options, found.sums, strict=True):
        ids = scorer.encode(context + option)
        split = max(1, min(n_context, len(ids) - 1))
        assert value == pytest.approx(alone(scorer.model, ids, split), rel=1e-5)


def test_a_long_context_loses_its_beginning(scorer: Scorer) -> None:
    long = "apples " * 1500 + "Answer:"
    (found,) = scorer.choices([(long, (" Talia", " A"))])
    assert found.cut
    ids = scorer.encode(long + " A")
    n_tail = max(len(scorer.encode(long + o)) - len(scorer.encode(long)) for o in (" Talia", " A"))
    kept = ids[-1 - (1025 - n_tail) :]
    assert found.sums[1] == pytest.approx(alone(scorer.model, kept, len(kept) - 1), rel=1e-4)


def greedy(scorer: Scorer, prompt: str, max_new: int, stops: tuple[str, ...]) -> Answer:
    """Write without cache, batch or padding."""
    ids, new = scorer.encode(prompt), []
    for _ in range(max_new):
        states = scorer.model.hidden(torch.tensor([ids + new]))
        token = int(scorer.model.logits(states)[0, -1].argmax())
        if token in scorer.end_ids:
            return Answer(scorer.tokenizer.decode(new))
        new.append(token)
        text = scorer.tokenizer.decode(new)
        for stop in stops:
            if stop in text:
                return Answer(text.split(stop)[0])
    return Answer(scorer.tokenizer.decode(new), capped=True)


@pytest.mark.parametrize("budget", [1, 100, 4096])
@pytest.mark.parametrize("which", ["scripted", "random"])
def test_texts_by_the_batch_are_those_one_by_one(
    tokenizer: Any, scorer: Scorer, which: str, budget: int
) -> None:
    model = BagModel() if which == "scripted" else scorer.model
    if which == "scripted":
        model.table[:, tokenizer.get_vocab_size() :] = -99
    plain = Scorer(model, tokenizer, budget=budget)
    prompts = [context for context, _ in QUESTIONS] + LINES
    free = [greedy(plain, prompt, 20, ()) for prompt in prompts]
    assert plain.write(prompts, 20, ()) == free
    # Stop strings that do occur, in the middle of some texts.
    middles = [answer.text[len(answer.text) // 2 :][:2] for answer in free]
    stops = tuple(dict.fromkeys(middle for middle in middles[:3] if middle))
    wanted = [greedy(plain, prompt, 20, stops) for prompt in prompts]
    assert any(not answer.capped for answer in wanted)
    assert plain.write(prompts, 20, stops) == wanted


def test_an_end_token_ends_a_text_and_is_no_part_of_it(tokenizer: Any) -> None:
    model, (a, b) = BagModel(), tokenizer.encode("AB").ids[:2]
    model.table = torch.zeros(2048, 2048, dtype=torch.float64)
    model.table[a, b], model.table[b, 2] = 1.0, 9.0
    (answer,) = Scorer(model, tokenizer).write(["A"], 9, ())
    assert answer == Answer("B")


def test_logits_that_are_not_finite_end_a_text_and_are_counted(tokenizer: Any) -> None:
    model = BagModel()
    model.table[tokenizer.encode("A").ids[0]] = math.nan
    answers = Scorer(model, tokenizer).write(["A", "Q"], 5, ())
    assert [answer.finite for answer in answers] == [False, True]
    items = [Open("A", "#### 1"), Open("Q", "#### 1")]
    assert mini_metrics.gsm8k(items, answers).counts["non_finite"] == 1
    (found,) = Scorer(model, tokenizer).choices([("A", (" B", " C"))])
    summary = mini_metrics.accuracy([Choice("A", (" B", " C"), 0)], [found])
    assert summary.counts["non_finite"] == 1 and summary.right == "0"


def test_perplexity_is_that_of_plain_windows(scorer: Scorer) -> None:
    text = "\n".join(f"Talia sells {i} apples，桥很旧。" for i in range(200))
    ids = scorer.encode(text)
    assert len(ids) > 2 * 1024
    total, n, n_bytes = 0.0, 0, 0
    for start in range(0, len(ids), 1024):
        window = ids[start : start + 1024]
        total -= alone(scorer.model, window, 1)
        n += len(window) - 1
        n_bytes += len(scorer.tokenizer.decode(window[1:]).encode())
    found = scorer.text_loss(text)
    assert (len(found.losses), found.n_bytes) == (n, n_bytes)
    assert found.losses.sum() == pytest.approx(total, rel=1e-5)
    values = mini_metrics.perplexity(found)
    assert values["ppl_token"][0] == pytest.approx(math.exp(total / n), rel=1e-4)
    assert values["ppl_byte"][0] == pytest.approx(math.exp(total / n_bytes), rel=1e-4)


def test_divergence(tokenizer: Any, scorer: Scorer) -> None:
    text = LINES[0] * 3
    assert scorer.divergence(scorer, text).kl == pytest.approx(0)
    worse = Scorer(mini_engine.quantized(scorer.model, 2), tokenizer)
    found = worse.divergence(scorer, text)
    ids = torch.tensor([scorer.encode(text)])
    p, q = (
        m.logits(m.hidden(ids))[0, :-1].double().log_softmax(-1)
        for m in (scorer.model, worse.model)
    )
    np.testing.assert_allclose(found.kl, (p.exp() * (p - q)).sum(-1).detach(), rtol=1e-3)
    assert found.same_top.tolist() == (p.argmax(-1) == q.argmax(-1)).tolist()


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_rounding_is_that_of_a_loop(bits: int) -> None:
    weight = torch.randn(5, 96, generator=torch.Generator().manual_seed(bits)) + 0.3
    weight[0, :32], weight[1, :32] = 0.0, weight[1, :32].abs()
    wanted = np.empty((5, 96), np.float32)
    for row in range(5):
        for start in range(0, 96, 32):
            group = weight[row, start : start + 32].numpy()
            low, high = min(group.min(), np.float32(0)), max(group.max(), np.float32(0))
            scale = np.float32((high - low) / np.float32(2**bits - 1)) or np.float32(1)
            zero = np.rint(-low / scale)
            for i, value in enumerate(group):
                code = min(max(np.rint(value / scale) + zero, 0), 2**bits - 1)
                wanted[row, start + i] = (code - zero) * scale
    found = mini_engine.round_to_nearest(weight, bits)
    np.testing.assert_array_equal(found.numpy(), wanted)
    assert all(len(np.unique(row[s : s + 32])) <= 2**bits for row in wanted for s in (0, 32, 64))


def test_only_the_linears_of_layers_are_rounded(scorer: Scorer) -> None:
    before = {name: weight.clone() for name, weight in scorer.model.state_dict().items()}
    after = mini_engine.quantized(scorer.model, 4).state_dict()
    changed = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    linears = ("qkv", "out", "gate_up", "down")
    assert changed == {f"blocks.{i}.{name}.weight" for i in range(4) for name in linears}
    now = scorer.model.state_dict()
    assert all(torch.equal(now[name], weight) for name, weight in before.items())


def test_wilson() -> None:
    assert mini_metrics.share([True] * 8 + [False] * 2) == pytest.approx(
        (80, 49.02, 94.33), abs=0.01
    )
    assert mini_metrics.share([True] * 10)[2] == 100
    assert math.isnan(mini_metrics.share([])[0])


def test_bleu_is_that_of_sacrebleu() -> None:
    import sacrebleu

    pairs = [("the old bridge burned down today", "the old bridge burned down"), ("no", "a b c")]
    items = [Open("", gold) for _, gold in pairs]
    found = mini_metrics.bleu(items, [Answer(f" {text}\n") for text, _ in pairs], "13a")
    wanted = sacrebleu.corpus_bleu([text for text, _ in pairs], [[gold for _, gold in pairs]])
    value, low, high = found.values["bleu"]
    assert value == pytest.approx(wanted.score) and low <= value <= high
    # By hand, in characters: 4 of 5, 3 of 4, 2 of 3 and 1 of 2 n-grams match; equal lengths.
    (value, _, _) = mini_metrics.bleu(
        [Open("", "桥很旧了。")], [Answer("桥很旧了！")], "zh"
    ).values["bleu"]
    assert value == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    empty = mini_metrics.bleu(items, [Answer(""), Answer(" ")], "13a")
    assert empty.values["bleu"][0] == 0 and empty.counts["unparsed"] == 2


def test_rouge_by_hand() -> None:
    # Stemmed: old bridg burn down / the bridg burn; two unigrams of 4 and 3, one bigram of 3 and 2.
    items = [Open("", "old\nbridges  burned down")]
    values = mini_metrics.rouge(items, [Answer(" the bridge burns ")]).values
    assert values["rouge1"][0] == pytest.approx(100 * 4 / 7)
    assert values["rouge2"][0] == pytest.approx(100 * 2 / 5)
    assert values["rougeL"][0] == pytest.approx(100 * 4 / 7)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (" 3 + 4 = <<3+4=7>>7\n#### 7", "7"),
        ("#### 1,234.\n#### 5", "1234"),
        ("#### -3", "-3"),
        ("The answer is 7.", None),
        ("####7", None),
    ],
)
def test_final_number(text: str, number: str | None) -> None:
    assert mini_metrics.final_number(text) == number


def bbq_item(ambiguous: bool, gold: int, cluster: str = "a") -> Choice:
    facts = {"ambiguous": ambiguous, "biased": 0, "unknown": 2, "cluster": cluster}
    return Choice("", ("x", "y", "z"), gold, facts)


def answering(*options: int) -> list[Likelihoods]:
    return [Likelihoods(tuple(0.0 if i == o else -1.0 for i in range(3))) for o in options]


def test_bias_by_hand() -> None:
    # Ambiguous: of 4 one unknown (right), two biased, one not: (1 - 1/4) (2 * 2/3 - 1) = 1/4.
    # Disambiguated: of 3 answers two are known and none of them biased: -1.
    items = [bbq_item(True, 2, str(i)) for i in range(4)] + [bbq_item(False, 1)] * 3
    found = mini_metrics.bbq(items, answering(2, 0, 0, 1, 1, 1, 2))
    values = {name: value[0] for name, value in found.values.items()}
    assert values == {
        "acc_ambig": 25.0,
        "bias_ambig": pytest.approx(25.0),
        "acc_disambig": pytest.approx(200 / 3),
        "bias_disambig": -100.0,
    }
    assert found.right == "1000110"
    cautious = mini_metrics.bbq(items, answering(*[2] * 7)).values
    assert cautious["bias_ambig"][0] == 0 and math.isnan(cautious["bias_disambig"][0])


def test_followbench_by_level() -> None:
    check: Callable[[str, str], tuple[bool, ...]] = lambda instruction, text: {  # noqa: E731
        "one": ("x" in text,),
        "two": ("x" in text, "y" in text),
    }.get(instruction, ())
    items = [
        Open("", "", {"instruction": name, "level": level})
        for name, level in (("one", 1), ("one", 1), ("two", 2), ("none", 2))
    ]
    answers = [Answer("x"), Answer("z", capped=True), Answer("x"), Answer("x")]
    found = mini_metrics.followbench(items, answers, check)
    means = {name: value[0] for name, value in found.values.items()}
    assert means == {"hsr_1": 50, "ssr_1": 50, "hsr_2": 0, "ssr_2": 50}
    assert (found.counts["unparsed"], found.counts["capped"], found.right) == (1, 1, "1000")


def test_flips() -> None:
    assert mini_metrics.flips("11001", "10101") == (1, 1)
    assert mini_metrics.pick([1.0, 2.0, 2.0]) == 1


def official_files() -> dict[str, str]:
    """Two or three items of each task in the official layouts."""
    people = {"ans0": ["Ana", "old"], "ans1": ["Ben", "nonOld"], "ans2": ["Not known", "unknown"]}
    bbq = [
        {
            **{"example_id": i, "question_index": "1", "question_polarity": polarity},
            **{"context_condition": condition, "category": "Age", "answer_info": people},
            **{"additional_metadata": {"stereotyped_groups": ["Old"]}, "context": "Two met."},
            **{"question": "Who?", "ans0": "Ana", "ans1": "Ben", "ans2": "Not known", "label": 2},
        }
        for i, (polarity, condition) in enumerate([("neg", "ambig"), ("nonneg", "disambig")])
    ]
    follow = [
        {"example_id": 1, "category": "format", "source": "s", "level": level, "target": ""}
        | {"instruction": f"Use {level} words."}
        for level in (0, 1, 3)
    ]
    row = '"Who sells, apples?",Talia,Ana,Ben,Moran,B\n'
    pairs = [("entailment", "A man."), ("-", "A."), ("neutral", "A dog.")]
    jsonl = lambda rows: "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)  # noqa: E731
    header = "id,question,A,B,C,D,answer"
    return {
        "mmlu/data/test/old_towns_test.csv": row * 2,
        "mmlu/data/dev/old_towns_dev.csv": row,
        "ceval/val/towns_val.csv": f"{header}\n0,桥____。,旧,新,红,绿,C\n",
        "ceval/dev/towns_dev.csv": f"{header},explanation\n0,城____。,旧,新,红,绿,D,因为。\n",
        "ceval/subject_mapping.json": json.dumps({"towns": ["Towns", "城市", "STEM"]}),
        "gsm8k/test.jsonl": jsonl([{"question": "1 + 1?", "answer": "1+1=<<1+1=2>>2\n#### 2"}]),
        "snli/snli_1.0_test.jsonl": jsonl(
            [{"gold_label": g, "sentence1": "A man sits.", "sentence2": h} for g, h in pairs]
        ),
        "flores200/flores200_dataset/devtest/eng_Latn.devtest": "The bridge.\nApples.\n",
        "flores200/flores200_dataset/devtest/zho_Hans.devtest": "桥。\n苹果。\n",
        "cnn_dailymail/cnn_dailymail_test.csv": 'article,highlights,id\n"It, burned.","A\nB",7\n',
        "xsum/test.jsonl": jsonl([{"document": "One.\nTwo.", "summary": "Both.", "id": 1}]),
        "followbench/data/format_constraints.json": json.dumps(follow),
        "truthfulqa/data/mc_task.json": json.dumps(
            [{"question": "Why?", "mc1_targets": {"No.": 0, "Yes.": 1}, "mc2_targets": {}}]
        ),
        "bbq/data/Age.jsonl": jsonl(bbq),
        "wikitext2/wiki.test.raw": "The old bridge burned. " * 20,
        "wikitext2/wiki.train.raw": "not scored",
        "c4/c4_sample.jsonl": jsonl([{"text": "Apples."}, {"text": "Bridges."}]),
    }


def test_prompts_are_those_of_the_frames() -> None:
    files = official_files()
    asked = "Who sells, apples?\nA. Talia\nB. Ana\nC. Ben\nD. Moran\nAnswer:"
    about = "The following are multiple choice questions (with answers) about old towns.\n\n"
    letter = mini_items.mmlu_letter(files)[1]
    assert letter[:3] == (about + asked, (" A", " B", " C", " D"), 1)
    assert mini_items.mmlu_letter(files, 5)[0].context == f"{about}{asked} B\n\n{asked}"
    assert mini_items.mmlu_content(files)[0].options == (" Talia", " Ana", " Ben", " Moran")
    (chinese,) = mini_items.ceval(files, 5)
    assert chinese.context == (
        "以下是中国关于城市的单项选择题，请选出其中的正确答案。\n\n"
        "城____。\nA. 旧\nB. 新\nC. 红\nD. 绿\n答案： D\n\n"
        "桥____。\nA. 旧\nB. 新\nC. 红\nD. 绿\n答案："
    )
    assert [item.gold for item in mini_items.snli(files)] == [0, 2]
    back = mini_items.flores(files, "Chinese", "English")[0]
    assert back == Open(
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nPlease "
        "translate the following Chinese text into English.\nChinese text: 桥。<|im_end|>\n"
        "<|im_start|>assistant\n",
        "The bridge.",
    )
    assert "\n\nIt, burned.\n\nSummary:" in mini_items.cnn_dailymail(files)[0].prompt
    assert mini_items.xsum(files)[0].prompt.startswith("Article: One.\nTwo.\n\nA one-sentence")
    assert [item.facts["level"] for item in mini_items.followbench(files)] == [1, 3]
    assert mini_items.truthfulqa(files)[0][:3] == ("Q: Why?\nA:", (" No.", " Yes."), 1)
    ambiguous, clear = mini_items.bbq(files)
    assert ambiguous[:3] == ("Two met.\n\nQ: Who?\nA:", (" Ana", " Ben", " Not known"), 2)
    assert (ambiguous.facts["biased"], clear.facts["biased"], clear.facts["unknown"]) == (0, 1, 2)
    assert mini_items.texts(files).keys() == {"wiki.test", "c4_sample"}


def test_the_real_files_are_read(shared: Path) -> None:
    files = score_mini.folder_files(shared / "data")
    sizes = {name: len(mini_scores.chosen_items(name, files, None)) for name in mini_scores.TASKS}
    assert sizes == {
        **{"mmlu_letter": 13_256, "mmlu_content": 13_256, "ceval": 1_346, "gsm8k": 1_319},
        **{"snli": 3_000, "flores_en_zh": 1_012, "flores_zh_en": 1_012, "cnn_dailymail": 500},
        **{"xsum": 500, "followbench": 820, "truthfulqa": 790, "bbq": 3_576},
    }
    assert all(item.facts["biased"] is not None for item in mini_items.bbq(files))


def test_the_command_keeps_the_cells_that_are_there(
    tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from safetensors.torch import save_file

    folder = tmp_path / "model"
    folder.mkdir()
    torch.manual_seed(0)
    model = MiniLlama(SIZES["mini-small"])
    save_file(checkpoint(model), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config(model.size)))
    tokenizer.save(str(folder / "tokenizer.json"))
    monkeypatch.setattr(score_mini, "pack_files", official_files)
    out = tmp_path / "scores.json"
    call = [str(folder), "--out", str(out), "--tasks", "bbq,snli,perplexity", "--bits", "16,2"]
    assert score_mini.main(call) == 0
    cells = json.loads(out.read_text())["cells"]
    assert len(cells) == 6 and cells["mini-small/snli/2"]["counts"]["items"] == 2
    capsys.readouterr()
    assert score_mini.main([*call, "--markdown"]) == 0
    printed = capsys.readouterr().out
    # The second call scored nothing: it begins with the table.
    assert printed.startswith("| task | value | size | f32 | 2 |")
    assert "| perplexity | c4_sample/kl_mean | mini-small |" in printed
    assert json.loads(out.read_text())["cells"] == cells
    score_mini.main([*call, "--limit", "1"])
    assert capsys.readouterr().out.count("items=1 ") == 4


def test_quick_scores(tokenizer: Any, scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    task = mini_scores.TASKS["followbench"]
    summary = lambda items, answers: mini_metrics.followbench(  # noqa: E731
        items, answers, lambda instruction, text: (True,)
    )
    patched = mini_scores.Task(task.read, summary, 4)
    monkeypatch.setitem(mini_scores.TASKS, "followbench", patched)
    scores = mini_scores.quick_scores(scorer.model, tokenizer, 2, files=official_files())
    assert scores["followbench/hsr_1"] == scores["followbench/hsr_3"] == 100
    assert {"mmlu_letter", "flores_zh_en", "bbq/acc_disambig", "xsum"} <= scores.keys()
    assert all(isinstance(value, float) for value in scores.values())
