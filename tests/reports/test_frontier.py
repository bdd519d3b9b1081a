"""The curves of the frontier against brute force, and what the picture holds."""

import csv
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from textenv.errors import ArgumentError
from textenv.reports.evaluation import Measured, reweighted
from textenv.reports.frontier import COLUMNS, best_of_curve, draw_frontier, reweighted_curve, write_points

SCORES = np.array([[0.1, 0.9, 0.4, 0.4, 0.7], [0.3, 0.2, 0.8, 0.0, 0.6]])
JUDGE = np.array([[0.0, 0.1, 0.2, 0.2, 0.4], [0.5, 0.6, 0.7, 0.8, 0.9]])


@pytest.fixture
def base(make_measured: Callable[..., Measured]) -> Measured:
    """Five episodes of each of two prompts."""
    return make_measured(["a b"] * SCORES.size, SCORES.ravel(), JUDGE.ravel(), prompt_index=[0] * 5 + [1] * 5)


def test_best_of_n_is_the_mean_over_all_subsets(base: Measured) -> None:
    for point in best_of_curve(base, 5, range(1, 6)):
        n = point["best_of"]
        by_prompt = []
        for scores, judge in zip(SCORES, JUDGE, strict=True):
            best = [max(subset, key=scores.__getitem__) for subset in itertools.combinations(range(5), n)]
            by_prompt.append((scores[best].mean(), judge[best].mean()))  # equal scores have equal judge scores here
        score, judged = np.mean(by_prompt, axis=0)
        assert (point["score"], point["judge"]) == pytest.approx((score, judged))
        assert point["score_se"] == pytest.approx(abs(by_prompt[0][0] - by_prompt[1][0]) / 2)
        assert point["kl_exact"] == pytest.approx(math.log(n) - (n - 1) / n)
        assert (point["kind"], point["n"]) == ("best_of_n", 10)


def test_best_of_n_needs_groups(base: Measured) -> None:
    with pytest.raises(ArgumentError, match="in groups of 4 of the same prompt"):
        best_of_curve(base, 4, [1])


def test_reweighting_is_that_of_evaluations(base: Measured) -> None:
    points = reweighted_curve(base, 5, [0.1, 1.0])
    assert points == [{"kind": "reweighted", "beta": beta, **reweighted(base, 5, beta)} for beta in (0.1, 1.0)]
    assert points[0]["score"] > points[1]["score"]


def points() -> list[dict[str, Any]]:
    return [
        {"kind": "base", "n": 640, "score": 0.5, "score_se": 0.01, "kl_exact": 0.0, "kl_k1": 0.0, "kl_k1_se": math.nan},
        {"kind": "trained", "beta": 0.02, "seed": 0, "score": 0.8, "kl_exact": 4.0},
        {"kind": "trained", "beta": 0.02, "seed": 1, "score": 0.9, "kl_exact": 6.0},
        {"kind": "trained", "beta": 0.1, "seed": 0, "score": 0.7, "kl_exact": 1.0},
        *({"kind": "best_of_n", "best_of": n, "score": 0.5 + n / 20, "kl_exact": math.log(n) - (n - 1) / n} for n in (1, 2, 3)),
        {"kind": "reweighted", "beta": 0.1, "score": 0.8, "kl_exact": 1.5},
        {"kind": "reweighted", "beta": 1.0, "score": 0.6, "kl_exact": 0.2},
    ]


def test_the_table_has_a_row_a_point(tmp_path: Path) -> None:
    write_points(points(), tmp_path / "frontier.csv")
    with (tmp_path / "frontier.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert tuple(rows[0]) == COLUMNS
    assert [row["kind"] for row in rows] == [point["kind"] for point in points()]
    assert (rows[0]["beta"], rows[0]["kl_k1"], rows[0]["kl_k1_se"]) == ("", "0.0", "")
    assert (rows[2]["beta"], rows[2]["seed"], rows[2]["score"], rows[2]["kl_exact"]) == ("0.02", "1", "0.9", "6.0")


def test_the_picture_holds_every_point() -> None:
    figure = draw_frontier(points(), "Somewhere-v0")
    (axes,) = figure.axes
    lines = {str(line.get_label()): np.array(line.get_data()).T.tolist() for line in axes.lines}
    assert lines["trained, mean and range of the seeds"] == pytest.approx(np.array([[5.0, 0.85], [1.0, 0.7]]))
    assert lines["base re-weighted by exp(score/β), estimated"] == [[0.2, 0.6], [1.5, 0.8]]  # along the KL
    assert len(lines["best of n samples of the base, analytic KL"]) == 3
    dots = [np.array(line.get_data()).tolist() for line in axes.lines if line.get_marker() == "."]
    assert [[4.0, 6.0], [0.8, 0.9]] in dots  # both seeds
    bars = [np.array(segment) for bar in axes.collections if isinstance(bar, LineCollection) for segment in bar.get_segments()]
    for expected in ([[4.0, 0.85], [6.0, 0.85]], [[5.0, 0.8], [5.0, 0.9]]):  # the range of the seeds
        assert any(np.allclose(bar, expected) for bar in bars)
    assert {text.get_text() for text in axes.texts} == {"β=0.02", "β=0.1", "n=2"}
    assert "nats a sequence" in axes.get_xlabel()
    assert axes.get_title() == "Somewhere-v0"
    legend = axes.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 4
