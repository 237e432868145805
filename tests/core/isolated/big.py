"""A decoder of many layers that share one layer's weights: much work, little memory."""

from __future__ import annotations

import numpy as np
from core.builders import Built, Shape, pack_float

from qbench import core


def big(n_layers: int = 64, hidden: int = 256, context: int = 2048) -> Built:
    rng = np.random.default_rng(0)

    def dense(rows: int, columns: int) -> object:
        return pack_float("f32", rng.normal(size=(rows, columns)) / np.sqrt(columns)).tensor.raw

    shape = Shape(n_layers=n_layers, n_heads=4, n_kv_heads=2, head_dim=hidden // 4, hidden=hidden,
                  intermediate=3 * hidden, vocab=500, context=context)  # fmt: skip
    ones, half, wide = np.ones(hidden, np.float32), hidden // 2, 3 * hidden
    layer = (ones, dense(hidden, hidden), dense(half, hidden), dense(half, hidden),
             dense(hidden, hidden), ones, dense(wide, hidden), dense(wide, hidden),
             dense(hidden, wide))  # fmt: skip
    embedding = dense(shape.vocab, hidden)
    decoder = core.RawDecoder(
        wide, 4, 2, shape.head_dim, context, 1e-5, shape.rope.inv_freq(shape.head_dim),
        embedding, embedding, ones, (layer,) * n_layers, "exact",
    )  # type: ignore[arg-type]  # fmt: skip
    return Built(decoder, {}, shape)
