"""The memory that loading takes, against what it may take.

    python -m benchmarks.bench_memory [FOLDER] [--recipe rtn-w4g128+head8]

Runs `qbench generate` as a process of its own and watches its anonymous memory; mapped files are
the system's to drop. It may take the packed weights, the two largest tensors as they are stored,
and 300 MiB. Without a folder, a model of the shape of Mistral-7B with random weights (14.5 GB) is
made under build/shapes.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import shapes
from qbench.models import decoder_spec, read_config, tensor_slots
from qbench.quant.footprint import weight_bytes
from qbench.quant.recipe import Recipe

MIB = 1 << 20
BEYOND = 300 * MIB
PROMPT = "The capital of France is"


def allowed(folder: Path, recipe: str) -> tuple[int, int]:
    """Bytes of the packed weights, and of all that loading may take."""
    spec = decoder_spec(read_config(folder), str(folder))
    width = 4 if spec.stored_dtype == "float32" else 2
    shapes_of = {slot.source.name: slot.source.shape for slot in tensor_slots(spec)}
    sizes = sorted(width * math.prod(shape) for shape in shapes_of.values())
    packed = weight_bytes(spec, Recipe.parse(recipe))
    return packed, packed + sum(sizes[-2:]) + BEYOND


def anonymous(pid: int) -> int:
    """Bytes of anonymous memory of a process, 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("RssAnon")), "x 0")
    return int(line.split()[1]) * 1024


def watch(command: list[str]) -> tuple[int, float, str]:
    """Run a command: its most anonymous memory, its seconds, and what it printed."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    most = 0
    while process.poll() is None:
        most = max(most, anonymous(process.pid))
        time.sleep(0.02)
    assert process.stdout is not None
    text = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return most, time.monotonic() - start, text


def main() -> None:
    """Print what was taken and what may be taken."""
    parser = argparse.ArgumentParser(description="Memory of loading, against its bound.")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--recipe", default="rtn-w4g128+head8")
    parser.add_argument("--new", type=int, default=16, help="tokens to generate")
    options = parser.parse_args()
    folder = options.folder or shapes.folder("7b")
    packed, most = allowed(folder, options.recipe)
    command = [sys.executable, "-m", "qbench", "generate", str(folder), PROMPT]
    command += ["-r", options.recipe, "--max-new-tokens", str(options.new)]
    taken, seconds, text = watch(command)
    print(f"{PROMPT}{text.rstrip()}")
    print(
        f"packed {packed / MIB:,.0f} MiB, taken {taken / MIB:,.0f}, allowed {most / MIB:,.0f}; "
        f"{seconds:.0f} s in all"
    )
    if taken > most:
        raise SystemExit("more than allowed")


if __name__ == "__main__":
    main()
