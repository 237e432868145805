"""Documents a second on MMLU 5-shot beside lm-eval's own backend, and whether both agree.

    python -m benchmarks.bench_documents [--subjects abstract_algebra,business_ethics]
        [--documents N] [--rounds 3] [--json FILE]

Whole subjects on the 0.5B shape with random weights: the same prompts and continuations as texts to
every contestant, tokenized by each inside the time that counts. lm-eval is asked once, in bfloat16
with batches of 8 as its users run it; qbench before and after. The data are the official files.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import contest, shapes
from benchmarks.contest import Contestant, Entry
from benchmarks.harness import machine
from qbench import core
from qbench.models import Tokenizer, decoder_spec, read_config
from qbench.tasks import ChoiceRequest, get_task, parse_task

SHAPE, TASK = "0.5b", "mmlu:lm-eval@5"
RECIPE = "rtn-w4g128-sym+head8"  # as in bench_models
SUBJECTS = "abstract_algebra,business_ethics"
FAST, FAITHFUL, BF16, LM_EVAL = "qbench fast", "qbench faithful", "qbench bf16", "lm-eval hf bf16"
ENTRIES = (
    Entry(FAST, "run_qbench", {"recipe": RECIPE, "mode": "fast"}),
    Entry(FAITHFUL, "run_qbench", {"recipe": RECIPE, "mode": "faithful"}),
    Entry(BF16, "run_qbench", {"recipe": "bf16", "mode": "faithful"}),
    Entry(LM_EVAL, "run_lm_eval", {"batch": 8}),
)


def pairs_of(subjects: list[str], most: int | None) -> list[tuple[str, str]]:
    """(context, continuation) texts of all documents of some subjects, four a document."""
    folder = shapes.folder(SHAPE)
    spec = decoder_spec(read_config(folder), str(folder))
    prepared = get_task("mmlu").prepare(
        parse_task(TASK),
        shapes.SHARED / "data",
        tokenizer=Tokenizer.from_folder(folder, spec),
        context_length=spec.context_length,
        limit=None,
        seed=0,
        window=None,
        stride=None,
    )
    pairs = []
    for subject in subjects:
        requests = [item.request for item in prepared.items if item.stratum == subject]
        if not requests:
            raise SystemExit(f"no subject {subject!r}")
        for request in requests[:most]:
            assert isinstance(request, ChoiceRequest)
            pairs += [(request.prompt.text(), choice) for choice in request.choices]
    return pairs


def agreement(of: list[float], to: list[float]) -> dict[str, float]:
    """How far two engines are apart: largest difference in nats, and documents answered alike."""
    a, b = np.reshape(of, (-1, 4)), np.reshape(to, (-1, 4))
    same = float((a.argmax(axis=1) == b.argmax(axis=1)).mean())
    return {"largest difference": float(np.abs(a - b).max()), "same answer": same}


def measure(
    subjects: list[str], most: int | None, rounds: int, threads: int, peers: bool = True
) -> dict[str, Any]:
    """Seconds of each round, documents, and agreement with lm-eval."""
    pairs = pairs_of(subjects, most)
    path = shapes.FOLDER / "pairs.json"
    path.write_text(json.dumps(pairs))
    entries = [entry for entry in ENTRIES if peers or entry.name != LM_EVAL]
    everybody = contest.start(entries, shapes.folder(SHAPE), threads)
    started = list(everybody)
    seconds: dict[str, list[float]] = {contestant.name: [] for contestant in started}
    answers: dict[str, list[float]] = {}

    def ask(contestant: Contestant) -> None:
        try:
            taken, answers[contestant.name] = contestant.ask("score", pairs=str(path))
            seconds[contestant.name].append(taken)
        except contest.Dropout as error:
            print(f"left out: {error}")
            started.remove(contestant)
            del seconds[contestant.name]
            answers.pop(contestant.name, None)

    try:
        for number in range(rounds):
            for contestant in list(started):
                # Minutes a round: once is enough, in the middle of the others.
                if contestant.name != LM_EVAL or number == rounds // 2:
                    ask(contestant)
    finally:
        for contestant in everybody:
            contestant.close()
    alike = {
        name: agreement(found, answers[LM_EVAL])
        for name, found in answers.items()
        if LM_EVAL in answers and name != LM_EVAL
    }
    return {"documents": len(pairs) // 4, "seconds": seconds, "agreement": alike}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="MMLU documents a second.")
    parser.add_argument("--subjects", default=SUBJECTS)
    parser.add_argument("--documents", type=int, help="the first N of each subject")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=core.default_threads())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(machine(), f"{options.threads} threads")
    subjects = options.subjects.split(",")
    found = measure(subjects, options.documents, options.rounds, options.threads)
    n = found["documents"]
    print(f"{n} documents of {', '.join(subjects)}, {TASK}, {SHAPE} shape")
    slow = found["seconds"].get(LM_EVAL)
    for name, taken in found["seconds"].items():
        against = f"  {min(slow) / statistics.median(taken):5.1f} x {LM_EVAL}" if slow else ""
        print(f"  {name:18}{n / min(taken):8.2f} documents/s{against}")
    for name, figures in found["agreement"].items():
        print(f"  {name}: " + ", ".join(f"{what} {value:.4f}" for what, value in figures.items()))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
