"""Plots as inline SVG that takes its colours and fonts from the page around it."""

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

COLOURS = 8
"""How many colours the page defines, as --series-0 and so on."""
DASHES = ("", "6 3", "2 2", "8 3 2 3")
"""How lines are told apart without colours, as `stroke-dasharray`."""

_WIDTH = 1.6
_INK = "#000100"  # matplotlib wants colours: these stand for the page's, which replace them in the SVG
_SERIES = [f"#0001{i + 1:02x}" for i in range(COLOURS)]


class Series(NamedTuple):
    """A line, or points of measurement.

    Shapes: n points.
    """

    style: int
    """Number of its colour and dashes."""
    x: ArrayLike
    """(n,)."""
    y: ArrayLike
    """(n,), NaN where there is none."""
    error: ArrayLike | None = None
    """(n,) standard errors; with them it is drawn as points of measurement, not as a line of training."""


def curves(name: str, series: Sequence[Series], xlabel: str) -> Markup:
    """Draw lines over each other.

    Args:
        name: of this plot within the page, so that ids in it are unique.
        series: the lines.
        xlabel: under the axis.

    Returns:
        An `<svg>` element.
    """
    figure = Figure(figsize=(3.7, 2.3), layout="constrained")
    axes = figure.add_subplot()
    for line in series:
        colour, dashes = _SERIES[line.style % COLOURS], _dashes(line.style)
        if line.error is None:
            marker = "o" if len(np.asarray(line.x)) < 20 else ""
            axes.plot(line.x, line.y, color=colour, linestyle=dashes, linewidth=_WIDTH, marker=marker, markersize=2.5)
        else:
            axes.errorbar(line.x, line.y, line.error, color=colour, fmt="D", markersize=5, markerfacecolor="none", capsize=3, linewidth=1.2)
    axes.set_xlabel(xlabel)
    axes.margins(x=0.03, y=0.08)
    _, right = axes.get_xlim()
    axes.set_xlim(-0.03 * right, right)
    return _svg(figure, name)


def plane(name: str, scores: Sequence[Series], judges: Sequence[Series], xlabel: str) -> Markup:
    """Draw scores above judges over one axis: paths in the order of their points, with errors, and the judge's best filled.

    Args:
        name: of this plot within the page, so that ids in it are unique.
        scores: of each run, with errors.
        judges: of each run, with errors.
        xlabel: under the axis.

    Returns:
        An `<svg>` element.
    """
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    for axes, paths, label in ((above, scores, "score"), (below, judges, "judge")):
        for path in paths:
            colour = _SERIES[path.style % COLOURS]
            line = {"color": colour, "linestyle": _dashes(path.style), "linewidth": _WIDTH, "marker": "o", "markersize": 3.5}
            axes.errorbar(path.x, path.y, path.error, **line, markerfacecolor="none", elinewidth=0.8, capsize=2)
        axes.set_ylabel(label)
    for path in judges:
        best = int(np.asarray(path.y).argmax())
        below.plot(np.asarray(path.x)[best], np.asarray(path.y)[best], "o", color=_SERIES[path.style % COLOURS], markersize=7)
    below.set_xlabel(xlabel)
    return _svg(figure, name)


def histogram(name: str, before: ArrayLike, after: ArrayLike, style: int, xlabel: str) -> Markup:
    """Draw two distributions over each other in common bins: the first hollow and dashed, the second filled.

    Args:
        name: of this plot within the page, so that ids in it are unique.
        before: numbers.
        after: numbers.
        style: number of the colour.
        xlabel: under the axis.

    Returns:
        An `<svg>` element.
    """
    figure = Figure(figsize=(4.6, 2.3), layout="constrained")
    axes = figure.add_subplot()
    bins = np.histogram_bin_edges(np.concatenate([np.asarray(before), np.asarray(after)]), bins=30)
    axes.hist(np.asarray(after), bins=bins.tolist(), histtype="stepfilled", color=_SERIES[style % COLOURS], alpha=0.55)
    axes.hist(np.asarray(before), bins=bins.tolist(), histtype="step", color=_INK, linestyle=(0, (3, 2)), linewidth=1.3)
    axes.set_xlabel(xlabel)
    axes.set_ylabel("episodes")
    return _svg(figure, name)


def _dashes(style: int) -> str | tuple[float, tuple[float, ...]]:
    """Give a line style as matplotlib does, which counts in line widths."""
    dashes = tuple(float(length) / _WIDTH for length in DASHES[style % len(DASHES)].split())
    return (0, dashes) if dashes else "-"


def _svg(figure: Figure, name: str) -> Markup:
    """Write a figure as an element whose text is text and whose size and colours are the page's."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.patch.set_visible(False)
        axes.tick_params(colors=_INK, labelsize=8)
        axes.spines[:].set_color(_INK)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set(color=_INK, fontsize=8)
        axes.locator_params(nbins=5)
        axes.grid(axis="y", color=_INK, alpha=0.12, linewidth=0.8)
        axes.set_axisbelow(True)
    figure.patch.set_visible(False)
    buffer = StringIO()
    canvas: Any = FigureCanvasSVG(figure)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        canvas.print_svg(buffer, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    for i, colour in enumerate(_SERIES):
        text = text.replace(colour, f"var(--series-{i})")
    # Ids such as axes_1 are the same in every plot, and only those made of hashes are referred to.
    text = re.sub(r' id="(?!m[0-9a-f]{10}|p[0-9a-f]{10})[^"]*"', "", text)
    text = re.sub(r"<style.*?</style>|font-family: [^;]*; ", "", text, flags=re.DOTALL)
    root, _, rest = text.partition(">")
    return Markup(re.sub(r' (width|height|version)="[^"]*"', "", root) + ">" + rest)
