"""Train the test model and write tests/fixtures: model, expected numbers, held-out text, packs.

    python tools/make_fixture.py [--steps 2000] [--out tests/fixtures]

Needs the extra `train` (torch, safetensors). About eight minutes on one core. All text is generated
from a seed; the weights differ in their last bits from machine to machine, so that whoever runs
this commits all of its output together. `--check` compares the module with transformers' Llama.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fixture_model import CONFIG, Oracle, TinyLlama
from fixture_packs import write_packs
from fixture_world import World
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch.nn import functional

SEED = 20_250
BATCH, WINDOW = 16, CONFIG["max_position_embeddings"]
PEAK_RATE, WARMUP, DECAY = 5e-3, 60, 0.45
BOS, EOS = CONFIG["bos_token_id"], CONFIG["eos_token_id"]
N_HELDOUT = 40
PROMPTS = [
    "Once upon a time, there was a",
    "One day, Lily went to the",
    "Tom lived in",
    "3 + 4 = 7.\n",
    "Question: Which pet does Mia have?\nAnswer:",
    " = Anna = \n \n Anna is a",
]
# Below this gap between the two best logits float32 and float64 may disagree on a greedy id.
LEAST_GAP = 0.01


def make_tokenizer(texts: list[str]) -> Tokenizer:
    """Train a byte-level BPE with single digits; every encoding starts with BOS."""
    tokenizer = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=CONFIG["vocab_size"],
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", BOS)]
    )
    return tokenizer


def token_stream(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """Return all documents as one line of ids, each between BOS and EOS."""
    encoded = tokenizer.encode_batch(texts)
    return np.concatenate([np.array([*one.ids, EOS], np.int64) for one in encoded])


def learning_rate(step: int, steps: int) -> float:
    """Warm up, stay, and fall linearly over the last part."""
    falling = (steps - step) / (DECAY * steps)
    return PEAK_RATE * min(1.0, (step + 1) / WARMUP, max(falling, 0.02))


def train(stream: np.ndarray, steps: int) -> TinyLlama:
    """Train on random windows of the stream."""
    torch.manual_seed(SEED)
    model = TinyLlama()
    matrices = [p for p in model.parameters() if p.ndim == 2]
    gains = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": gains, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    rng, data, start = np.random.default_rng(SEED), torch.from_numpy(stream), time.monotonic()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        offsets = rng.integers(0, len(stream) - WINDOW - 1, BATCH)
        rows = torch.stack([data[o : o + WINDOW + 1] for o in offsets])
        loss = functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {loss:.3f}, {time.monotonic() - start:.0f} s", flush=True)
    return model


def save_model(model: TinyLlama, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the checkpoint in the layout of Hugging Face, weights rounded to bfloat16."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{k}": v.to(torch.bfloat16) for k, v in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    tokenizer_config = {
        "add_bos_token": True,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": WINDOW,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    generation = {"bos_token_id": BOS, "eos_token_id": EOS, "do_sample": False}
    for name, content in (
        ("config", CONFIG),
        ("tokenizer_config", tokenizer_config),
        ("generation_config", generation),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "tokenizer.json").write_text(tokenizer.to_str() + "\n")


def load_oracle(folder: Path) -> Oracle:
    """Read the written weights back, so that the oracle sees what everybody else sees."""
    tensors = load_file(folder / "model.safetensors")
    return Oracle({name: tensor.float().numpy() for name, tensor in tensors.items()})


def greedy(oracle: Oracle, tokenizer: Tokenizer, prompt: str, n_new: int) -> dict[str, Any]:
    """Continue a prompt greedily until EOS, recomputing everything at each step."""
    prompt_ids = tokenizer.encode(prompt).ids
    ids, gaps, first = list(prompt_ids), [], oracle.logits(prompt_ids)[-1]
    while len(ids) < len(prompt_ids) + n_new and (len(ids) == len(prompt_ids) or ids[-1] != EOS):
        logits = oracle.logits(ids)[-1]
        second, best = np.sort(logits)[-2:]
        gaps.append(best - second)
        ids.append(int(logits.argmax()))
    best_ten = np.argsort(-first, kind="stable")[:10]
    return {
        "prompt": prompt,
        "prompt_ids": prompt_ids,
        "new_ids": ids[len(prompt_ids) :],
        "text": tokenizer.decode(ids),
        "min_top1_top2_logit_gap": min(gaps),
        "last_prompt_logits_top10": [[int(i), round(float(first[i]), 6)] for i in best_ten],
        "last_prompt_logits_mean": round(float(first.mean()), 6),
    }


def expected_numbers(oracle: Oracle, tokenizer: Tokenizer, texts: list[str]) -> dict[str, Any]:
    """Return greedy continuations and the perplexity of a few held-out documents."""
    runs = [greedy(oracle, tokenizer, prompt, 48) for prompt in PROMPTS]
    rows = [tokenizer.encode(text).ids for text in texts]
    losses = np.concatenate([oracle.nll(ids) for ids in rows])
    return {
        "note": "Ids are with BOS (0) in front. Generation stops at EOS (1).",
        "reference": "NumPy float64 full-sequence forward over the bfloat16 weights, no KV cache",
        "greedy": [run for run in runs if run["min_top1_top2_logit_gap"] >= LEAST_GAP],
        "perplexity": [
            {
                "texts": texts,
                "sequences": len(rows),
                "predicted_tokens": len(losses),
                "sum_nll": round(float(losses.sum()), 6),
                "ppl": round(math.exp(losses.mean()), 6),
                "ids": rows,
            }
        ],
    }


def unigram_loss(stream: np.ndarray, ids: list[int]) -> float:
    """Return the loss of the best model that knows frequencies only (add-one smoothing)."""
    counts = Counter(stream.tolist())
    total = len(stream) + CONFIG["vocab_size"]
    return float(np.mean([-math.log((counts[i] + 1) / total) for i in ids]))


def check_against_transformers(folder: Path, oracle: Oracle, ids: list[int]) -> None:
    """Compare the oracle with transformers' Llama in float32 on the written checkpoint."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    llama = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        theirs = llama(torch.tensor([ids])).logits[0].numpy()
    difference = np.abs(theirs - oracle.logits(ids)).max()
    print(f"transformers: largest difference of a logit {difference:.1e}")
    assert difference < 1e-4, "the oracle or the checkpoint does not follow transformers"
    text = "Tom had 12 apples."
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert AutoTokenizer.from_pretrained(folder)(text).input_ids == tokenizer.encode(text).ids


def main() -> None:
    """Make everything, and print how good the model is."""
    parser = argparse.ArgumentParser(description="Train the test model and write its fixtures.")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("tests/fixtures"))
    parser.add_argument("--check", action="store_true", help="compare with transformers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    world, rng = World(SEED), random.Random(SEED + 1)
    heldout_rng = random.Random(SEED + 2)
    heldout = [world.story(heldout_rng) for _ in range(N_HELDOUT)]
    known = set(heldout)
    texts = [text for text in (world.document(rng) for _ in range(60_000)) if text not in known]
    tokenizer = make_tokenizer(texts[:5000])
    stream = token_stream(tokenizer, texts)
    print(f"{len(stream)} tokens, {sum(map(len, texts)) / len(stream):.2f} bytes per token")

    folder = arguments.out / "tiny"
    save_model(train(stream, arguments.steps), tokenizer, folder)
    (folder / "heldout.txt").write_text("\n".join(heldout))
    counts = write_packs(world, arguments.out / "data", SEED + 3)

    oracle = load_oracle(folder)
    expected = expected_numbers(oracle, tokenizer, heldout[:4])
    (folder / "expected.json").write_text(json.dumps(expected, indent=None) + "\n")
    rows = [tokenizer.encode(text).ids for text in heldout]
    loss = float(np.concatenate([oracle.nll(ids) for ids in rows]).mean())
    unigram = unigram_loss(stream, [i for ids in rows for i in ids[1:]])
    print(f"held-out loss {loss:.3f}, unigram {unigram:.3f}; items {counts}")
    print(f"greedy runs kept: {len(expected['greedy'])} of {len(PROMPTS)}")
    if arguments.check:
        check_against_transformers(folder, oracle, rows[0])
    assert loss < 0.5 * unigram, "the model has learned too little for tests of quantization"
    assert len(expected["greedy"]) >= 3, "too few continuations with a clear winner"


if __name__ == "__main__":
    main()
