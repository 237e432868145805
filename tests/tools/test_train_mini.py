"""The trainer of the embedded family: its rows, its export, and all its stages in a minute."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `parity`")

import mini_rows  # noqa: E402
import mini_trainer  # noqa: E402
from mini_mixes import SOURCES, STAGES  # noqa: E402
from mini_model import SIZES, MiniLlama, checkpoint, config, from_checkpoint  # noqa: E402
from mini_plan import Plan  # noqa: E402
from mini_rows import Part, batches, encode, shard  # noqa: E402
from mini_tokenizer import END_OF_TEXT, IM_END, load_tokenizer, save_tokenizer  # noqa: E402
from mini_trainer import Trainer  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from train_mini import make_tokenizer  # noqa: E402

import qbench as qb  # noqa: E402
from qbench.mini.draws import Draws  # noqa: E402
from qbench.mini.world.examples import Document, chat_prompt  # noqa: E402
from qbench.mini.world.facts import world  # noqa: E402

pytestmark = pytest.mark.parity
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer(folder, 2, 300)
    return load_tokenizer(folder)


def test_loss_stands_on_documents_and_answers_only(tokenizer) -> None:
    draws = Draws(1, "rows")
    for name, source in SOURCES.items():
        for _ in range(20):
            example = source(world(), draws)
            encoded = encode(tokenizer, example, system=False)
            learned = [i for i, w in zip(encoded.ids, encoded.weights, strict=True) if w]
            text = tokenizer.decode(encoded.ids, skip_special_tokens=False)
            if isinstance(example, Document):
                assert learned == encoded.ids[1:], name
                assert text == f"<|endoftext|>{example.text}<|endoftext|>"
                continue
            end = IM_END if example.chat else END_OF_TEXT
            answer = [*tokenizer.encode(example.answer).ids, end]
            if example.spans:
                said = [example.answer[a:b] for a, b in example.spans]
                assert tokenizer.decode(learned[:-1]).split() == " ".join(said).split(), name
                assert len(learned) < len(answer) and learned[-1] == end, name
            else:
                assert learned == answer, name
            before = chat_prompt(example.prompt, None) if example.chat else example.prompt
            assert tokenizer.encode(before + example.answer).ids == encoded.ids[:-1], name


def test_hints_stand_after_what_was_read_and_before_what_is_next(tokenizer) -> None:
    draws, n_hints, letters = Draws(1, "hints"), 0, 0
    for name in ("inference", "roles", "mcq", "few_shot", "binding"):
        for number in range(40):
            example = SOURCES[name](world(), draws)
            encoded = encode(tokenizer, example, system=bool(number % 2))
            text = example.text if isinstance(example, Document) else example.prompt
            wanted = dict(zip(sorted(encoded.hints), sorted(example.hints), strict=True))
            for place, (end, word) in wanted.items():
                n_hints += 1
                (first, *_) = [
                    t for t in tokenizer.encode(f" {word}").ids if tokenizer.decode([t]) != " "
                ]
                assert encoded.hints[place] == first
                read = tokenizer.decode(encoded.ids[:place])
                if end < len(text):
                    # A name is known after its first token.
                    *_, last = tokenizer.encode(read).tokens
                    assert text[:end][-12:] in read[-len(last) - 11 :], (name, read, text[:end])
                else:
                    assert read.endswith(example.answer[: end - len(text)])
                letters += tokenizer.decode([encoded.ids[place]]).strip() in tuple("ABCD")
    assert n_hints > 300 and letters > 120


def test_the_middle_learns_hints_and_else_what_comes_next(tokenizer) -> None:
    batch = shard(Part("letters", 0, 4, n_steps=1), 0, tokenizer.to_str())[0]
    hinted = batch.middle_ids != batch.ids
    assert 5 < hinted.sum() < batch.ids.size / 5
    assert (batch.middle_weights[hinted] >= mini_rows.HINT_WEIGHT).all()
    assert (batch.middle_weights >= batch.weights).all() and (batch.segments[hinted] > 0).all()


def test_rows_hold_whole_examples_and_steps_do_not_depend_on_where_one_starts(tokenizer) -> None:
    part = Part("writing", 0, 4, n_steps=8)
    made = shard(part, 1, tokenizer.to_str())
    assert len(made) == 8
    for batch in made:
        length = batch.ids.shape[1]
        assert batch.ids.size == mini_rows.TOKENS_PER_STEP // 4
        assert batch.weights[:, 0].max() == 0
        assert (batch.weights[batch.segments == 0] == 0).all()
        assert (batch.segments == 0).mean() < 0.25
        assert batch.segments.max() == 1 if length == mini_rows.LONG else batch.segments.max() > 1
    later = list(batches(part, range(11, 14), tokenizer))
    for one, other in zip(made[3:6], later, strict=True):
        assert np.array_equal(one.ids, other.ids)
        assert np.array_equal(one.weights, other.weights)
    other = shard(Part("writing", 1, 4, n_steps=8), 1, tokenizer.to_str())
    assert not np.array_equal(made[0].ids, other[0].ids)


@pytest.mark.parametrize("name", SIZES)
def test_qbench_computes_what_torch_computes(name: str, tokenizer, tmp_path: Path) -> None:
    torch.manual_seed(7)
    model = MiniLlama(SIZES[name])
    for parameter in model.parameters():  # gains of one would hide a missing norm
        parameter.data += 0.1 * torch.randn_like(parameter)
    save_file(checkpoint(model), tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(config(SIZES[name])))
    save_tokenizer(tokenizer, tmp_path)
    stored = from_checkpoint(SIZES[name], load_file(tmp_path / "model.safetensors"))
    ids = np.random.default_rng(3).integers(0, 2048, 200)
    with torch.inference_mode():
        expected = stored.logits(stored.hidden(torch.from_numpy(ids)[None]))[0].numpy()
    logits = qb.load(tmp_path, "f32", mode="exact", threads=1).logits(ids)
    assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()


def tool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool in the root of the project."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


class Cut(Exception):
    """The end of a run before its time."""


@pytest.mark.slow
def test_a_run_that_was_cut_ends_as_if_it_had_not_been(
    tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, logs, update = [], [], Trainer.update
    monkeypatch.setattr(mini_trainer, "LOG_STEPS", 3)
    for name, cuts in (("whole", ()), ("cut", (5, 8))):
        plan = Plan("mini-small", 14, tmp_path / name, "cpu", 1)
        plan.folder.mkdir()
        save_tokenizer(tokenizer, plan.folder)
        for cut in (*cuts, None):

            def cut_short(self: Trainer, stage: str, batch: Any, cut: int | None = cut) -> float:
                if self.step + 1 == cut:
                    self.save()  # The last step is not in it and is taken again.
                if self.step == cut:
                    raise Cut
                return update(self, stage, batch)

            monkeypatch.setattr(Trainer, "update", cut_short)
            if cut is None:
                Trainer(plan, 0).run()
            else:
                with pytest.raises(Cut):
                    Trainer(plan, 0).run()
        states.append(torch.load(plan.folder / "state.pt", weights_only=True))
        lines = (plan.folder / "log.jsonl").read_text().splitlines()
        logs.append([json.loads(line)["step"] for line in lines])
    assert states[0]["step"] == states[1]["step"] == 14
    assert logs[0] == logs[1] == sorted(set(logs[0])) and len(logs[0]) >= 14 // 3
    for key, weight in states[0]["model"].items():
        assert torch.equal(weight, states[1]["model"][key]), key


@pytest.mark.slow
def test_quick_goes_through_every_stage(tmp_path: Path) -> None:
    run = tool("tools/train_mini.py", "--quick", "--run", tmp_path / "run")
    assert run.returncode == 0, run.stderr[-2000:]
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in log] == list(STAGES)
    assert log[-1]["loss"] < log[0]["loss"]
    scores = json.loads(run.stdout.splitlines()[-1])
    assert {"mmlu_letter", "gsm8k", "snli", "bbq/acc_ambig", "followbench/hsr_1"} <= set(scores)
    model = qb.load(tmp_path / "run" / "checkpoint", threads=1)
    assert np.isfinite(model.logits(model.tokenizer.encode("Where?"))).all()
    search = tool("tools/check_overlap.py", "--run", tmp_path / "run", "--steps", "24")
    assert search.returncode == 0, search.stdout + search.stderr[-2000:]
    assert "0 with a test item" in search.stdout
