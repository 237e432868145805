"""Choosing N items: seeded, stratified, and nested, so that 50 items are among the 200.

Within a stratum the order is that of a seeded hash of the item's id, so it depends neither on the
order of the files nor on what else is in them. Strata take turns by the quota method of Balinski
and Young (1975), the apportionment that grows by one seat at a time and still keeps every stratum
within one item of its proportional share at every N.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from qbench.errors import RequestError


def select(ids: Sequence[str], strata: Sequence[str], limit: int | None, seed: int) -> list[int]:
    """Choose items.

    Parameters
    ----------
    ids
        (n,) unique within a stratum.
    strata
        (n,) the stratum of each item.
    limit
        How many; None or more than there are: all.
    seed
        Another seed chooses other items.

    Returns
    -------
    list of int
        Indices of the chosen items, ascending.

    Raises
    ------
    RequestError
        ``limit`` is below 1.
    """
    if limit is None:
        return list(range(len(ids)))
    if limit < 1:
        raise RequestError(f"a limit of {limit} items leaves nothing to score; use 1 or more")
    if limit >= len(ids):
        return list(range(len(ids)))
    members: dict[str, list[int]] = {}
    for index, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(index)
    for stratum, indices in members.items():
        indices.sort(key=lambda i: _draw(seed, stratum, ids[i]))
    sizes = {stratum: len(indices) for stratum, indices in members.items()}
    taken = _quotas(sizes, limit, seed)
    return sorted(i for stratum, n in taken.items() for i in members[stratum][:n])


def _quotas(sizes: dict[str, int], limit: int, seed: int) -> dict[str, int]:
    """Give out ``limit`` seats one by one; a stratum may not exceed its share rounded up."""
    total = sum(sizes.values())
    order = sorted(sizes, key=lambda stratum: _draw(seed, stratum, ""))
    taken = dict.fromkeys(order, 0)
    for seat in range(1, limit + 1):
        open_to = [s for s in order if taken[s] * total < sizes[s] * seat]
        # max() keeps the first of equals, so the seeded order breaks ties.
        taken[max(open_to, key=lambda s: sizes[s] / (taken[s] + 1))] += 1
    return taken


def _draw(seed: int, stratum: str, item: str) -> str:
    """Place of an item in the seeded order."""
    return hashlib.sha256(f"{seed}\0{stratum}\0{item}".encode()).hexdigest()
