"""Train the embedded family: tokenizer, weights, and the files of a checkpoint.

    python tools/train_mini.py --size mini-large [--steps 6000] [--run DIR] [--workers 2]
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Large activations are otherwise returned to the system and faulted in again at every step: up to
# six times slower. Read by the C library when a process starts, hence set for the workers.
ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
SEED = 2402
PEAK_RATES = {"mini-small": 3e-3, "mini-medium": 2.5e-3, "mini-large": 2e-3}
WARMUP, DECAY, LAST_RATE = 60, 0.7, 0.02
STEPS = 6000
SAVE_SECONDS, LOG_STEPS = 120, 50
N_TOKENIZER_WORLDS, N_PER_WORLD = 40, 1500
QUICK_STEPS, QUICK_WORLDS, QUICK_PER_WORLD, QUICK_ITEMS = 24, 2, 400, 2


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    size: str
    steps: int
    folder: Path
    device: str
    workers: int
    compile: bool = False
    score_every: int = 0
    bf16: bool = False

    def stages(self) -> list[tuple[str, int]]:
        """Names of the stages and the step each of them ends before."""
        from mini_mixes import STAGES

        ends, share = [], 0.0
        for name, stage in STAGES.items():
            share += stage.share
            ends.append((name, round(share * self.steps)))
        return ends

    def rate(self, step: int) -> float:
        """Learning rate: up, flat while circuits form, and linearly down from there."""
        falling = (self.steps - step) / (DECAY * self.steps)
        return PEAK_RATES[self.size] * min(1.0, (step + 1) / WARMUP, max(falling, LAST_RATE))


def make_tokenizer(folder: Path, n_worlds: int, n_per_world: int) -> None:
    """Learn the tokenizer from many worlds, so that it learns syllables and no particular name."""
    from mini_mixes import SOURCES, TEXT
    from mini_tokenizer import save_tokenizer, train_tokenizer

    from qbench.mini.draws import Draws
    from qbench.mini.world.examples import SYSTEM, Document
    from qbench.mini.world.facts import World

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


def load_tokenizer(folder: Path) -> Any:
    """Read the tokenizer of a run."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json"))


class Trainer:
    """One process of a run: its part of each batch, gradients averaged with the others'."""

    def __init__(self, plan: Plan, rank: int) -> None:
        import torch
        from mini_model import SIZES, MiniLlama

        self.plan, self.rank = plan, rank
        torch.manual_seed(SEED)
        self.model = MiniLlama(SIZES[plan.size]).to(plan.device)
        matrices = [p for n, p in self.model.named_parameters() if p.ndim == 2 and n != "embedding"]
        others = [p for n, p in self.model.named_parameters() if p.ndim == 1 or n == "embedding"]
        self.parameters = [*matrices, *others]
        groups = [
            {"params": matrices, "weight_decay": 0.05},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)
        self.losses = torch.compile(self._losses, dynamic=False) if plan.compile else self._losses
        self.n_places: dict[tuple[str, int], int] = {}
        self.step, self.seconds = 0, 0.0
        self.state_file = plan.folder / "state.pt"
        if self.state_file.exists():
            state = torch.load(self.state_file, map_location=plan.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]

    def _losses(self, ids: Any, mask: Any, places: Any, targets: Any, weights: Any) -> Any:
        """Weighted mean cross-entropies of the last and of the middle layer at the chosen places.

        ``targets`` and ``weights`` have a row for each. With bf16 the products are in bfloat16
        (2.2 times the tokens/s where a core has such instructions), residuals, norms and weights
        in float32.
        """
        import torch
        from torch.nn import functional

        with torch.autocast(self.plan.device, torch.bfloat16, enabled=self.plan.bf16):
            middle, last = self.model.middle_and_last(ids, mask)
            states = torch.stack([s.flatten(0, 1).index_select(0, places) for s in (last, middle)])
            logits = self.model.logits(states).float().flatten(0, 1)
        losses = functional.cross_entropy(logits, targets.flatten(), reduction="none")
        return (losses.view_as(weights) * weights).sum(1) / weights.sum(1)

    def inputs(self, stage: str, batch: Any) -> tuple[Any, ...]:
        """Turn a batch into tensors.

        The places with a loss are brought to one number per stage and length of rows, because
        compiled code wants fixed shapes: a fifth more than in the first batch, rarely exceeded.
        """
        import torch

        device = self.plan.device
        ids = torch.from_numpy(batch.ids.astype("int64")).to(device)
        segments = torch.from_numpy(batch.segments).to(device)
        n = ids.shape[1]
        earlier = torch.ones(n, n, dtype=torch.bool, device=device).tril()
        mask = None
        if int(segments.max()) > 1:
            mask = ((segments[:, :, None] == segments[:, None, :]) & earlier)[:, None]
        pairs = (batch.ids, batch.weights), (batch.middle_ids, batch.middle_weights)
        targets = torch.stack([self._next(of.astype("int64")) for of, _ in pairs])
        weights = torch.stack([self._next(of) for _, of in pairs])
        places = weights.sum(0).nonzero().flatten()
        size = self.n_places.setdefault((stage, n), min(len(places) * 6 // 5, weights.shape[1]))
        if len(places) > size:
            places = places[torch.randperm(len(places), device=device)[:size]]
        padding = torch.zeros(size - len(places), dtype=torch.long, device=device)
        chosen = torch.cat([weights[:, places], torch.zeros(2, len(padding), device=device)], 1)
        places = torch.cat([places, padding])
        return ids, mask, places, targets[:, places], chosen

    def _next(self, rows: Any) -> Any:
        """Return of each place in rows what the place after it holds, and zero at their ends."""
        import torch

        moved = torch.from_numpy(rows).to(self.plan.device).roll(-1, 1)
        moved[:, -1] = 0
        return moved.flatten()

    def update(self, stage: str, batch: Any) -> float:
        """Take one step; returns this part's loss."""
        import torch
        from mini_mixes import STAGES
        from torch import distributed

        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate(self.step)
        loss, middle = self.losses(*self.inputs(stage, batch))
        (loss + STAGES[stage].hints * middle).backward()
        if self.plan.workers > 1:
            flat = torch.cat([p.grad.flatten() for p in self.parameters]) / self.plan.workers
            distributed.all_reduce(flat)
            pieces = flat.split([p.numel() for p in self.parameters])
            for parameter, piece in zip(self.parameters, pieces, strict=True):
                parameter.grad = piece.view_as(parameter)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())

    def run(self) -> None:
        """Go through the stages from where the run stands."""
        from mini_rows import STEPS_PER_SHARD, Part, batches

        tokenizer = load_tokenizer(self.plan.folder)
        losses: list[float] = []
        saved = time.monotonic()
        begin = 0
        for stage, end in self.plan.stages():
            first = max(self.step - begin, 0)
            steps, length = range(first, end - begin), min(STEPS_PER_SHARD, end - begin)
            part = Part(stage, self.rank, self.plan.workers, length)
            begin = end
            if not len(steps):
                continue
            for batch in batches(part, steps, tokenizer):
                start = time.monotonic()
                losses.append(self.update(stage, batch))
                self.step += 1
                self.seconds += time.monotonic() - start
                if self.step % LOG_STEPS == 0:
                    self.log(stage, losses)
                if time.monotonic() - saved > SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
                if self.plan.score_every and self.step % self.plan.score_every == 0:
                    self.score(tokenizer)
            if self.step % LOG_STEPS:
                self.log(stage, losses)
        self.save()

    def log(self, stage: str, losses: list[float]) -> None:
        """Append the mean of the last losses to the log and print it."""
        if self.rank:
            return
        from mini_rows import TOKENS_PER_STEP

        tokens = self.step * TOKENS_PER_STEP
        line = {
            "step": self.step,
            "stage": stage,
            "tokens": tokens,
            "loss": round(sum(losses[-LOG_STEPS:]) / len(losses[-LOG_STEPS:]), 4),
            "rate": round(self.plan.rate(self.step), 6),
            "seconds": round(self.seconds),
        }
        self._append(line)

    def score(self, tokenizer: Any) -> None:
        """Append cheap scores on a few items to the log, while the others wait."""
        if self.rank:
            return
        from mini_scores import quick_scores

        self.model.eval()
        scores = quick_scores(self.model, tokenizer, limit=100)
        self.model.train()
        self._append({"step": self.step, **{k: round(float(v), 4) for k, v in scores.items()}})

    def _append(self, line: dict[str, Any]) -> None:
        """Write a line of the log."""
        text = json.dumps(line)
        print(text, flush=True)
        with (self.plan.folder / "log.jsonl").open("a") as log:
            log.write(text + "\n")

    def save(self) -> None:
        """Write the state in one move, so that a cut leaves the last one whole."""
        import torch

        if self.rank:
            return
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        partial = self.state_file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.state_file)


def work(plan: Plan, rank: int) -> None:
    """Be one process of a run."""
    import torch
    from torch import distributed

    torch.set_num_threads(1 if plan.device == "cpu" else 4)
    if plan.workers > 1:
        place = (plan.folder / "meeting").absolute().as_uri()
        distributed.init_process_group("gloo", place, rank=rank, world_size=plan.workers)
    Trainer(plan, rank).run()
    if plan.workers > 1:
        distributed.destroy_process_group()


def export(plan: Plan, folder: Path) -> None:
    """Write the checkpoint of a finished run: bfloat16 weights, configuration, tokenizer."""
    import torch
    from mini_model import SIZES, MiniLlama, checkpoint, config
    from mini_tokenizer import save_tokenizer
    from safetensors.torch import save_file

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
    from mini_scores import quick_scores
    from score_mini import load

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
    import torch

    if device == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported())
    return torch.cuda.is_bf16_supported()


def main() -> None:
    """Parse the command line and do it."""
    parser = argparse.ArgumentParser(description="Train one size of the embedded family.")
    parser.add_argument("--size", choices=sorted(PEAK_RATES), default="mini-large")
    parser.add_argument("--steps", type=int, default=STEPS)
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
        asked.steps,
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
            from mini_tokenizer import save_tokenizer

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
