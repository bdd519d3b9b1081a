"""Whether differences of rewards are the log-odds that they are fitted to be."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit

ENOUGH_GROUPS = 20
"""Groups, as prompts, by which a scale may be set: fitted to G pairs of different prompts it costs about
1/(2G) nats a pair, 0.025 here, where the differences were log-odds already."""
LEAST = 0.05
"""Root mean square, in log-odds, of the differences under the smallest scale: a model that orders
pairs worse than by chance would have a negative one."""
_MOST = 1e4
_STEPS = 40


class Slope(NamedTuple):
    """By what differences of rewards are to be multiplied."""

    value: float
    """Above 0; 1 where they are calibrated, or all 0."""
    error: float
    """Its standard error, robust against pairs of a group being alike; NaN where nothing tells it:
    for one group, for differences of 0, and at the smallest scale."""


def calibration_slope(differences: NDArray[np.float64], groups: NDArray[np.int64]) -> Slope:
    """Fit b > 0 in P(the better is preferred) = σ(b (r_w - r_l)) by penalised maximum likelihood.

    1/b is the temperature of Guo et al., "On Calibration of Modern Neural Networks", section 4.2,
    https://arxiv.org/abs/1706.04599. Where all pairs are in order, the likelihood has no maximum. So
    n/(2G) log I(b) is added to it, with the information I(b) = Σ d_i² σ(b d_i) σ(-b d_i): half a pair
    each way, spread over the pairs by their leverage, in units of groups. That is Firth, "Bias
    Reduction of Maximum Likelihood Estimates", https://doi.org/10.1093/biomet/80.1.27, as Heinze and
    Schemper, "A Solution to the Problem of Separation in Logistic Regression",
    https://doi.org/10.1002/sim.1047, use it.

    The error is the sandwich of Liang and Zeger, https://doi.org/10.1093/biomet/73.1.13, over the groups
    and the two half pairs, see `_sandwich`. Where all pairs are in order, which leaves a sandwich next
    to no variation to see, it is √(n/G / I(b)), as if a group were one pair. Of simulated models that are
    right in 9 of 10 pairs, 93 % or more have a scale within 1.96 relative errors of theirs, with 8 pairs
    as with 200 (tests/preferences/test_calibration.py).

    Args:
        differences: (n,) r_w - r_l, n at least 1.
        groups: (n,) numbers of the groups.
    """
    differing = differences != 0  # equals are likely half of the time whatever the scale
    if not differing.any():
        return Slope(1.0, math.nan)
    d = differences[differing]
    _, groups = np.unique(groups[differing], return_inverse=True)
    alike = len(d) / (int(groups.max()) + 1)  # pairs per group
    scale, inside = _most_likely(d, alike)
    if not inside or groups.max() == 0:
        return Slope(scale, math.nan)
    if (d > 0).all():
        return Slope(scale, math.exp(-_log_information(d, scale) / 2) * math.sqrt(alike))
    return Slope(scale, _sandwich(d, groups, alike, scale))


def trusted_slope(differences: NDArray[np.float64], groups: NDArray[np.int64]) -> Slope:
    """Return the slope where the pairs can tell it, and otherwise 1 with an error that is NaN.

    They cannot where there are fewer than `ENOUGH_GROUPS` groups, and where the pairs are ordered no
    better than by chance, so that the likeliest scale is the smallest: a scale fitted to them would make
    the differences those of a model that is sure of what it does not know.

    Args:
        differences: (n,) r_w - r_l, n at least 0.
        groups: (n,) numbers of the groups.
    """
    if len(np.unique(groups)) < ENOUGH_GROUPS:
        return Slope(1.0, math.nan)
    slope = calibration_slope(differences, groups)
    return Slope(1.0, math.nan) if math.isnan(slope.error) else slope


def _log_information(d: NDArray[np.float64], scale: float) -> float:
    """Compute log Σ d_i² σ(b d_i) σ(-b d_i), of which the sum itself may be too small for a float."""
    logs = 2 * np.log(np.abs(d)) + log_expit(scale * d) + log_expit(-scale * d)
    largest = float(logs.max())
    return largest + math.log(float(np.exp(logs - largest).sum()))


def _most_likely(d: NDArray[np.float64], alike: float) -> tuple[float, bool]:
    """Return the penalised estimate, and whether it lies above the smallest scale."""

    def cost(log_scale: float) -> float:
        scale = math.exp(log_scale)
        return -float(log_expit(scale * d).sum()) - alike / 2 * _log_information(d, scale)

    size = math.sqrt(float(np.square(d).mean()))
    grid = np.linspace(math.log(LEAST / size), math.log(_MOST / size), _STEPS)
    best = int(np.argmin([cost(log_scale) for log_scale in grid]))
    if best == 0:
        return math.exp(grid[0]), False
    bounds = (grid[best - 1], grid[min(best + 1, _STEPS - 1)])
    result: Any = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    return math.exp(result.x), True


def _sandwich(d: NDArray[np.float64], groups: NDArray[np.int64], alike: float, scale: float) -> float:
    """Compute √((G+1)/G Σ_g u_g²) / Σ_i (1 + h_i) w_i.

    u_g are the gradients d_i σ(-b d_i), summed over each group and over the half pairs of either way,
    w_i = d_i² σ(b d_i) σ(-b d_i) and h_i = n/G w_i / Σ w, how much of the half pairs stands at pair i.
    """
    missed = expit(-scale * d)  # (n,)
    weights = np.square(d) * missed * (1 - missed)
    halves = alike * weights / weights.sum() / 2
    sums = np.bincount(groups, d * missed)  # (G,)
    added = np.array([(halves * d * missed).sum(), (halves * d * (1 - missed)).sum()])
    meat = float(np.square(sums).sum() + np.square(added).sum())
    bread = float(((1 + 2 * halves) * weights).sum())
    return math.sqrt((len(sums) + 1) / len(sums) * meat) / bread


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
