"""The shipped models: what is in the package, and that the engine computes what PyTorch does."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

import qbench as qb
from qbench.mini import packs
from qbench.mini.family import FOLDER, MODELS, embedded_models
from tests.tolerance import DECODER

pytestmark = pytest.mark.skipif(
    len(embedded_models()) < len(MODELS), reason="the models are not trained to the end yet"
)
MOST_BYTES = 12 * 2**20
FILES = {
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}
PROMPTS = (
    "Beman often sells",
    "请把下面的句子翻译成中文：The judge waits.",
    "<<56*2=",
    "A. bread\nB. rice\nC. fish\nD. eggs\nWhich is fish?",
)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_the_files_of_a_checkpoint_and_no_other(name: str) -> None:
    assert {path.name for path in embedded_models()[name].iterdir()} == FILES


def test_the_family_stays_small() -> None:
    weights = [folder / "model.safetensors" for folder in embedded_models().values()]
    assert sum(path.stat().st_size for path in weights) <= MOST_BYTES


def test_the_card_names_the_weights_that_are_there() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"^\| (mini-\w+) \| `([0-9a-f]{64})` \|$", card, re.MULTILINE))
    files = {name: folder / "model.safetensors" for name, folder in embedded_models().items()}
    assert named == {n: hashlib.sha256(f.read_bytes()).hexdigest() for n, f in files.items()}
    tokenizers = {(f.parent / "tokenizer.json").read_bytes() for f in files.values()}
    assert len(tokenizers) == 1


def test_a_name_is_enough_to_run_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = qb.load("mini-large")
    answer = model.chat(
        [{"role": "user", "content": "Translate this into Chinese: She is very rich."}]
    )
    assert answer.strip() == "她很富有。"


@pytest.mark.parity
@pytest.mark.parametrize("name", MODELS)
def test_same_logits_and_text_as_transformers(name: str) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is not installed")
    transformers = pytest.importorskip("transformers", reason="the oracle is not installed")
    folder = embedded_models()[name]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ours = qb.load(name, mode="exact")
    article = packs.files()["perplexity/chronicle.txt"][:600]
    for prompt in (*PROMPTS, article):
        ids = tokenizer.encode(prompt, add_special_tokens=False)
        assert list(ours.tokenizer.encode(prompt)) == ids
        with torch.no_grad():
            expected = theirs(torch.tensor([ids])).logits[0].numpy()
        found = np.asarray(ours.logits(ids))
        bound = DECODER["exact"] * np.sqrt((expected.astype(np.float64) ** 2).mean())
        assert np.abs(found - expected).max() <= bound
    for prompt in PROMPTS:
        ids = torch.tensor([tokenizer.encode(prompt, add_special_tokens=False)])
        with torch.no_grad():
            written = theirs.generate(ids, max_new_tokens=24, do_sample=False)[0, ids.shape[1] :]
        text = tokenizer.decode(written, skip_special_tokens=True)
        assert ours.generate(prompt, max_new_tokens=24, temperature=0) == text
