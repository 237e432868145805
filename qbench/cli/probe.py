"""Short measurements that turn counts into seconds, for a recipe that was not loaded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from qbench import core
from qbench.engine.cost import Rates
from qbench.models import DecoderSpec, read_config
from qbench.models.checkpoint import Weight
from qbench.quant.floats import convert
from qbench.quant.load import kv_format_of
from qbench.quant.loading import is_quantized, saved_recipe
from qbench.quant.quantize import quantize_tensor, stored_recipe
from qbench.quant.recipe import Recipe

SIDE, TOKENS, PROMPT, TRIALS = 1024, 256, 512, 5


def wanted_recipe(text: str | None, spec: DecoderSpec, folder: Path) -> Recipe:
    """Return the recipe under which a folder would be loaded."""
    if text is not None:
        recipe = Recipe.parse(text)
        if recipe.method != "as-is":
            return recipe
    config = read_config(folder)
    return saved_recipe(config, str(folder)) if is_quantized(config) else stored_recipe(spec)


def kv_page_bytes(spec: DecoderSpec, recipe: Recipe, mode: str) -> int:
    """Bytes of a page of the cache."""
    shape = (spec.n_layers, spec.n_kv_heads, spec.head_dim)
    return core.Cache(kv_format_of(recipe, mode), *shape, 1).page_bytes


def rates_of(spec: DecoderSpec, recipe: Recipe, mode: str, threads: int) -> Rates:
    """Measure products and attention (milliseconds each) and reading (a second, once)."""
    kv_format = kv_format_of(recipe, mode)
    heads = (spec.n_heads, spec.n_kv_heads, spec.head_dim)
    return Rates(
        _products(recipe.canonical, mode, threads),
        _attention(heads, kv_format, mode, threads),
        _read(threads),
    )


@lru_cache
def _products(recipe: str, mode: str, threads: int) -> float:
    values = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)
    parsed = Recipe.parse(recipe)
    if parsed.is_dense:
        weight = convert(Weight(values, "f32"), parsed.method, "probe")
        tensor = core.PackedTensor.from_dense(weight.array, weight.dtype)
    else:
        tensor = quantize_tensor(values, parsed).pack()
    best = min(
        core.time_products([[tensor]], TOKENS, mode=mode, threads=threads) for _ in range(TRIALS)
    )
    return SIDE * SIDE * TOKENS / best * 1e-9


@lru_cache
def _attention(heads: tuple[int, int, int], kv_format: str, mode: str, threads: int) -> float:
    best = min(
        core.time_attention(PROMPT, *heads, kv_format=kv_format, mode=mode, threads=threads)
        for _ in range(TRIALS)
    )
    return heads[0] * heads[2] * PROMPT * (PROMPT + 1) / best * 1e-9


@lru_cache
def _read(threads: int) -> float:
    return core.measure_peaks(threads).read_gbs
