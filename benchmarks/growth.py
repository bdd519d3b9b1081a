"""How time and peak memory grow with episodes, length, rows and parameters: fitted exponents and one figure.

Run: python -m benchmarks.growth

The exponent is the slope of a line through log(cost) against log(size): 1 is linear, 0 flat. Each point is the least of its
rounds, the one that other processes disturbed least, in a process of its own; memory is the peak beyond set-up.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import numpy as np
import tyro

from benchmarks.harness import ROOT, machine
from benchmarks.sides import worker
from benchmarks.workloads import TINY, TOY, Workload, causal_lm

AXES: Final[dict[str, tuple[str, tuple[int, ...], Callable[[Workload, int], Workload]]]] = {
    "episodes": ("iteration", (16, 32, 64, 128), lambda work, size: replace(work, episodes=size)),
    "length": ("iteration", (24, 48, 96, 192), lambda work, size: replace(work, new=size)),
    "rows": ("collect", (8, 32, 128, 512), lambda work, size: replace(work, episodes=size)),
    "parameters": ("iteration", (128, 256, 384, 512), lambda work, size: replace(work, width=size)),
}
"""Axis to what is played, the sizes, and the workload of a size; parameters grow by the width."""


def exponent(sizes: list[float], costs: list[float]) -> float:
    """Slope of the least-squares line through the logarithms.

    >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    slope, _ = np.polyfit(np.log(sizes), np.log(costs), 1)
    return float(slope)


def measure(axis: str, work: Workload, rounds: int, points: int) -> dict[str, Any]:
    """Measure the points of one axis and fit."""
    side, sizes, shape = AXES[axis]
    options: dict[str, Any] = {"advantage": "critic"} if side == "iteration" else {}
    seconds, memory, shown = [], [], []
    for size in sizes[:points]:
        grown = replace(shape(work, size), epochs=1)
        extra = {"rows": size, "episodes": size} if side == "collect" else {}
        with worker(side, grown, **options, **extra) as process:
            for _ in range(rounds + 1):
                process.play()
        seconds.append(min(played.seconds for played in process.rounds[1:]))
        memory.append(max(process.growth))
        shown.append(float(sum(p.numel() for p in causal_lm(grown).parameters())) if axis == "parameters" else float(size))
    return {
        "played": side,
        "sizes": shown,
        "seconds": seconds,
        "memory_mib": memory,
        "time_exponent": exponent(shown, seconds),
        "memory_exponent": exponent(shown, memory),
    }


def draw(results: dict[str, dict[str, Any]], out: Path) -> None:
    """One panel an axis, both costs relative to their first point."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.4), layout="constrained")
    FigureCanvasSVG(figure)
    for index, (axis, found) in enumerate(results.items()):
        panel = figure.add_subplot(1, len(results), index + 1)
        for cost, mark in (("seconds", "o-"), ("memory_mib", "s--")):
            name = "time" if cost == "seconds" else "peak memory"
            label = f"{name}, exponent {found['time_exponent' if cost == 'seconds' else 'memory_exponent']:.2f}"
            panel.loglog(found["sizes"], [value / found[cost][0] for value in found[cost]], mark, label=label)
        panel.set(xlabel=axis, title=found["played"])
        panel.legend(fontsize="small")
    out.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "growth"}):  # the same data give the same file
        figure.savefig(out, metadata={"Date": None})


def main(
    only: tuple[str, ...] = tuple(AXES),
    rounds: int = 2,
    reduced: bool = False,
    out: Path = ROOT / "benchmarks" / "results" / "growth.json",
    figure: Path = ROOT / "docs" / "growth.svg",
) -> None:
    """Measure, fit, draw, write.

    Args:
        only: axes, by default all.
        rounds: a point, after one warm-up.
        reduced: a toy model and two points an axis, to see that every line runs.
        out: JSON file.
        figure: SVG file.
    """
    results = {axis: measure(axis, TOY if reduced else TINY, rounds, 2 if reduced else 4) for axis in only}
    for axis, found in results.items():
        print(f"{axis}: time ∝ n^{found['time_exponent']:.2f}, peak memory ∝ n^{found['memory_exponent']:.2f}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": machine(), "axes": results}, indent=2) + "\n")
    draw(results, figure)


if __name__ == "__main__":
    tyro.cli(main)
