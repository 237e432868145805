"""Train the embedded family: tokenizer, weights, and the files of a checkpoint.

    python tools/train_mini.py --size mini-large [--steps N] [--run DIR] [--workers 2]
    python tools/train_mini.py --quick

Needs the extra `train`. A run keeps its state in its folder and goes on where it stopped. On a CPU
each worker is a process of one thread that takes its part of every batch (two of them pass 25 %
more tokens than one process of two threads); with --device cuda one process takes all. All text is
generated from a seed; weights differ in their last bits between machines.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch
from mini_mixes import SOURCES, TEXT
from mini_model import SIZES, MiniLlama, checkpoint, config
from mini_plan import COURSES, Plan
from mini_scores import quick_scores
from mini_tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from mini_trainer import work
from safetensors.torch import save_file
from score_mini import load

from qbench.mini.draws import Draws
from qbench.mini.world.examples import SYSTEM, Document
from qbench.mini.world.facts import World

# Large activations are otherwise returned to the system and faulted in again at every step: up to
# six times slower. Read by the C library when a process starts, hence set for the workers.
ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
N_TOKENIZER_WORLDS, N_PER_WORLD = 40, 1500
QUICK_STEPS, QUICK_WORLDS, QUICK_PER_WORLD, QUICK_ITEMS = 24, 2, 400, 2


def make_tokenizer(folder: Path, n_worlds: int, n_per_world: int) -> None:
    """Learn the tokenizer from many worlds, so that it learns syllables and no particular name."""
    pairs = [(share, name) for name, share in TEXT.items()]
    texts = []
    for seed in range(n_worlds):
        world, draws = World(seed), Draws(seed, "tokenizer")
        for _ in range(n_per_world):
            example = SOURCES[draws.weighted(pairs)](world, draws)
            if isinstance(example, Document):
                texts.append(example.text)
            else:
                texts += [example.prompt, example.answer]
    texts += [f"system\n{SYSTEM}", "user\n", "assistant\n"] * (n_worlds * 20)
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(train_tokenizer(texts), folder)


def export(plan: Plan, folder: Path) -> None:
    """Write the checkpoint of a finished run: bfloat16 weights, configuration, tokenizer."""
    size = SIZES[plan.size]
    model = MiniLlama(size)
    state = torch.load(plan.folder / "state.pt", map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    folder.mkdir(parents=True, exist_ok=True)
    save_file(checkpoint(model), folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config(size), indent=1) + "\n")
    save_tokenizer(load_tokenizer(plan.folder), folder)


def score(folder: Path, limit: int) -> None:
    """Print the scores of a few items of each task, from the files of a checkpoint."""
    _, model, tokenizer = load(folder)
    print(json.dumps(quick_scores(model, tokenizer, limit=limit)))


def launch(plan: Plan) -> None:
    """Start the processes of a run and wait; if one fails, the others are stopped."""
    (plan.folder / "meeting").unlink(missing_ok=True)
    environment = os.environ | ALLOCATOR
    processes = [
        subprocess.Popen([sys.executable, *sys.argv, "--rank", str(rank)], env=environment)
        for rank in range(plan.workers)
    ]
    try:
        while any(process.poll() is None for process in processes):
            if any(process.poll() for process in processes):
                raise SystemExit("a worker failed; its message stands above")
            time.sleep(0.5)
    finally:
        for process in processes:
            process.terminate()
    if any(process.returncode for process in processes):
        raise SystemExit("a worker failed; its message stands above")


def default_workers(device: str) -> int:
    """One process per core up to four, a power of two that divides the batch; one on a GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return 1 if device != "cpu" else 4 if (cores or 1) >= 4 else min(cores or 1, 2)


def default_bf16(device: str) -> bool:
    """Whether the device multiplies bfloat16 numbers by itself."""
    if device == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported())
    return torch.cuda.is_bf16_supported()


def main() -> None:
    """Parse the command line and do it."""
    parser = argparse.ArgumentParser(description="Train one size of the embedded family.")
    parser.add_argument("--size", choices=sorted(COURSES), default="mini-large")
    parser.add_argument("--steps", type=int, help="default: as many as the size is made with")
    parser.add_argument("--run", type=Path, help="folder of the run (default: runs/SIZE)")
    parser.add_argument("--tokenizer", type=Path, help="take the tokenizer of this folder")
    parser.add_argument("--out", type=Path, help="folder of the finished checkpoint")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, choices=(1, 2, 4), help="processes (default: cores)")
    parser.add_argument(
        "--bf16",
        action=argparse.BooleanOptionalAction,
        help="bfloat16 products (default: where the device has them)",
    )
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--score-every", type=int, default=0, help="steps between quick scores")
    parser.add_argument("--quick", action="store_true", help="all stages in two minutes, for tests")
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.quick:
        asked.size, asked.steps, asked.no_compile = "mini-small", QUICK_STEPS, True
    plan = Plan(
        asked.size,
        asked.steps or COURSES[asked.size].steps,
        asked.run or Path("runs") / asked.size,
        asked.device,
        asked.workers or default_workers(asked.device),
        not asked.no_compile,
        asked.score_every,
        default_bf16(asked.device) if asked.bf16 is None else asked.bf16,
    )
    if asked.rank is not None:
        work(plan, asked.rank)
        return
    if not (plan.folder / "tokenizer.json").exists():
        if asked.tokenizer:
            plan.folder.mkdir(parents=True, exist_ok=True)
            save_tokenizer(load_tokenizer(asked.tokenizer), plan.folder)
        else:
            n_worlds = QUICK_WORLDS if asked.quick else N_TOKENIZER_WORLDS
            make_tokenizer(plan.folder, n_worlds, QUICK_PER_WORLD if asked.quick else N_PER_WORLD)
    launch(plan)
    checkpoint = asked.out or plan.folder / "checkpoint"
    export(plan, checkpoint)
    if asked.quick:
        score(checkpoint, QUICK_ITEMS)


if __name__ == "__main__":
    main()
