"""What a run of training does: how many steps, in which stages, at which learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mini_mixes import STAGES


class Course(NamedTuple):
    """How long a size is trained, in steps, and its highest learning rate."""

    steps: int
    rate: float


# The same steps for all, so that all have read the same.
N_STEPS = 10_000
COURSES = {
    "mini-small": Course(N_STEPS, 3e-3),
    "mini-medium": Course(N_STEPS, 2.5e-3),
    "mini-large": Course(N_STEPS, 2e-3),
}
WARMUP, DECAY, LAST_RATE = 60, 0.7, 0.02


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
        ends, share = [], 0.0
        for name, stage in STAGES.items():
            share += stage.share
            ends.append((name, round(share * self.steps)))
        return ends

    def rate(self, step: int) -> float:
        """Learning rate: up, flat while circuits form, and linearly down from there."""
        falling = (self.steps - step) / (DECAY * self.steps)
        return COURSES[self.size].rate * min(1.0, (step + 1) / WARMUP, max(falling, LAST_RATE))
