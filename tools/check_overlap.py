"""Search everything that a model was trained on for the items that it is tested with.

    python tools/check_overlap.py --size mini-large [--steps N] [--run DIR] [--workers 2]

Draws the very examples of the run again, in as many processes as there were workers, and exits with
1 if a test item occurs in one, by its key or as text. See qbench/mini/world/overlap.py for what
that proves.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from mini_plan import COURSES, Plan
from mini_rows import STEPS_PER_SHARD, Part, packed
from tokenizers import Tokenizer

from qbench.mini.world import families, overlap
from qbench.mini.world.examples import Example


def examples_of(parts: list[tuple[Part, int]], tokenizer: Tokenizer) -> Iterator[Example]:
    """Yield the examples of some shards."""
    for part, number in parts:
        yield from packed(part, number, tokenizer)[2]


def check(parts: list[tuple[Part, int]], tokenizer_json: str) -> tuple[int, list[str]]:
    """Search some shards; returns how many examples they hold, and what was found."""
    tokenizer, n_examples = Tokenizer.from_str(tokenizer_json), 0
    reserved = {name: families.family(name).reserved() for name in families.NAMES}

    def counted() -> Iterator[Example]:
        nonlocal n_examples
        for example in examples_of(parts, tokenizer):
            n_examples += 1
            yield example

    found = overlap.check(counted(), reserved)
    return n_examples, found


def main() -> int:
    """Parse the command line, search, and report."""
    parser = argparse.ArgumentParser(description="Search the training examples for test items.")
    parser.add_argument("--size", choices=sorted(COURSES), default="mini-large")
    parser.add_argument("--steps", type=int, help="default: as many as the size is made with")
    parser.add_argument("--run", type=Path, help="folder of the run (default: runs/SIZE)")
    parser.add_argument("--workers", type=int, default=2, help="as many as the run had")
    asked = parser.parse_args()
    steps, run = asked.steps or COURSES[asked.size].steps, asked.run or Path("runs") / asked.size
    plan = Plan(asked.size, steps, run, "cpu", asked.workers)
    shards, begin = [], 0
    for stage, end in plan.stages():
        length, n_steps, begin = min(STEPS_PER_SHARD, end - begin), end - begin, end
        shards += [
            (Part(stage, place, asked.workers, length), number)
            for number in range(-(-n_steps // length))
            for place in range(asked.workers)
        ]
    text = (run / "tokenizer.json").read_text()
    groups = [shards[i :: asked.workers] for i in range(asked.workers)]
    with ProcessPoolExecutor(asked.workers) as pool:
        results = list(pool.map(check, groups, [text] * asked.workers))
    found = [line for _, lines in results for line in lines]
    print(*found, sep="\n", end="\n" * bool(found))
    print(f"{sum(n for n, _ in results):,} examples, {len(found)} with a test item in them")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
