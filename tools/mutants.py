"""Show that the tests can fail: break the code in one place, run one test, expect a failure.

    python tools/mutants.py [AREA ...] [--list] [--jobs N] [--timeout S] [--verbose]

Each table [[mutant]] in tests/mutants/<area>.toml names a file, a text that occurs in it exactly
once, a replacement that makes the code wrong, and the test that must notice. All work happens in a
copy of the tree; the extension is rebuilt only for C. Exits 1 if a mutant survives. A mutant whose
test skips on this machine is counted apart: it proves nothing either way.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIELDS = {"file", "find", "replace", "test"}
COPIED = ("csrc", "qbench", "tests", "tools", "benchmarks", "build")
NOT_COPIED = shutil.ignore_patterns(
    "__pycache__", "lib.*", "temp.*", "asan*", "emulate", "emulate-temp", "bdist.*", "shapes"
)
BUILD = ("setup.py", "--quiet", "build_ext", "--inplace")
# A change of flags compiles every file anew: a build may take this many times as long as one test.
BUILD_PATIENCE = 5
# pytest: tests ran and some failed. Any other code but 0 means that no test could run.
TESTS_FAILED = 1


@dataclass(frozen=True)
class Mutant:
    """One change and the test that must fail under it."""

    area: str
    file: str
    find: str
    replace: str
    test: str

    @property
    def title(self) -> str:
        """Name the mutant by its place and its new text, on one line."""
        return f"{self.file}: {' '.join(self.replace.split()) or '(removed)'}"


def read_mutants(root: Path, areas: Sequence[str] = ()) -> list[Mutant]:
    """Read all lists, or those of some areas; a list with other keys raises ValueError."""
    mutants = []
    for path in sorted((root / "tests" / "mutants").glob("*.toml")):
        for entry in tomllib.loads(path.read_text()).get("mutant", []):
            if set(entry) != FIELDS or not all(isinstance(v, str) for v in entry.values()):
                raise ValueError(f"{path.name}: expected the keys {sorted(FIELDS)}, found {entry}")
            mutants.append(Mutant(path.stem, **entry))
    unknown = set(areas) - {mutant.area for mutant in mutants}
    if unknown:
        raise ValueError(f"no mutants for {', '.join(sorted(unknown))}")
    return [mutant for mutant in mutants if not areas or mutant.area in areas]


def problems(mutant: Mutant, root: Path) -> list[str]:
    """Say what keeps a mutant from being replayed: a lost file, text or test."""
    found = []
    source = root / mutant.file
    count = source.read_text().count(mutant.find) if source.is_file() else 0
    if not source.is_file():
        found.append(f"{mutant.file} does not exist")
    elif count != 1:
        found.append(f"{mutant.file}: {mutant.find!r} occurs {count} times")
    if mutant.find == mutant.replace:
        found.append(f"{mutant.file}: nothing changes")
    path, _, name = mutant.test.partition("::")
    function = name.split("::")[-1].split("[")[0]
    test_file = root / path
    if not test_file.is_file() or f"def {function}(" not in test_file.read_text():
        found.append(f"{mutant.test} does not exist")
    return found


def needs_build(mutant: Mutant) -> bool:
    """Say whether a mutant changes what the extension is built from."""
    return mutant.file.startswith("csrc/") or mutant.file == "setup.py"


class Replay:
    """A copy of the tree in which one mutant at a time is tried."""

    def __init__(self, root: Path, copy: Path, timeout: float) -> None:
        self.copy = copy
        self.timeout = timeout
        self.output = ""
        self.core_is_dirty = False
        self.environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        if "QBENCH_SHARED" not in os.environ:
            self.environment["QBENCH_SHARED"] = str(root.parent / "shared")
        for name in COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, copy / name, ignore=NOT_COPIED)
        for path in root.iterdir():
            if path.is_file():
                shutil.copy2(path, copy / path.name)

    def run(self, *arguments: str, patience: int = 1) -> int:
        """Run Python in the copy; -1 means that it took longer than `patience` timeouts."""
        command, timeout = [sys.executable, *arguments], patience * self.timeout
        try:
            done = subprocess.run(
                command,
                cwd=self.copy,
                env=self.environment,
                timeout=timeout,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self.output = f"no end after {timeout:g} s"
            return -1
        self.output = done.stdout
        return done.returncode

    def test(self, node: str) -> int:
        """Run one test; return pytest's exit code."""
        return self.run("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", node)

    def build(self, *, broken: bool) -> bool:
        """Bring the extension up to date with the sources; say whether that worked."""
        self.core_is_dirty = broken
        return self.run(*BUILD, patience=BUILD_PATIENCE) == 0

    def verdict(self, mutant: Mutant) -> str:
        """Apply one mutant, run its test, put the file back; return "killed" or what went wrong."""
        path = self.copy / mutant.file
        original = path.read_text()
        in_c = needs_build(mutant)
        path.write_text(original.replace(mutant.find, mutant.replace))
        try:
            if in_c and not self.build(broken=True):
                return "does not build"
            if not in_c and self.core_is_dirty and not self.build(broken=False):
                return "the original does not build"
            code = self.test(mutant.test)
        finally:
            path.write_text(original)
        if code == 0:
            return "skipped" if " passed" not in self.output else "survived"
        # A test that hangs or brings the interpreter down (a signal) has noticed as well.
        return "killed" if code == TESTS_FAILED or code < 0 else f"not run (pytest: {code})"


def unmutated_failures(replay: Replay, mutants: Sequence[Mutant]) -> list[str]:
    """Run all named tests on the right code: one that fails there proves nothing."""
    nodes = sorted({mutant.test for mutant in mutants})
    options = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
    code = replay.run(*options, *nodes, patience=len(nodes))
    return [] if code == 0 else replay.output.splitlines()[-20:]


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Replay the mutants and print one line each."""
    parser = argparse.ArgumentParser(description="Replay the mutants: every one must be noticed.")
    parser.add_argument("areas", nargs="*", metavar="AREA", help="lists to replay; none means all")
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one test")
    parser.add_argument("--verbose", action="store_true", help="print the output of survivors")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time, each in a copy")
    options = parser.parse_args(arguments)
    mutants = read_mutants(root, options.areas)
    if broken := [line for mutant in mutants for line in problems(mutant, root)]:
        print("\n".join(broken), file=sys.stderr)
        return 1
    if options.list:
        print("\n".join(f"{m.area:12} {m.title}\n{'':12} {m.test}" for m in mutants))
        return 0
    with tempfile.TemporaryDirectory(prefix="qbench-mutants-") as folder:
        # Every worker has a tree of its own, of the same name (it may occur in messages).
        jobs = max(1, min(options.jobs, len(mutants)))
        homes = [Path(folder, str(number), root.name) for number in range(jobs)]
        replays = [Replay(root, home, options.timeout) for home in homes]
        if (root / "setup.py").is_file():
            for replay in replays:
                if not replay.build(broken=False):
                    print(f"the extension does not build:\n{replay.output}", file=sys.stderr)
                    return 1
        if failures := unmutated_failures(replays[0], mutants):
            print("the tests fail without a mutant:", *failures, sep="\n", file=sys.stderr)
            return 1
        return replay_all(mutants, replays, verbose=options.verbose)


def replay_all(mutants: Sequence[Mutant], replays: Sequence[Replay], *, verbose: bool) -> int:
    """Share the mutants among the trees; print one line each and the total; return the status."""
    counts = {"killed": 0, "skipped": 0, "survived": 0}
    # C first: then an extension is put right once, not after every other mutant.
    waiting = deque(sorted(mutants, key=needs_build, reverse=True))
    printing = threading.Lock()

    def work(replay: Replay) -> None:
        while True:
            try:
                mutant = waiting.popleft()
            except IndexError:
                return
            start = time.monotonic()
            verdict = replay.verdict(mutant)
            took = time.monotonic() - start
            with printing:
                counts[verdict if verdict in counts else "survived"] += 1
                print(
                    f"{verdict:10} {took:5.1f} s  {mutant.area:12} {mutant.title[:120]}", flush=True
                )
                if verdict != "killed":
                    print(f"{'':20}{mutant.test}")
                    if verbose:
                        print(replay.output)

    with ThreadPoolExecutor(len(replays)) as pool:
        for done in [pool.submit(work, replay) for replay in replays]:
            done.result()
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['killed']} killed, {counts['survived']} survived{skipped}")
    return 1 if counts["survived"] else 0


if __name__ == "__main__":
    sys.exit(main())
