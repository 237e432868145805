"""How numbers are written, case by case."""

from __future__ import annotations

import pytest

from qbench.report import numbers


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("acc", 0.345, "34.5 %"), ("acc", 0.0, "0.0 %"), ("acc", 1.0, "100.0 %"),
        ("acc", None, "–"), ("ppl", 12.3456, "12.35"), ("ppl", 5.0, "5.000"),
        ("ppl", 999.96, "1000"), ("ppl", 123456.7, "123457"), ("ppl", 3.2e9, "3.200e+09"),
        ("bits_per_byte", 0.98765, "0.9877"), ("bits_per_byte", 0.0, "0.000"),
    ],
)  # fmt: skip
def test_values(metric: str, value: float | None, text: str) -> None:
    assert numbers.value(metric, value) == text


@pytest.mark.parametrize(
    ("metric", "delta", "text"),
    [
        ("acc", -0.015, "−1.5 points"), ("acc", 0.0204, "+2.0 points"),
        ("acc", -0.0001, "0.0 points"), ("ppl", 0.00512, "+0.0051 ln"),
        ("ppl", -0.25, "−0.2500 ln"), ("ppl", 0.00001, "+1e-05 ln"),
        ("bits_per_byte", 0.0123, "+0.0123"),
        ("ppl", 0.0, "0.0000 ln"), ("ppl", -0.00004, "−4e-05 ln"), ("acc", None, "–"),
    ],
)  # fmt: skip
def test_changes(metric: str, delta: float | None, text: str) -> None:
    assert numbers.change_with_unit(metric, delta) == text


def test_intervals() -> None:
    assert numbers.interval("acc", 0.31, 0.379) == "[31.0, 37.9]"
    assert numbers.interval("ppl", 4.0, None) == ""
    assert numbers.change_interval("acc", -0.04, 0.01) == "[−4.0, +1.0]"
    assert numbers.change_interval("ppl", None, None) == ""


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.0004, "<0.1 %"), (0.025, "2.5 %"), (1.0, "100.0 %")]
)
def test_a_share_that_is_there_never_reads_as_zero(share: float, text: str) -> None:
    assert numbers.share(share) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 40, "3.0 TiB")]
)
def test_sizes(n_bytes: int, text: str) -> None:
    assert numbers.size(n_bytes) == text


def test_p_values_and_counts() -> None:
    assert [numbers.p_value(p) for p in (None, 0.0004, 0.05, 1.0)] == [
        "",
        "<0.001",
        "0.050",
        "1.000",
    ]
    assert [numbers.count(n) for n in (None, 0, 12)] == ["–", "0", "12"]
    assert [numbers.bits(b) for b in (None, 4.638)] == ["–", "4.64"]
