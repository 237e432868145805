"""The least work of a job, against sums done by hand."""

from __future__ import annotations

import pytest
from engine.builders import arrays, from_memory

from qbench.core import Peaks
from qbench.engine import work
from qbench.engine.work import Work

# The builders' decoder: per layer q and o 40 × 40, k and v 20 × 40, gate, up and down 51 × 40; two
# layers of 10,920 weights; a head of 37 × 40; 2 layers · 4 heads · 10 values.
LINEARS, HEAD, ATTENTION = 21_840, 1_480, 80


def test_products_by_hand() -> None:
    model = from_memory(*arrays(), recipe="rtn-w4g32")
    assert work.prefill(model, 5).macs == {
        "int": 5 * LINEARS, "float": HEAD, "bf16": ATTENTION * 5 * 6,
    }  # fmt: skip
    # One key for the first token and five for the last, each for scores and for sums.
    assert ATTENTION * 5 * 6 == 2 * ATTENTION * (1 + 2 + 3 + 4 + 5)
    decode = work.decode(model, 5, 3)
    assert decode.macs == {
        "int": 327_600, "float": 22_200, "bf16": 7_200,
    }  # fmt: skip
    assert (work.prefill(model, 5).n_tokens, decode.n_tokens) == (5, 15)
    assert decode.total_macs == 357_000


@pytest.mark.parametrize(
    ("recipe", "mode", "macs"),
    [
        ("f32", "faithful", {"float": 5 * LINEARS + HEAD, "bf16": 2_400}),
        ("f16", "faithful", {"bf16": 5 * LINEARS + HEAD + 2_400}),
        ("bf16", "fast", {"bf16": 5 * LINEARS + HEAD + 2_400}),
        ("bf16+kv32", "fast", {"bf16": 5 * LINEARS + HEAD, "float": 2_400}),
        ("rtn-w8g32+head8", "fast", {"int": 5 * LINEARS + HEAD, "bf16": 2_400}),
        ("rtn-w4g32+kv16", "exact", {"float": 5 * LINEARS + HEAD + 2_400}),
    ],
)
def test_the_type_of_products(recipe: str, mode: str, macs: dict[str, int]) -> None:
    model = from_memory(*arrays(), recipe=recipe, mode=mode)
    assert work.prefill(model, 5).macs == macs


def test_weights_are_read_once_a_forward() -> None:
    model = from_memory(*arrays(), recipe="f32")
    # Rows are padded to 32: q, o, gate, up 64 × 40, k, v 32 × 40, down 64 × 51, the head 64 × 40.
    linears, head = 2 * 16_064 * 4, 2_560 * 4
    assert work.decode(model, 5, 3).read_bytes == 5 * (linears + head)
    assert work.prefill(model, 5).read_bytes == linears + head
    model.batch_tokens = 2
    assert work.prefill(model, 5).read_bytes == 3 * linears + head


def test_a_tied_head_counts_and_the_embedding_does_not(model) -> None:
    spec = model.spec
    norms = 4 * spec.hidden_size * (2 * spec.n_layers + 1)
    assert spec.tied_head
    assert work.decode(model, 1, 1).read_bytes == model.memory["weights"] - norms


def test_each_type_at_its_own_peak() -> None:
    least = Work(1, {"int": 8 * 10**9, "float": 10**9, "bf16": 10**9}, 6 * 10**9)
    assert least.product_seconds(Peaks(16.0, 2.0, 4.0, 8.0)) == 0.5 + 0.5 + 0.25
    assert least.product_seconds(Peaks(16.0, 2.0, 0.0, 8.0)) == 0.5 + 0.5 + 0.5
    assert least.read_seconds(Peaks(16.0, 2.0, 4.0, 8.0)) == 0.75
