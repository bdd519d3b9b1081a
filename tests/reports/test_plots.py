"""Plots are elements of the page: its colours, its fonts, ids of their own."""

import math
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from textenv.reports.plots import DASHES, Series, curves, histogram, plane

SVG = "{http://www.w3.org/2000/svg}"


def paths(svg: str, colour: str, clipped: bool = True) -> list[ElementTree.Element]:
    """List the lines of a colour; those of the data are clipped to the axes."""
    found = [path for path in ElementTree.fromstring(svg).iter(f"{SVG}path") if f"stroke: {colour};" in path.get("style", "")]
    return [path for path in found if ("clip-path" in path.attrib) is clipped]


def points(path: ElementTree.Element) -> list[tuple[float, float]]:
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.get("d", ""))]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_a_line_is_where_its_numbers_are() -> None:
    svg = curves("a", [Series(0, [0, 10, 20], [1, 3, 2])], "episodes")
    (line,) = paths(svg, "var(--series-0)")
    (x0, y0), (x1, y1), (x2, y2) = points(line)
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y0 - y1 == pytest.approx(2 * (y2 - y1))  # y counts downwards
    assert y1 < y2 < y0
    assert "stroke-dasharray" not in line.get("style", "")


def test_lines_differ_by_colour_and_by_dashes() -> None:
    n = 10  # more than there are colours
    svg = curves("a", [Series(i, [0, 1], [i, i]) for i in range(n)], "episodes")
    lines = {i: paths(svg, f"var(--series-{i})") for i in range(8)}
    assert [len(found) for found in lines.values()] == [2, 2, 1, 1, 1, 1, 1, 1]
    styles = [re.findall(r"stroke-dasharray: ([^;]*);", lines[i][0].get("style", "")) for i in range(4)]
    assert [[float(length) for length in style[0].split(",")] if style else [] for style in styles] == [
        [float(length) for length in dashes.split()] for dashes in DASHES
    ]
    assert not re.findall(r"#[0-9a-f]{6}\b", svg), "colours that the page does not know"
    assert "currentColor" in svg


def test_what_is_not_a_number_is_a_gap() -> None:
    svg = curves("a", [Series(0, [0, 1, 2, 3, 4], [1, 2, math.nan, 2, 1])], "episodes")
    (line,) = paths(svg, "var(--series-0)")
    assert line.get("d", "").count("M") == 2


def test_measurements_are_points_with_errors() -> None:
    svg = curves("a", [Series(1, [0, 10], [1.0, 2.0], [0.25, 0.5])], "episodes")
    first, second = paths(svg, "var(--series-1)")
    heights = [abs(top - bottom) for (_, bottom), (_, top) in map(points, (first, second))]
    assert heights[1] == pytest.approx(2 * heights[0])
    assert not [path for path in paths(svg, "var(--series-1)") if len({x for x, _ in points(path)}) > 1], "they are joined by a line"


def test_a_histogram_shows_both_in_common_bins() -> None:
    svg = histogram("h", [0.0] * 30 + [1.0] * 10, [1.0] * 20, 2, "score")
    (before,) = paths(svg, "currentColor")[-1:]
    outline = points(before)
    base, top = max(y for _, y in outline), min(y for _, y in outline)
    left, right = min(outline)[0], max(outline)[0]
    heights = {round((x - left) / (right - left), 3): base - y for x, y in outline if y < base}
    assert max(heights.values()) == pytest.approx(base - top)
    assert heights[1.0] == pytest.approx((base - top) / 3)
    (after,) = [path for path in ElementTree.fromstring(svg).iter(f"{SVG}path") if "fill: var(--series-2)" in path.get("style", "")]
    edges = [sorted({x for x, _ in points(path)}) for path in (before, after)]
    assert edges[0] == pytest.approx(edges[1])
    assert len(edges[0]) == 31
    assert base - min(y for _, y in points(after)) == pytest.approx((base - top) * 2 / 3)
    assert min(x for x, y in points(after) if y < base - 1) > (left + right) / 2


def test_a_plane_shows_score_above_judge_and_fills_the_judges_best() -> None:
    distance = [0, 1, 2]
    svg = plane("p", [Series(1, distance, [1, 2, 3], [0.1] * 3)], [Series(1, distance, [4, 6, 5], [0.1] * 3)], "distance")
    lines = [path for path in paths(svg, "var(--series-1)") if len({x for x, _ in points(path)}) == 3]
    (score, judge), labels = [points(line) for line in lines], [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert [x for x, _ in score] == pytest.approx([x for x, _ in judge])
    assert score[0][1] > score[1][1] > score[2][1]  # y counts downwards
    assert judge[0][1] > judge[2][1] > judge[1][1]
    assert max(y for _, y in score) < min(y for _, y in judge)
    assert {"score", "judge", "distance"} <= set(labels)
    uses = [use for use in ElementTree.fromstring(svg).iter(f"{SVG}use") if "fill: var(--series-1)" in use.get("style", "")]
    drawn = [(float(use.get("x", "")), float(use.get("y", ""))) for use in uses]
    assert [drawn.count(point) for point in judge] == [0, 1, 0]  # only the best is filled; the others are the ends of errors


def test_equal_scores_have_a_histogram() -> None:
    assert histogram("h", np.zeros(4), np.zeros(4), 0, "score").startswith("<svg")


def test_plots_of_one_page_do_not_get_into_each_others_way() -> None:
    lines = [Series(0, [0, 1], [0, 1]), Series(0, [0, 1], [0, 1], [0.1, 0.1])]
    one, two = (curves(name, lines, "episodes") for name in "ab")
    ids = [set(re.findall(r' id="([^"]*)"', svg)) for svg in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, known in zip((one, two), ids, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]*)', svg)) == known
    assert one == curves("a", lines, "episodes"), "the same twice"


def test_texts_are_texts_of_the_page() -> None:
    root = ElementTree.fromstring(curves("a", [Series(0, [0, 1], [0, 1])], "episodes"))
    assert "episodes" in [text.text for text in root.iter(f"{SVG}text")]
    assert not [text for text in root.iter(f"{SVG}text") if "font-family" in text.get("style", "")]
    assert "viewBox" in root.attrib
    assert not {"width", "height"} & set(root.attrib)
    assert not list(root.iter(f"{SVG}style"))


def test_nobody_elses_plots_change() -> None:
    code = """
import sys, matplotlib
from textenv.reports.plots import Series, curves
def settings():  # asking for the backend would choose one, which imports pyplot
    return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}
before = settings()
curves("a", [Series(0, [0, 1], [0, 1])], "episodes")
print(settings() == before, "matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"], done.stderr
