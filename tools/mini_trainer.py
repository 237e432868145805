"""One process of a run of training: model, optimizer, log and state.

Processes share out every batch and average their gradients. A run keeps its state in its folder
and goes on where it stopped.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import torch
from mini_mixes import STAGES
from mini_model import SIZES, MiniLlama
from mini_optimizer import Optimizer
from mini_plan import Plan
from mini_rows import STEPS_PER_SHARD, TOKENS_PER_STEP, Batch, Part, batches
from mini_scores import quick_scores
from mini_tokenizer import load_tokenizer
from tokenizers import Tokenizer
from torch import Tensor, distributed
from torch.nn import functional

SEED = 2402
SAVE_STEPS, LOG_STEPS = 200, 50


class Trainer:
    """One process of a run: its part of each batch, gradients averaged with the others'."""

    def __init__(self, plan: Plan, rank: int) -> None:
        self.plan, self.rank = plan, rank
        torch.manual_seed(SEED)
        self.model = MiniLlama(SIZES[plan.size]).to(plan.device)
        self.optimizer = Optimizer(self.model, rank, plan.workers)
        # Every stage has shapes of its own for short and for long rows.
        torch._dynamo.config.recompile_limit = 4 * len(STAGES)
        self.losses = torch.compile(self._losses, dynamic=False) if plan.compile else self._losses
        self.n_places: dict[tuple[str, int], int] = {}
        self.step, self.seconds = 0, 0.0
        self.state_file, self.log_file = plan.folder / "state.pt", plan.folder / "log.jsonl"
        if self.state_file.exists():
            state = torch.load(self.state_file, map_location=plan.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]
            self.n_places = state["n_places"]
        if not rank and self.log_file.exists():
            # What was logged after the state was saved comes again.
            lines = self.log_file.read_text().splitlines(keepends=True)
            known = [line for line in lines if json.loads(line)["step"] <= self.step]
            self.log_file.write_text("".join(known))

    def _losses(
        self, ids: Tensor, mask: Tensor | None, places: Tensor, targets: Tensor, weights: Tensor
    ) -> Tensor:
        """Weighted mean cross-entropies of the last and of the middle layer at the chosen places.

        ``targets`` and ``weights`` have a row for each. With bf16 the products are in bfloat16
        (2.2 times the tokens/s where a core has such instructions), residuals, norms and weights
        in float32.
        """
        with torch.autocast(self.plan.device, torch.bfloat16, enabled=self.plan.bf16):
            middle, last = self.model.middle_and_last(ids, mask)
            states = torch.stack([s.flatten(0, 1).index_select(0, places) for s in (last, middle)])
            logits = self.model.logits(states).float().flatten(0, 1)
        losses = functional.cross_entropy(logits, targets.flatten(), reduction="none")
        return (losses.view_as(weights) * weights).sum(1) / weights.sum(1)

    def inputs(self, stage: str, batch: Batch) -> tuple[Tensor | None, ...]:
        """Turn a batch into tensors.

        The places with a loss are brought to one number per stage and length of rows, because
        compiled code wants fixed shapes: a fifth more than in the first batch, rarely exceeded.
        """
        device = self.plan.device
        ids = torch.from_numpy(batch.ids.astype("int64")).to(device)
        segments = torch.from_numpy(batch.segments).to(device)
        n = ids.shape[1]
        earlier = torch.ones(n, n, dtype=torch.bool, device=device).tril()
        mask = None
        if int(segments.max()) > 1:
            mask = ((segments[:, :, None] == segments[:, None, :]) & earlier)[:, None].float()
        pairs = (batch.ids, batch.weights), (batch.middle_ids, batch.middle_weights)
        targets = torch.stack([self._next(of.astype("int64")) for of, _ in pairs])
        weights = torch.stack([self._next(of) for _, of in pairs])
        places = weights.sum(0).nonzero().flatten()
        size = self.n_places.setdefault((stage, n), min(len(places) * 6 // 5, weights.shape[1]))
        if len(places) > size:
            places = places[torch.arange(size, device=device) * len(places) // size]
        padding = torch.zeros(size - len(places), dtype=torch.long, device=device)
        chosen = torch.cat([weights[:, places], torch.zeros(2, len(padding), device=device)], 1)
        places = torch.cat([places, padding])
        return ids, mask, places, targets[:, places], chosen

    def _next(self, rows: np.ndarray) -> Tensor:
        """Return of each place in rows what the place after it holds, and zero at their ends."""
        moved = torch.from_numpy(rows).to(self.plan.device).roll(-1, 1)
        moved[:, -1] = 0
        return moved.flatten()

    def update(self, stage: str, batch: Batch) -> float:
        """Take one step; returns this part's loss."""
        loss, middle = self.losses(*self.inputs(stage, batch))
        (loss + STAGES[stage].hints * middle).backward()
        self.optimizer.step(self.plan.rate(self.step))
        return float(loss.detach())

    def run(self) -> None:
        """Go through the stages from where the run stands."""
        tokenizer = load_tokenizer(self.plan.folder)
        losses: list[float] = []
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
                if self.step % SAVE_STEPS == 0:
                    self.save()
                if self.plan.score_every and self.step % self.plan.score_every == 0:
                    self.score(tokenizer)
            if self.step % LOG_STEPS:
                self.log(stage, losses)
        self.save()

    def log(self, stage: str, losses: list[float]) -> None:
        """Append the mean of the last losses to the log and print it."""
        if self.rank:
            return
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

    def score(self, tokenizer: Tokenizer) -> None:
        """Append cheap scores on a few items to the log, while the others wait."""
        if self.rank:
            return
        self.model.eval()
        scores = quick_scores(self.model, tokenizer, limit=100)
        self.model.train()
        self._append({"step": self.step, **{k: round(float(v), 4) for k, v in scores.items()}})

    def _append(self, line: dict[str, Any]) -> None:
        """Write a line of the log."""
        text = json.dumps(line)
        print(text, flush=True)
        with self.log_file.open("a") as log:
            log.write(text + "\n")

    def save(self) -> None:
        """Write the state in one move, so that a cut leaves the last one whole."""
        optimizer = self.optimizer.state()
        if self.rank:
            return
        state = {
            "model": self.model.state_dict(),
            "optimizer": optimizer,
            "step": self.step,
            "seconds": self.seconds,
            "n_places": self.n_places,
        }
        partial = self.state_file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.state_file)


def work(plan: Plan, rank: int) -> None:
    """Be one process of a run."""
    torch.set_num_threads(1 if plan.device == "cpu" else 4)
    if plan.workers > 1:
        place = (plan.folder / "meeting").absolute().as_uri()
        distributed.init_process_group("gloo", place, rank=rank, world_size=plan.workers)
    Trainer(plan, rank).run()
    if plan.workers > 1:
        # Nobody leaves while another still writes: on a busy machine one that did was aborted.
        distributed.barrier()
        distributed.destroy_process_group()
