"""Whether differences of rewards are the log-odds that they are fitted to be."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit

FARTHEST = 20.0
"""No scale is changed by more than this factor, either way: where all pairs are in order, the likeliest one is infinite."""


class Slope(NamedTuple):
    """By what differences of rewards are to be multiplied."""

    value: float
    """1 where they are calibrated, in [1/20, 20]."""
    error: float
    """Its standard error, robust against pairs of a group being alike; NaN for one group."""


def calibration_slope(differences: NDArray[np.float64], groups: NDArray[np.int64]) -> Slope:
    """Fit b > 0 in P(the better is preferred) = σ(b (r_w - r_l)) by maximum likelihood.

    1/b is the temperature of Guo et al., "On Calibration of Modern Neural Networks", section 4.2, https://arxiv.org/abs/1706.04599.
    The error is √(Σ_g (Σ_{i in g} d_i σ(-b d_i))²) / Σ d_i² σ(b d_i) σ(-b d_i), the sandwich of Liang and Zeger,
    https://doi.org/10.1093/biomet/73.1.13, with G/(G-1) for few groups.

    Args:
        differences: (n,) r_w - r_l, n at least 1.
        groups: (n,) from 0 to G-1.
    """
    limit = math.log(FARTHEST)
    found: Any = minimize_scalar(lambda x: -log_expit(math.exp(x) * differences).mean(), bounds=(-limit, limit), method="bounded")
    slope = math.exp(found.x)
    missed = expit(-slope * differences)  # (n,)
    bread = float((np.square(differences) * missed * (1 - missed)).sum())
    sums = np.bincount(groups, differences * missed)  # (G,)
    meat = len(sums) / max(1, len(sums) - 1) * float(np.square(sums).sum())
    return Slope(slope, math.sqrt(meat) / bread if len(sums) > 1 and bread > 0 else math.nan)


class Bin(NamedTuple):
    """The pairs of which a model is about equally sure."""

    n: int
    """Pairs."""
    expected: float
    """Mean probability that the one it prefers is the better, 0.5 to 1."""
    right: float
    """Share of them in which it is."""


def reliability(differences: NDArray[np.float64], bins: int = 10) -> list[Bin]:
    """Sort pairs by the probability σ(|r_w - r_l|) into bins of equal width from 0.5 to 1; empty ones are left out.

    >>> reliability(np.array([0.1, -0.1, 3.0, 3.0]), bins=2)  # doctest: +ELLIPSIS
    [Bin(n=2, expected=0.52..., right=0.5), Bin(n=2, expected=0.95..., right=1.0)]

    Args:
        differences: (n,) r_w - r_l; equals are right half of the time.
        bins: how many.
    """
    expected, right = expit(np.abs(differences)), (1 + np.sign(differences)) / 2
    which = np.minimum((2 * bins * (expected - 0.5)).astype(int), bins - 1)
    return [
        Bin(int(held.sum()), float(expected[held].mean()), float(right[held].mean()))
        for held in (which == number for number in range(bins))
        if held.any()
    ]


def expected_calibration_error(table: list[Bin]) -> float:
    """Σ_b n_b/n |right_b - expected_b|, 0 to 0.5: Guo et al., equation 3, https://arxiv.org/abs/1706.04599."""
    return sum(found.n * abs(found.right - found.expected) for found in table) / sum(found.n for found in table)
