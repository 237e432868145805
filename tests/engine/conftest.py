"""Models that the tests of the engine share: loaded once, and empty after every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine.builders import sequences_alive

from qbench.engine import Model
from qbench.quant.load import load

_loaded: dict[tuple[Any, ...], Model] = {}
_used: list[Model] = []


@pytest.fixture
def loaded() -> Callable[..., Model]:
    """Return a cached `load` whose models have their usual limits, and one thread."""

    def get(path: Path, recipe: str | None = None, **settings: Any) -> Model:
        settings.setdefault("threads", 1)
        key = (path, recipe, *sorted(settings.items()))
        if key not in _loaded:
            _loaded[key] = load(path, recipe, **settings)
            # A test that asks for two threads means two, however small the model.
            _loaded[key]._runtime.products_per_thread = 0.0
        model = _loaded[key]
        model.batch_tokens, model.batch_sequences = 2048, None
        _used.append(model)
        return model

    return get


@pytest.fixture
def model(loaded: Callable[..., Model], tiny_model: Path) -> Model:
    """Return the test model in 4 bits, on one thread."""
    return loaded(tiny_model, "rtn-w4g32", threads=1)


@pytest.fixture(autouse=True)
def nothing_stays_in_the_cache() -> Iterator[None]:
    """Require every model that a test used to hold no page and no sequence afterwards."""
    _used.clear()
    yield
    for model in _used:
        assert model._runtime.cache.pages_used == 0
        assert model._runtime.kept == {}
        assert sequences_alive(model) == []
