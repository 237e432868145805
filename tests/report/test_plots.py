"""The matplotlib figure shows the same points as the page."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import pytest
from report.builders import MODELS, results

from qbench.errors import RequestError
from qbench.report.plots import tradeoff
from qbench.report.points import tradeoff_panels
from qbench.study.results import Results

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def _no_figure_is_left() -> Iterator[None]:
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def test_lines_and_marks_are_the_points() -> None:
    ax = tradeoff(results())
    (snli, _) = tradeoff_panels(results().rows())
    for model in MODELS:
        (line,) = (x for x in ax.get_lines() if x.get_label() == model)
        expected = sorted((p.x.value, 100 * p.y.value) for p in snli.points if p.model == model)
        assert [tuple(map(float, xy)) for xy in zip(*line.get_data(), strict=True)] == expected
    marks = {
        (float(x.get_xdata()[0]), float(x.get_ydata()[0]))
        for x in ax.get_lines()
        if len(x.get_xdata()) == 1
    }
    assert {(p.x.value, 100 * p.y.value) for p in snli.points} <= marks
    assert ax.get_xscale() == "log" and ax.get_ylabel() == "accuracy · snli:words@0, %"
    assert {text.get_text() for text in ax.texts} == {"f32", "rtn-w8g32", "rtn-w2g32"}


def test_the_axes_can_be_given_and_a_task_chosen() -> None:
    import matplotlib.pyplot as plt

    _, mine = plt.subplots()
    assert tradeoff(results(), mine, task="mmlu:lm-eval@0", labels=False) is mine
    assert mine.get_ylabel() == "accuracy · mmlu:lm-eval@0, %" and not mine.texts
    with pytest.raises(RequestError, match="there are: snli:words@0, mmlu:lm-eval@0"):
        tradeoff(results(), task="nope")
    with pytest.raises(RequestError, match="no perplexity and accuracy"):
        tradeoff(Results([]))


def test_names_are_no_mathematics() -> None:
    ax = tradeoff(results(models=("$x^2$", "a$b")))
    ax.figure.canvas.draw()  # a broken formula would raise here
    assert r"\$x^2\$" in ax.get_legend_handles_labels()[1]
