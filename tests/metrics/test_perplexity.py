from __future__ import annotations

import math

import pytest

from qbench.metrics.perplexity import bits, perplexity


def test_a_uniform_model_has_the_size_of_its_vocabulary() -> None:
    assert perplexity(7 * math.log(50), 7) == pytest.approx(50)
    assert perplexity(1e6, 1) == math.inf
    assert bits(8 * math.log(2)) == pytest.approx(8)
