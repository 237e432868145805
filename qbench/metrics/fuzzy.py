"""Fuzzy matching of a text against a few alternatives: the "weighted ratio" of FuzzyWuzzy.

The paper's MMLU script falls back to ``thefuzz.process.extractOne`` when no letter is found. This
is that scorer from its definition, with the defaults of thefuzz 0.22 (the upper half of Latin-1
dropped, everything but letters and digits blanked, lower case). Ratios are Indel similarities in
percent: ``200 * LCS / (len(a) + len(b))``, rounded as there so that ties fall alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

WORD_SCALE = 0.95
LATIN_1 = re.compile(r"[\x80-\xff]")
NOT_WORD = re.compile(r"[\W_]")


class Match(NamedTuple):
    """Index of the best choice and its score, 0 to 100."""

    choice: int
    score: float


def best_match(query: str, choices: Sequence[str]) -> Match:
    """Return the alternative most like the query; of equal ones the first.

    Parameters
    ----------
    query
        Free text, such as a model's answer.
    choices
        At least one alternative.
    """
    # The query is normalized before the Latin-1 rule as well, so there such characters are blanks.
    wanted = normalize(NOT_WORD.sub(" ", query))
    scores = [weighted_ratio(wanted, normalize(choice)) for choice in choices]
    best = max(range(len(scores)), key=lambda i: (scores[i], -i))
    return Match(best, scores[best])


def normalize(text: str) -> str:
    """Drop U+0080 to U+00FF, blank what is no word character, strip, lower-case."""
    return NOT_WORD.sub(" ", LATIN_1.sub("", text)).strip().lower()


def weighted_ratio(a: str, b: str) -> float:
    """Similarity of two normalized texts, 0 to 100; 0 if either is empty.

    Texts of similar length are compared whole, as sorted words and as word sets; where one is at
    least half as long again, the best matching part of the longer one counts, scaled down.
    """
    if not a or not b:
        return 0.0
    whole = ratio(a, b)
    lengths = sorted((len(a), len(b)))
    if lengths[1] / lengths[0] < 1.5:
        return max(whole, WORD_SCALE * max(_sorted_ratio(a, b), _set_ratio(a, b)))
    scale = 0.9 if lengths[1] / lengths[0] <= 8.0 else 0.6
    return max(whole, partial_ratio(a, b) * scale, _partial_words(a, b) * WORD_SCALE * scale)


def ratio(a: str, b: str) -> float:
    """Indel similarity of two texts in percent; 100 if both are empty."""
    return _percent(_lcs(_masks(a), len(a), b), len(a) + len(b))


def partial_ratio(a: str, b: str) -> float:
    """Best ``ratio`` of the shorter text against a window of its length in the longer one.

    Windows hang over both ends; a window whose outer character does not occur in the shorter text
    cannot be the best and is passed over.
    """
    short, long = (a, b) if len(a) <= len(b) else (b, a)
    best = _best_window(short, long)
    return max(best, _best_window(long, short)) if len(a) == len(b) else best


def _best_window(short: str, long: str) -> float:
    """Best ratio of a text against the windows of another that is no shorter."""
    if not short:
        return 0.0 if long else 100.0
    masks, n, known = _masks(short), len(short), set(short)
    best = 0.0
    for start in range(1 - n, len(long)):
        window = long[max(start, 0) : start + n]
        outer = window[0] if start > len(long) - n else window[-1]
        if outer in known:
            best = max(best, _percent(_lcs(masks, n, window), n + len(window)))
            if best == 100.0:
                break
    return best


def _sorted_ratio(a: str, b: str) -> float:
    """Ratio of the two texts with their words sorted."""
    return ratio(" ".join(sorted(a.split())), " ".join(sorted(b.split())))


def _set_ratio(a: str, b: str) -> float:
    """Best ratio among: common words, common + own words of a, common + own words of b."""
    words_a, words_b = set(a.split()), set(b.split())
    if not words_a or not words_b:
        return 0.0
    common = " ".join(sorted(words_a & words_b))
    own_a, own_b = " ".join(sorted(words_a - words_b)), " ".join(sorted(words_b - words_a))
    if common and not (own_a and own_b):
        return 100.0
    gap = len(common) + (1 if common else 0)
    full_a, full_b = gap + len(own_a), gap + len(own_b)
    shared = _lcs(_masks(own_a), len(own_a), own_b)
    best = _set_percent(len(own_a) + len(own_b) - 2 * shared, full_a + full_b)
    if common:
        own = [_set_percent(full - len(common), len(common) + full) for full in (full_a, full_b)]
        best = max(best, *own)
    return best


def _partial_words(a: str, b: str) -> float:
    """Partial ratio over sorted words and over each text's own words; 100 with a common word."""
    list_a, list_b = a.split(), b.split()
    words_a, words_b = set(list_a), set(list_b)
    if words_a & words_b:
        return 100.0
    best = partial_ratio(" ".join(sorted(list_a)), " ".join(sorted(list_b)))
    if len(words_a) == len(list_a) and len(words_b) == len(list_b):
        return best
    return max(best, partial_ratio(" ".join(sorted(words_a)), " ".join(sorted(words_b))))


def _percent(lcs: int, total: int) -> float:
    """Indel similarity of texts of ``total`` characters together."""
    return 100.0 * (1.0 - (total - 2 * lcs) / total) if total else 100.0


def _set_percent(distance: int, total: int) -> float:
    """Indel similarity from a distance, as the word-set ratio computes it."""
    return 100.0 - 100.0 * distance / total


def _masks(text: str) -> dict[str, int]:
    """Positions of each character as a bit set."""
    masks: dict[str, int] = {}
    for i, char in enumerate(text):
        masks[char] = masks.get(char, 0) | 1 << i
    return masks


def _lcs(masks: dict[str, int], n: int, other: str) -> int:
    """Length of the longest common subsequence, one bit-parallel step per character (Hyyrö)."""
    full = (1 << n) - 1
    state = full
    for char in other:
        hits = state & masks.get(char, 0)
        state = (state + hits | state - hits) & full
    return n - state.bit_count()
