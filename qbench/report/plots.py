"""Figures for notebooks and papers, with matplotlib; each draws on the axes it is given.

No figure is shown, no global setting is touched, and matplotlib is imported when a plot is made,
because `import qbench` must not load it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.errors import RequestError
from qbench.report.axes import number
from qbench.report.points import Estimate, Panel, Point, tradeoff_panels
from qbench.report.text import made_visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from qbench.study.results import Results

# Okabe and Ito's palette, told apart with every common colour blindness; yellow is left out
# because it vanishes on white.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444b54")
MARKERS = ("o", "s", "^", "D", "P", "v")


def tradeoff(
    results: Results, ax: Axes | None = None, *, task: str | None = None, labels: bool = True
) -> Axes:
    """Draw perplexity against accuracy: a colour and line per model, a marker per method.

    Parameters
    ----------
    results
        Scores with at least one perplexity and one accuracy of the same model and recipe.
    ax
        Where to draw; None makes a new figure.
    task
        The accuracy task, such as `snli:words@0`; None takes the first.
    labels
        Write the recipe beside each point.

    Returns
    -------
    Axes
        Perplexity on a logarithmic axis, accuracy in percent, 95 % intervals as bars. Points that
        cannot be told from guessing are hollow.

    Raises
    ------
    RequestError
        There is no such pair of scores.
    """
    panel = _choose(tradeoff_panels(results.rows()), task)
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots()[1]
    models = list(dict.fromkeys(point.model for point in panel.points))
    methods = list(dict.fromkeys(point.method for point in panel.points))
    for index, model in enumerate(models):
        own = sorted((p for p in panel.points if p.model == model), key=lambda p: p.x.value)
        colour = PALETTE[index % len(PALETTE)]
        xs = [p.x.value for p in own]
        ys = [100.0 * p.y.value for p in own]
        ax.plot(xs, ys, color=colour, alpha=0.4, linewidth=1, label=_literal(model))
        for point in own:
            _mark(ax, point, colour, MARKERS[methods.index(point.method) % len(MARKERS)], labels)
    if panel.chance is not None:
        ax.axhline(100.0 * panel.chance, color="0.5", linestyle="--", linewidth=1, label="chance")
    ax.set_xscale("log")
    _plain_ticks(ax)
    ax.set_xlabel(panel.x_label)
    ax.set_ylabel(f"{panel.y_label}, %")
    for method in methods:
        marker = MARKERS[methods.index(method) % len(MARKERS)]
        ax.plot([], [], color="0.3", marker=marker, linestyle="none", label=method)
    ax.legend(frameon=False, fontsize="small")
    return ax


def _choose(panels: tuple[Panel, ...], task: str | None) -> Panel:
    """Return the panel of a task, or the first."""
    if not panels:
        raise RequestError("no perplexity and accuracy of one model and recipe in these results")
    if task is None:
        return panels[0]
    found = [panel for panel in panels if panel.y_label.endswith(f"· {task}")]
    if not found:
        known = ", ".join(dict.fromkeys(panel.y_label.rpartition("· ")[2] for panel in panels))
        raise RequestError(f"no accuracy of {task!r} beside a perplexity; there are: {known}")
    return found[0]


def _mark(ax: Axes, point: Point, colour: str, marker: str, label: bool) -> None:
    """Draw one point with its intervals and its name."""
    ax.errorbar(
        [point.x.value],
        [100.0 * point.y.value],
        xerr=_reach(point.x, 1.0),
        yerr=_reach(point.y, 100.0),
        color=colour,
        marker=marker,
        markerfacecolor=ax.get_facecolor() if point.at_chance else colour,
        linestyle="none",
        elinewidth=1,
        alpha=0.9,
    )
    if label:
        ax.annotate(
            _literal(point.recipe),
            (point.x.value, 100.0 * point.y.value),
            textcoords="offset points",
            xytext=(6, 4),
            fontsize="x-small",
        )


def _plain_ticks(ax: Axes) -> None:
    """Write 20 and 1k on the logarithmic axis, not powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _literal(text: str) -> str:
    """Keep matplotlib from reading dollar signs of a name as mathematics."""
    return made_visible(text).replace("$", r"\$")


def _reach(estimate: Estimate, factor: float) -> list[list[float]] | None:
    """Distances to both ends of an interval, as `errorbar` wants them."""
    if estimate.low is None or estimate.high is None:
        return None
    below, above = estimate.value - estimate.low, estimate.high - estimate.value
    return [[max(0.0, factor * below)], [max(0.0, factor * above)]]
