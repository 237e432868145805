"""The drawing: well-formed, marks where the numbers say, nothing from outside unescaped."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest
from report.builders import HOSTILE, MODELS, results

from qbench.report import svg
from qbench.report.points import Estimate, Panel, Point, tradeoff_panels

NS = "{http://www.w3.org/2000/svg}"


def panel(*xy: tuple[float, float], chance: float | None = None, name: str = "m") -> Panel:
    points = tuple(
        Point(
            name, f"rtn-w{i}", "rtn", Estimate(x, x * 0.9, x * 1.1), Estimate(y, None, None), False
        )
        for i, (x, y) in enumerate(xy)
    )
    return Panel("x", "y", chance, points)


def draw(drawn: Panel) -> ElementTree.Element:
    models = list(dict.fromkeys(p.model for p in drawn.points))
    methods = list(dict.fromkeys(p.method for p in drawn.points))
    return ElementTree.fromstring(svg.scatter(drawn, models, methods))


def centres(root: ElementTree.Element) -> list[tuple[float, float]]:
    found = []
    for mark in root.iter(f"{NS}circle"):
        found.append((float(mark.attrib["cx"]), float(mark.attrib["cy"])))
    return found


def test_marks_stand_where_the_logarithm_says() -> None:
    spots = centres(draw(panel((10, 0.3), (100, 0.4), (1000, 0.5), (31.6227766, 0.45))))
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = spots
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2) and x3 == pytest.approx(
        (x0 + x1) / 2, abs=0.2
    )
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2) and y3 == pytest.approx(
        (y1 + y2) / 2, abs=0.2
    )
    assert y0 > y1 > y2  # more accurate is higher up


def test_ticks_agree_with_marks() -> None:
    root = draw(panel((10, 0.3), (1000, 0.5)))
    ticks = {
        t.text: float(t.attrib["x"]) for t in root.iter(f"{NS}text") if t.attrib["class"] == "tick"
    }
    (x10, _), (x1000, _) = centres(root)
    assert ticks["10"] == pytest.approx(x10, abs=0.1)
    assert ticks["1k"] == pytest.approx(x1000, abs=0.1)


def test_all_panels_are_well_formed_and_inside() -> None:
    for drawn in tradeoff_panels(results().rows()):
        root = ElementTree.fromstring(svg.scatter(drawn, MODELS, ("f32", "rtn")))
        for element in root.iter():
            for name in ("x", "cx", "x1", "x2"):
                assert 0 <= float(element.attrib.get(name, 0)) <= svg.WIDTH
            for name in ("y", "cy", "y1", "y2"):
                assert 0 <= float(element.attrib.get(name, 0)) <= svg.HEIGHT


def test_labels_do_not_overlap() -> None:
    crowd = panel(*((10 * 1.02**i, 0.3 + 0.001 * (i % 5)) for i in range(60)), chance=0.3)
    boxes = []
    for text in draw(crowd).iter(f"{NS}text"):
        if not text.attrib["class"].startswith("label"):
            continue
        width = svg.LABEL_ADVANCE * len(text.text or "")
        anchor = text.attrib["class"].split()[1]
        left = float(text.attrib["x"]) - {"start": 0, "middle": width / 2, "end": width}[anchor]
        boxes.append((left, float(text.attrib["y"]), left + width))
    assert 0 < len(boxes) < 60
    for (left, y, right), (left2, y2, right2) in combinations(boxes, 2):
        assert right <= left2 + 0.2 or right2 <= left + 0.2 or abs(y - y2) >= svg.LABEL_HEIGHT - 0.2


def test_hostile_names_stay_text() -> None:
    text = svg.scatter(panel((10, 0.3), name=HOSTILE), [HOSTILE], ["rtn"])
    root = ElementTree.fromstring(text)
    assert {element.tag for element in root.iter()} <= {
        NS + tag for tag in ("svg", "g", "line", "polyline", "circle", "polygon", "text", "title")
    }
    title = root.find(f".//{NS}title")
    assert title is not None and "</script><img src=x onerror=alert(1)>\\u202e\\u001b" in (
        title.text or ""
    )


def test_every_shape_is_drawn_and_differs() -> None:
    drawn = {re.sub(r"[cx]\w*=", "", svg.legend_key(0, i)) for i in range(len(svg.SHAPES))}
    assert len(drawn) == len(svg.SHAPES)
    assert svg.legend_key(0, 0) == svg.legend_key(svg.N_COLOURS, len(svg.SHAPES))
