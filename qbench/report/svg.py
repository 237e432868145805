"""The scatter of the HTML page as SVG text: no library, no numbers that depend on the machine.

Colours are classes (`c0` … `c6`), which the page's style sheet fills in for light and dark; a model
is a colour *and* a line, a method is a shape, so that nothing depends on colour alone. Every piece
of outside text is escaped here, once, by `_text`.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from qbench.report.axes import Axis, fit, number
from qbench.report.points import Estimate, Panel, Point
from qbench.report.text import made_visible

WIDTH, HEIGHT = 560, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 16, 52
N_COLOURS = 7
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "wedge")
RADIUS = 5.0
# Mean advance of the label font at 11 px, measured in a browser; used only to avoid overlaps.
LABEL_ADVANCE, LABEL_HEIGHT = 6.2, 12.0
# Where a label may stand beside its mark, best first: (right, down, text anchor).
LABEL_PLACES = ((9, 4, "start"), (0, -9, "middle"), (0, 18, "middle"), (-9, 4, "end"))


class _Box(NamedTuple):
    """A rectangle that is taken on the canvas."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        """Say whether two rectangles share area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def scatter(panel: Panel, models: Sequence[str], methods: Sequence[str]) -> str:
    """Draw one panel: perplexity on a logarithmic axis, accuracy in percent.

    Parameters
    ----------
    panel
        The points.
    models, methods
        All models and methods of the report, so that colours and shapes agree between panels.

    Returns
    -------
    str
        An `<svg>` element with a title for readers that cannot see it.
    """
    # Accuracies are shown with all their noise. Perplexities are placed by value alone: those of a
    # model that fell apart can span decades and would crush the others.
    xs = [point.x.value for point in panel.points]
    ys = [
        100.0 * y
        for point in panel.points
        for y in (point.y.value, point.y.low, point.y.high, panel.chance)
        if y is not None
    ]
    x_axis = fit(xs, LEFT, WIDTH - RIGHT, log=True)
    y_axis = fit(ys, HEIGHT - BOTTOM, TOP, margin=0.06)
    title = f"{panel.y_label} against {panel.x_label}"
    x_name = panel.x_label.partition(" · ")[0]
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{_text(title)}" xmlns="http://www.w3.org/2000/svg">',
        *_grid(x_axis, y_axis, panel),
        *_lines(panel, models, x_axis, y_axis),
        *(
            _point(p, x_name, models.index(p.model), methods.index(p.method), x_axis, y_axis)
            for p in panel.points
        ),
        *_labels(panel, x_axis, y_axis),
        "</svg>",
    ]
    return "\n".join(parts)


def legend_key(colour: int, shape: int) -> str:
    """Draw one entry's mark for the legend: a shape in a model's colour, or -1 for neutral ink."""
    return (
        '<svg class="key" viewBox="0 0 14 14" aria-hidden="true">'
        f'<g class="{_colour(colour)}">{_shape(shape, 7.0, 7.0, False)}</g></svg>'
    )


def _text(text: str) -> str:
    """Escape outside text for element content and quoted attributes."""
    return escape(made_visible(text, 200), quote=True)


def _colour(index: int) -> str:
    """Class of a model's colour; models beyond the palette start it again."""
    return "ink" if index < 0 else f"c{index % N_COLOURS}"


def _px(value: float) -> str:
    """Write a coordinate with one decimal, so that output is the same everywhere."""
    return f"{value + 0.0:.1f}"


def _grid(x_axis: Axis, y_axis: Axis, panel: Panel) -> list[str]:
    """Grid lines, tick labels, axis labels, and the line of guessing."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for tick in x_axis.ticks():
        x = _px(x_axis.place(tick))
        parts.append(f'<line class="grid" x1="{x}" y1="{TOP}" x2="{x}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x}" y="{bottom + 16}">{number(tick)}</text>')
    for tick in y_axis.ticks():
        y = _px(y_axis.place(tick))
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{right}" y2="{y}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 8}" y="{y}" dy="4">{number(tick)}</text>')
    if panel.chance is not None:
        y = _px(y_axis.place(100.0 * panel.chance))
        parts.append(f'<line class="chance" x1="{LEFT}" y1="{y}" x2="{right}" y2="{y}"/>')
        parts.append(f'<text class="small start" x="{LEFT + 4}" y="{y}" dy="-4">chance</text>')
    centre, middle = (LEFT + right) / 2, (TOP + bottom) / 2
    parts.append(f'<text class="axis" x="{centre}" y="{HEIGHT - 12}">{_text(panel.x_label)}</text>')
    parts.append(
        f'<text class="axis" transform="translate(16 {middle}) rotate(-90)">'
        f"{_text(panel.y_label)}, %</text>"
    )
    return parts


def _lines(panel: Panel, models: Sequence[str], x_axis: Axis, y_axis: Axis) -> list[str]:
    """One line per model through its points, from the lowest perplexity to the highest."""
    parts = []
    for index, model in enumerate(models):
        own = sorted((p.x.value, p.y.value) for p in panel.points if p.model == model)
        if len(own) > 1:
            path = " ".join(f"{_px(x_axis.place(x))},{_px(y_axis.place(100 * y))}" for x, y in own)
            parts.append(f'<polyline class="trend {_colour(index)}" points="{path}"/>')
    return parts


def _point(point: Point, x_name: str, colour: int, shape: int, x_axis: Axis, y_axis: Axis) -> str:
    """One mark with its two intervals and a tooltip; hollow where it cannot be told from chance."""
    x, y = x_axis.place(point.x.value), y_axis.place(100.0 * point.y.value)
    bars = []
    if point.y.low is not None and point.y.high is not None:
        top, bottom = y_axis.place(100.0 * point.y.high), y_axis.place(100.0 * point.y.low)
        bars.append(
            f'<line class="bar" x1="{_px(x)}" y1="{_px(top)}" x2="{_px(x)}" y2="{_px(bottom)}"/>'
        )
    if point.x.low is not None and point.x.high is not None and point.x.low > 0:
        left, right = x_axis.place(point.x.low), x_axis.place(point.x.high)
        bars.append(
            f'<line class="bar" x1="{_px(left)}" y1="{_px(y)}" x2="{_px(right)}" y2="{_px(y)}"/>'
        )
    chance = "\nnot told from chance" if point.at_chance else ""
    tip = (
        f"{point.model}\n{point.recipe}\n{x_name} {_written(point.x, 1.0, '')}\n"
        f"accuracy {_written(point.y, 100.0, ' %')}{chance}"
    )
    return (
        f'<g class="point {_colour(colour)}" tabindex="0"><title>{_text(tip)}</title>'
        f"{''.join(bars)}{_shape(shape, x, y, point.at_chance)}</g>"
    )


def _written(estimate: Estimate, factor: float, unit: str) -> str:
    """Write an estimate with its interval, four digits each."""
    value = f"{factor * estimate.value:.4g}{unit}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{factor * estimate.low:.4g}, {factor * estimate.high:.4g}]"


def _shape(index: int, x: float, y: float, hollow: bool) -> str:
    """One mark around a centre."""
    kind = "mark hollow" if hollow else "mark"
    name, r = SHAPES[index % len(SHAPES)], RADIUS
    if name == "circle":
        return f'<circle class="{kind}" cx="{_px(x)}" cy="{_px(y)}" r="{_px(r)}"/>'
    corners = {
        "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        "triangle": ((0, -1.2), (1.1, 0.9), (-1.1, 0.9)),
        "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        "wedge": ((0, 1.2), (1.1, -0.9), (-1.1, -0.9)),
        "cross": (
            *((-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4)),
            *((0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4)),
        ),
    }[name]
    path = " ".join(f"{_px(x + r * dx)},{_px(y + r * dy)}" for dx, dy in corners)
    return f'<polygon class="{kind}" points="{path}"/>'


def _labels(panel: Panel, x_axis: Axis, y_axis: Axis) -> list[str]:
    """Name points where there is room; the tooltip names the rest."""
    spots = [(x_axis.place(p.x.value), y_axis.place(100.0 * p.y.value)) for p in panel.points]
    taken = [_Box(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in spots]
    if panel.chance is not None:
        y = y_axis.place(100.0 * panel.chance)
        taken.append(_Box(LEFT, y - 4 - LABEL_HEIGHT, LEFT + 7 * LABEL_ADVANCE, y))
    parts = []
    for point, (x, y) in zip(panel.points, spots, strict=True):
        name = point.recipe if len(point.recipe) <= 18 else point.recipe[:17] + "…"
        width = LABEL_ADVANCE * len(name)
        for dx, dy, anchor in LABEL_PLACES:
            left = x + dx - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
            box = _Box(left, y + dy - LABEL_HEIGHT + 2, left + width, y + dy + 2)
            inside = box.left >= LEFT and box.right <= WIDTH - 2 and box.top >= TOP
            if inside and box.bottom <= HEIGHT - BOTTOM and not any(box.meets(t) for t in taken):
                taken.append(box)
                parts.append(
                    f'<text class="label {anchor}" x="{_px(x + dx)}" y="{_px(y + dy)}">'
                    f"{_text(name)}</text>"
                )
                break
    return parts
