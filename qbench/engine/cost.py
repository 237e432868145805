"""Seconds that a rehearsed piece of work would take at a measured rates.

A forward is bound by its products or by reading the weights, whichever takes longer; attention
comes on top. It measures nothing itself.
"""

from __future__ import annotations

from typing import NamedTuple

from qbench.engine.tally import Tally
from qbench.models import LINEAR_SLOTS, DecoderSpec, tensor_slots


class Rates(NamedTuple):
    """What a machine gives for a recipe and a mode.

    ``products_gmacs`` and ``attention_gmacs`` in 1e9 multiply-accumulates a second, ``read_gbs`` in
    1e9 bytes a second.
    """

    products_gmacs: float
    attention_gmacs: float
    read_gbs: float


def linear_products(spec: DecoderSpec) -> int:
    """Multiply-accumulates of a token in the linear layers and the experts that it goes to."""
    slots = [slot for slot in tensor_slots(spec) if slot.slot in LINEAR_SLOTS]
    if spec.experts is None:
        return sum(slot.size for slot in slots)
    share = spec.experts.active / spec.experts.count
    mixed = sum(slot.size for slot in slots if slot.expert >= 0)
    return int(sum(slot.size for slot in slots) - mixed + mixed * share)


def attention_products(spec: DecoderSpec, keys: int) -> int:
    """Multiply-accumulates of so many pairs of query and key, in all heads and layers."""
    return spec.n_layers * spec.n_heads * (spec.head_dim + spec.value_dim) * keys


def seconds_of(tally: Tally, spec: DecoderSpec, weight_bytes: int, rates: Rates) -> float:
    """Return the seconds of all forwards of a tally.

    Parameters
    ----------
    tally : Tally
    spec : DecoderSpec
    weight_bytes : int
        Bytes that a forward reads; the embedding may count, it is small beside the rest.
    rates : Rates
    """
    linear, head = linear_products(spec), spec.vocab_size * spec.hidden_size
    reading = weight_bytes / (rates.read_gbs * 1e9)
    total = attention_products(spec, tally.keys) / (rates.attention_gmacs * 1e9)
    for (tokens, rows), times in tally.forwards.items():
        products = (tokens * linear + rows * head) / (rates.products_gmacs * 1e9)
        total += times * max(products, reading)
    return total
