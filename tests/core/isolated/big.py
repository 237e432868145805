"""A decoder of many layers that share one layer's weights: much work, little memory."""

from __future__ import annotations

import numpy as np
from core.builders import Built, Shape, pack_float

from qbench import core
from qbench.engine.weights import core_spec


def big(n_layers: int = 64, hidden: int = 256, context: int = 2048) -> Built:
    rng = np.random.default_rng(0)

    def dense(rows: int, columns: int) -> object:
        return pack_float("f32", rng.normal(size=(rows, columns)) / np.sqrt(columns)).tensor.raw

    shape = Shape(n_layers=n_layers, n_heads=4, n_kv_heads=2, head_dim=hidden // 4, hidden=hidden,
                  intermediate=3 * hidden, vocab=500, context=context)  # fmt: skip
    ones, half, wide = np.ones(hidden, np.float32), hidden // 2, 3 * hidden
    layer = {"attn_norm": ones, "q": dense(hidden, hidden), "k": dense(half, hidden),
             "v": dense(half, hidden), "o": dense(hidden, hidden), "mlp_norm": ones,
             "gate": dense(wide, hidden), "up": dense(wide, hidden), "down": dense(hidden, wide),
             "rotation": 0}  # fmt: skip
    embedding = dense(shape.vocab, hidden)
    model = {"embedding": embedding, "head": embedding, "final_norm": ones}
    spec = shape.spec
    decoder = core.RawDecoder(
        core_spec(spec), model, (layer,) * n_layers, spec.rotations(), "exact"
    )
    return Built(decoder, {}, shape)
