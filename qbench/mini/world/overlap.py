"""The proof that no test item occurs in training.

Two independent checks are made on every example of a training stream:

* *By key.* None of its keys is reserved by a test. This compares what the families say of their own
  items, and would miss an item whose key is wrong or was not recorded.
* *By text.* The test items are read back from the official files, without the families; no example
  contains all parts of an item: the question and all its options, the premise and the hypothesis,
  the source sentence, the article, the problem. Text is compared after Unicode's NFKC, without
  case, and with all white space as one space. The search is exact for every item whose longest part
  has 12 bytes or more (shorter ones are reported as unsearchable), at any place of the example,
  whatever frame is around it and in whatever order the parts come.

What this does not prove: that no paraphrase of an item occurs (training states and asks the same
facts in other words on purpose), that an item's answer cannot be inferred, or anything about
examples beyond those that were streamed. A part may also occur without the others: the same premise
with another hypothesis, or the same question with other options, are other items.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from qbench.mini.world.examples import Document, Example, Exercise

ANCHOR_BYTES = 12
_N_OFFSETS = 12
_SPACE = re.compile(r"\s+")
MAX_REPORTED = 100


class Item(NamedTuple):
    """A test item by what must not occur together: long texts, and short ones as whole words."""

    benchmark: str
    texts: tuple[str, ...]
    words: tuple[str, ...] = ()


def normalised(text: str) -> str:
    """Return a text in the form in which texts are compared."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def full_text(example: Example) -> str:
    """Return everything that a model is shown of an example."""
    if isinstance(example, Exercise):
        return (
            f"{example.prompt}\n{example.answer}"
            if example.chat
            else example.prompt + example.answer
        )
    assert isinstance(example, Document)
    return example.text


# ---- reading the official files ---------------------------------------------------------------


def _jsonl(text: str) -> Iterator[dict[str, Any]]:
    """Parse JSON lines."""
    return (json.loads(line) for line in text.split("\n") if line.strip())


def _mmlu(text: str) -> Iterator[Item]:
    for row in csv.reader(io.StringIO(text)):
        yield Item("mmlu", (row[0],), tuple(row[1:5]))


def _ceval(text: str) -> Iterator[Item]:
    for row in csv.DictReader(io.StringIO(text)):
        yield Item("ceval", (row["question"],), tuple(row[letter] for letter in "ABCD"))


def _gsm8k(text: str) -> Iterator[Item]:
    return (Item("gsm8k", (row["question"],)) for row in _jsonl(text))


def _snli(text: str) -> Iterator[Item]:
    return (Item("snli", (row["sentence1"], row["sentence2"])) for row in _jsonl(text))


def _flores(text: str) -> Iterator[Item]:
    return (Item("flores200", (line,)) for line in text.split("\n") if line)


def _cnn_dailymail(text: str) -> Iterator[Item]:
    for row in csv.DictReader(io.StringIO(text)):
        yield Item("cnn_dailymail", (row["article"],))


def _xsum(text: str) -> Iterator[Item]:
    return (Item("xsum", (row["document"],)) for row in _jsonl(text))


def _followbench(text: str) -> Iterator[Item]:
    # Level 0 has no constraint and is not scored.
    return (
        Item("followbench", (row["instruction"],)) for row in json.loads(text) if row["level"] > 0
    )


def _truthfulqa(text: str) -> Iterator[Item]:
    return (Item("truthfulqa", (row["question"],)) for row in json.loads(text))


def _bbq(text: str) -> Iterator[Item]:
    return (Item("bbq", (row["context"], row["question"])) for row in _jsonl(text))


# Which files hold test items, and how each is read; the first pattern that a path matches counts.
READERS: tuple[tuple[str, Callable[[str], Iterator[Item]]], ...] = (
    (r"mmlu/(.*/)?test/.*_test\.csv", _mmlu),
    (r"ceval/(.*/)?(val|test)/.*_(val|test)\.csv", _ceval),
    (r"gsm8k/(.*/)?test\.jsonl", _gsm8k),
    (r"snli/(.*/)?snli_1\.0_test\.jsonl", _snli),
    (r"flores200/(.*/)?devtest/.*\.devtest", _flores),
    (r"cnn_dailymail/.*test\.csv", _cnn_dailymail),
    (r"xsum/(.*/)?test\.jsonl", _xsum),
    (r"followbench/data(_zh)?/.*\.json", _followbench),
    (r"truthfulqa/(.*/)?mc_task\.json", _truthfulqa),
    (r"bbq/data/.*\.jsonl", _bbq),
)


def items(files: Mapping[str, str]) -> list[Item]:
    """Read the test items back from official files, given as text by path."""
    found: dict[Item, None] = {}
    for path in sorted(files):
        for pattern, read in READERS:
            if re.fullmatch(pattern, path):
                found.update(dict.fromkeys(read(files[path])))
                break
    return list(found)


# ---- searching --------------------------------------------------------------------------------


class _Needle(NamedTuple):
    """An item in compared form, and where its anchor lies in its longest text."""

    item: Item
    longest: bytes
    offset: int
    others: tuple[bytes, ...]
    words: tuple[re.Pattern[str], ...]


class Index:
    """Finds test items in texts: by a rare run of bytes of each first, then by comparing it whole.

    Attributes
    ----------
    unsearchable : list of Item
        Items too short to be searched for.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        texts = [
            sorted((normalised(text).encode() for text in item.texts), key=len, reverse=True)
            for item in items
        ]
        offsets = [_offsets(longest) for longest, *_ in texts]
        # Many items begin alike, so that of some places in each the rarest run is taken.
        counts = Counter(
            longest[offset : offset + ANCHOR_BYTES]
            for (longest, *_), places in zip(texts, offsets, strict=True)
            for offset in places
        )
        self.unsearchable: list[Item] = []
        self._anchors: dict[bytes, list[_Needle]] = {}
        for item, (longest, *others), places in zip(items, texts, offsets, strict=True):
            if not places:
                self.unsearchable.append(item)
                continue
            best = min(places, key=lambda p: counts[longest[p : p + ANCHOR_BYTES]])
            words = tuple(
                re.compile(rf"(?<!\w){re.escape(normalised(word))}(?!\w)") for word in item.words
            )
            needle = _Needle(item, longest, best, tuple(others), words)
            anchor = longest[best : best + ANCHOR_BYTES]
            self._anchors.setdefault(anchor, []).append(needle)

    def find(self, text: str) -> list[Item]:
        """Return the items all of whose parts occur in a text."""
        plain = normalised(text)
        content = plain.encode()
        anchors = self._anchors
        found: dict[Item, None] = {}
        for place in range(len(content) - ANCHOR_BYTES + 1):
            needles = anchors.get(content[place : place + ANCHOR_BYTES])
            if needles is None:
                continue
            for needle in needles:
                if (
                    place >= needle.offset
                    and content.startswith(needle.longest, place - needle.offset)
                    and all(other in content for other in needle.others)
                    and all(word.search(plain) for word in needle.words)
                ):
                    found[needle.item] = None
        return list(found)


def _offsets(text: bytes) -> list[int]:
    """Return places in a text, evenly spread, at which an anchor fits."""
    last = len(text) - ANCHOR_BYTES
    return sorted({last * i // (_N_OFFSETS - 1) for i in range(_N_OFFSETS)}) if last >= 0 else []


def check(
    examples: Iterable[Example],
    reserved: Mapping[str, frozenset[str]],
    files: Mapping[str, str] | None = None,
) -> list[str]:
    """Look for test items in a stream of training examples, by key and by text.

    Parameters
    ----------
    examples
        What a model is trained on; read once, nothing of it is kept.
    reserved
        The keys of the test items of each family.
    files
        The official files, by path; those of the packs if left out.

    Returns
    -------
    list of str
        What was found, a line each, at most 100; empty if training and tests are disjoint.
    """
    if files is None:
        from qbench.mini import packs  # It imports the families, all of which may import this.

        files = packs.files()
    index = Index(items(files))
    found = [
        f"{item.benchmark}: too short to search for: {item.texts}" for item in index.unsearchable
    ]
    for number, example in enumerate(examples):
        if len(found) >= MAX_REPORTED:
            break
        for key in example.keys:
            found += [
                f"example {number}: key {key!r} is reserved by {family}"
                for family, keys in reserved.items()
                if key in keys
            ]
        found += [
            f"example {number}: contains an item of {item.benchmark}: {item.texts[0][:80]!r}"
            for item in index.find(full_text(example))
        ]
    return found[:MAX_REPORTED]
