"""The data folder: where each benchmark's official files lie below it.

Layouts are data: for each benchmark the places where its archives unpack to, tried in order. A
benchmark that is in none of them is a RequestError naming what was looked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qbench.errors import RequestError

# hendrycks/test's data.tar unpacks to data/, LLaMA-Factory's mmlu.zip to data/ as well.
MMLU_PLACES = ("mmlu/data", "mmlu", "data", ".")
SNLI_PLACES = ("snli", "snli_1.0", "snli/snli_1.0", ".")
# The test files first; the development split only where there is no test split.
SNLI_FILES = (
    "snli_1.0_test.jsonl",
    "snli_1.0_test.txt",
    "snli_test.csv",
    "snli_1.0_dev.jsonl",
    "snli_1.0_dev.txt",
)
WIKITEXT2_PLACES = ("wikitext2", "wikitext-2-raw", "wikitext2/wikitext-2-raw", ".")
WIKITEXT2_FILES = ("wiki.test.raw",)


@dataclass(frozen=True)
class DataFolder:
    """A folder that holds benchmark files, by its path."""

    root: Path

    @classmethod
    def open(cls, path: str | Path) -> DataFolder:
        """Return the folder at a path.

        Raises
        ------
        RequestError
            There is none.
        """
        root = Path(path)
        if not root.is_dir():
            raise RequestError(f"{root}: no such data folder; name one with --data or $QBENCH_DATA")
        return cls(root)

    def mmlu(self) -> Path:
        """Folder with MMLU's ``test/*_test.csv`` and ``dev/*_dev.csv``."""
        for place in MMLU_PLACES:
            folder = self.root / place
            if any(folder.glob("test/*_test.csv")):
                return folder
        raise self._missing("mmlu", MMLU_PLACES, ("test/*_test.csv",))

    def snli(self) -> Path:
        """Return the SNLI file to score: a test file if there is one, else the development split.

        In one place the order is that of SNLI_FILES; ``format_sample`` is no place.
        """
        return self._first("snli", SNLI_PLACES, SNLI_FILES)

    def wikitext2(self) -> Path:
        """WikiText-2's raw test file."""
        return self._first("perplexity", WIKITEXT2_PLACES, WIKITEXT2_FILES)

    def _first(self, task: str, places: tuple[str, ...], files: tuple[str, ...]) -> Path:
        """First of some files, in the first place that has any."""
        for place in places:
            for name in files:
                path = self.root / place / name
                if path.exists():
                    return path
        raise self._missing(task, places, files)

    def _missing(self, task: str, places: tuple[str, ...], files: tuple[str, ...]) -> RequestError:
        """Build the error for a benchmark that is nowhere."""
        looked = ", ".join(p for p in places if p != ".")
        return RequestError(
            f"{self.root}: no data of {task}: looked for {' or '.join(files)} "
            f"in it and in {looked}; name the folder that holds them with --data"
        )
