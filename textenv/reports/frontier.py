"""The frontier of score against KL: what training reaches, best of n, and the optimum that the base's samples allow."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from textenv.files import replacing
from textenv.reports.evaluation import Measured, means_of_prompts, reweighted, scores_by_prompt
from textenv.rewards.kl import best_of_n_kl

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = Mapping[str, Any]

_MEASURES: Final = ("score", "judge", "positive", "kl_k1", "kl_k2", "kl_k3", "kl_exact", "length", "distinct2", "perplexity")
COLUMNS: Final = ("kind", "beta", "seed", "best_of", "n", *(column for name in _MEASURES for column in (name, f"{name}_se")))
"""Of `frontier.csv`, a row a point. kind: base, trained, best_of_n or reweighted; the measures are those of
`reports.evaluation.summarise`, empty where there is none; kl_exact of best_of_n is the analytic bound."""


def best_of_curve(base: Measured, m: int, sizes: Iterable[int]) -> list[dict[str, Any]]:
    """Estimate the expected score of the best of n from m ≥ n samples of each prompt.

    The mean over all subsets of n samples, so without bias and with less variance than disjoint groups: sorted by score,
    the i-th of m (from 1) is the best of C(i-1, n-1) of the C(m, n) subsets. As in the estimator of pass@k, Chen et al.,
    "Evaluating Large Language Models Trained on Code", section 2.1, https://arxiv.org/abs/2107.03374. The KL is the bound
    log n - (n-1)/n, which is attained without ties (Beirami et al., https://arxiv.org/abs/2401.01879).

    Args:
        base: of the reference, its rows in groups of m by prompt.
        m: samples a prompt.
        sizes: values of n, from 1 to m.

    Returns:
        A point for each: best_of, n (episodes used), score and judge with standard errors over prompts, kl_exact (nats a sequence).

    Raises:
        ArgumentError: the rows are no groups of m.
    """
    scores = scores_by_prompt(base, m)
    order = scores.argsort(1, kind="stable")
    ordered = {"score": np.take_along_axis(scores, order, 1)}
    if base.judge is not None:
        ordered["judge"] = np.take_along_axis(base.judge.reshape(scores.shape), order, 1)
    points = []
    for n in sizes:
        weights = np.array([math.comb(i, n - 1) / math.comb(m, n) for i in range(m)])  # (m,)
        row = means_of_prompts({name: values @ weights for name, values in ordered.items()})
        points.append({"kind": "best_of_n", "best_of": n, "n": scores.size, **row, "kl_exact": best_of_n_kl(n)})
    return points


def reweighted_curve(base: Measured, m: int, betas: Iterable[float]) -> list[dict[str, Any]]:
    """Estimate π_ref exp(score/β) for several β; see `reports.evaluation.reweighted`."""
    return [{"kind": "reweighted", "beta": beta, **reweighted(base, m, beta)} for beta in betas]


def write_points(points: Sequence[Point], file: Path) -> None:
    """Write `frontier.csv` with the columns `COLUMNS`."""
    with replacing(file) as new, new.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows({name: "" if value != value else value for name, value in point.items()} for point in points)


def draw_frontier(points: Sequence[Point], title: str) -> "Figure":
    """Draw score against exact KL.

    Args:
        points: with kind, beta, best_of, score and kl_exact.
        title: of the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.subplots()
    _curve(axes, points, "reweighted", color="#777777", linestyle="--", label="base re-weighted by exp(score/β), estimated")
    curve = _curve(axes, points, "best_of_n", color="#0072b2", linestyle="-", label="best of n samples of the base, analytic KL")
    for point in points:
        if point["kind"] == "best_of_n" and math.log2(point["best_of"]).is_integer() and point["best_of"] > 1:
            axes.plot(point["kl_exact"], point["score"], ".", color=curve)
            _note(axes, point, f"n={point['best_of']}", (4, -11), curve)
    _trained(axes, points)
    for point in points:
        if point["kind"] == "base":
            axes.errorbar(0, point["score"], point["score_se"], fmt="s", color="black", label="base", zorder=4)
    axes.set(title=title, xlabel="KL(π‖π_ref), exact by state, nats a sequence", ylabel="score, mean over episodes")
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", frameon=False)
    return figure


def _curve(axes: "Axes", points: Sequence[Point], kind: str, *, color: str, linestyle: str, label: str) -> str:
    """Draw the points of a kind as a line and return its colour."""
    line = sorted((point["kl_exact"], point["score"]) for point in points if point["kind"] == kind)
    axes.plot([x for x, _ in line], [y for _, y in line], color=color, linestyle=linestyle, label=label)
    return color


def _trained(axes: "Axes", points: Sequence[Point]) -> None:
    """Draw every run small, and the mean over the seeds of each β with the range of the seeds."""
    color = "#d55e00"
    trained = [point for point in points if point["kind"] == "trained"]
    means = []
    for beta in sorted({point["beta"] for point in trained}):
        seeds = np.array([(point["kl_exact"], point["score"]) for point in trained if point["beta"] == beta])  # (seeds, 2)
        axes.plot(*seeds.T, ".", color=color, alpha=0.45)
        kl, score = seeds.mean(0)
        spread = np.stack([seeds.mean(0) - seeds.min(0), seeds.max(0) - seeds.mean(0)])  # (2, 2): down and up, KL and score
        axes.errorbar(kl, score, xerr=spread[:, :1], yerr=spread[:, 1:], color=color, capsize=2, linewidth=1)
        _note(axes, {"kl_exact": kl, "score": score}, f"β={beta:g}", (6, -12), color)
        means.append((kl, score))
    axes.plot(*np.array(means).T, "o-", color=color, label="trained, mean and range of the seeds")


def _note(axes: "Axes", point: Point, text: str, offset: tuple[int, int], color: str) -> None:
    axes.annotate(text, (point["kl_exact"], point["score"]), offset, textcoords="offset points", color=color, fontsize=8)
