"""The committed test model: small, complete, and what it says it is, by another implementation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def expected(tiny_model: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((tiny_model / "expected.json").read_text())
    return content


def test_it_stays_small(tiny_model: Path) -> None:
    assert sum(path.stat().st_size for path in tiny_model.iterdir()) <= 400_000


def test_ids_are_what_the_tokenizer_gives(tiny_model: Path, expected: dict[str, Any]) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    for run in expected["greedy"]:
        assert tokenizer.encode(run["prompt"]).ids == run["prompt_ids"]
        assert tokenizer.decode(run["prompt_ids"] + run["new_ids"]) == run["text"]
    (perplexity,) = expected["perplexity"]
    assert [tokenizer.encode(text).ids for text in perplexity["texts"]] == perplexity["ids"]


@pytest.mark.parity
def test_transformers_gives_the_expected_numbers(
    tiny_model: Path, expected: dict[str, Any]
) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra `parity`")
    transformers = pytest.importorskip("transformers", reason="needs the extra `parity`")
    llama = transformers.LlamaForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()

    def logits(ids: list[int]) -> np.ndarray:
        with torch.no_grad():
            array: np.ndarray = llama(torch.tensor([ids])).logits[0].double().numpy()
        return array

    assert len(expected["greedy"]) >= 3
    for run in expected["greedy"]:
        rows = logits(run["prompt_ids"] + run["new_ids"])
        n_prompt = len(run["prompt_ids"])
        assert rows[n_prompt - 1 : -1].argmax(-1).tolist() == run["new_ids"]
        ids, values = zip(*run["last_prompt_logits_top10"], strict=True)
        np.testing.assert_allclose(rows[n_prompt - 1][list(ids)], values, atol=1e-4)
        assert np.argsort(-rows[n_prompt - 1])[0] == ids[0]
    (perplexity,) = expected["perplexity"]
    losses = []
    for ids in perplexity["ids"]:
        rows = logits(ids[:-1])
        shifted = rows - rows.max(-1, keepdims=True)
        total = np.log(np.exp(shifted).sum(-1))
        losses.append(total - shifted[np.arange(len(rows)), ids[1:]])
    found = np.concatenate(losses)
    assert len(found) == perplexity["predicted_tokens"]
    np.testing.assert_allclose(found.sum(), perplexity["sum_nll"], rtol=1e-5)
