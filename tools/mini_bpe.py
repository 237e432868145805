"""Learning the merges of a byte-pair encoding after merges that are given.

Libraries that learn merges start from single symbols. Here the syllables of the invented names come
first, so that a name is always cut into what its Chinese characters stand for; the remaining merges
are then learned on words so begun.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

Pair = tuple[str, str]


def apply(word: Sequence[str], pair: Pair) -> list[str]:
    """Merge each occurrence of a pair, from the left."""
    merged: list[str] = []
    i = 0
    while i < len(word):
        if i + 1 < len(word) and (word[i], word[i + 1]) == pair:
            merged.append(word[i] + word[i + 1])
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return merged


def learn(counts: Mapping[str, int], given: Iterable[Pair], n_merges: int) -> list[Pair]:
    """Learn merges by the usual greedy rule: always the commonest pair.

    Parameters
    ----------
    counts
        Words, as strings of symbols, and how often each occurs.
    given
        Merges that come first.
    n_merges
        How many merges to return, the given ones included; fewer if no pair is left.
    """
    merges = list(given)
    words = [list(word) for word in counts]
    weights = list(counts.values())
    for pair in merges:
        words = [apply(word, pair) if pair[0] in word else word for word in words]
    totals: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)
    for place, word in enumerate(words):
        for pair in pairwise(word):
            totals[pair] += weights[place]
            places[pair].add(place)
    while len(merges) < n_merges and totals:
        best = max(totals, key=lambda pair: (totals[pair], pair))
        if totals[best] <= 0:
            break
        merges.append(best)
        for place in places.pop(best):
            before, after = words[place], apply(words[place], best)
            for pair in pairwise(before):
                totals[pair] -= weights[place]
            for pair in pairwise(after):
                totals[pair] += weights[place]
                places[pair].add(place)
            words[place] = after
        del totals[best]
    return merges
