"""How well a reward model foretells judgements, and how well people foretell each other's."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from textenv.preferences.calibration import calibration_slope, expected_calibration_error, reliability
from textenv.preferences.comparison import Comparison
from textenv.preferences.tables import Pairs, group_names, ranks_of
from textenv.reports.evaluation import standard_error

Z = 1.959964
"""95 % of a normal distribution lie within so many standard deviations."""


class Share(NamedTuple):
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int
    """What it is a share of."""


def share(values: NDArray[np.float64], groups: NDArray[np.int64]) -> Share:
    """Mean of values in [0, 1] with Wilson's interval for clustered ones: n is p(1-p)/se², se being cluster-robust.

    Wilson, https://doi.org/10.1080/01621459.1927.10502953; the effective sample size is that of Korn and Graubard, "Confidence
    intervals for proportions with small expected number of positive counts estimated from survey data". Where all values are alike,
    n is the number of groups.

    Args:
        values: (n,), n at least 1.
        groups: (n,) from 0 to G-1, each independent of the others.
    """
    p, clusters = float(values.mean()), len(np.unique(groups))
    error = standard_error(values, groups)
    n = clusters if not error > 0 else p * (1 - p) / error**2
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return Share(p, max(0.0, middle - half), min(1.0, middle + half), len(values))


def judged(pairs: Pairs) -> dict[str, Any]:
    """Measure how well differences of rewards foretell which of two responses was preferred.

    Returns:
        `accuracy` (equals count half) with `accuracy_low` and `accuracy_high`, `pairs` and `groups`, `log_loss` in nats a pair,
        `calibration_error`, `calibration_slope` and `calibration_slope_se`, see `textenv.preferences.calibration`, and the table
        `reliability`. Differences are in log-odds.
    """
    right = share((1 + np.sign(pairs.differences)) / 2, pairs.groups)
    table, slope = reliability(pairs.differences), calibration_slope(*pairs)
    return {
        "accuracy": right.value,
        "accuracy_low": right.low,
        "accuracy_high": right.high,
        "pairs": right.n,
        "groups": len(np.unique(pairs.groups)),
        "log_loss": float(-log_expit(pairs.differences).mean()),
        "calibration_error": expected_calibration_error(table),
        "calibration_slope": slope.value,
        "calibration_slope_se": slope.error,
        "reliability": [found._asdict() for found in table],
    }


def human_agreement(comparisons: Sequence[Comparison]) -> Share | None:
    """Share of pairs of responses that two annotators put into the same order, among those that both put into one.

    It is the accuracy with which one person foretells another. A model may lie above it: if each says with probability p that the
    better one is better, two agree with p² + (1-p)², and a model that knows the better one is right with p.

    Returns:
        None where no two annotators judged the same pair.
    """
    said: dict[tuple[str, str, str], dict[str, list[bool]]] = {}  # prompt and two responses to annotator to whether the first is better
    for comparison in comparisons:
        ranks = ranks_of(comparison) or ()
        for i, j in combinations(range(len(ranks)), 2):
            if ranks[i] != ranks[j]:
                first, second = sorted((comparison.responses[i], comparison.responses[j]))
                better = (ranks[i] < ranks[j]) == (first == comparison.responses[i])
                said.setdefault((comparison.prompt, first, second), {}).setdefault(comparison.annotator, []).append(better)
    agreed, names = list[float](), list[str]()
    for (prompt, first, second), annotators in said.items():
        for one, other in combinations(annotators.values(), 2):
            agreed.append(float(one[-1] == other[-1]))  # an annotator's last word
            names.append(f"{prompt}\n{first}\n{second}")
    return share(np.array(agreed), np.unique(names, return_inverse=True)[1]) if agreed else None
