"""Who wins: win rates and strengths from pairs of texts that were compared, with intervals that respect prompts.

Pairs of one prompt are alike, so errors are taken over prompts (Liang and Zeger, "Longitudinal Data Analysis Using Generalized
Linear Models", https://doi.org/10.1093/biomet/73.1.13). Where one side wins every pair such an error would be 0, so wins that
were not seen are counted beside those that were.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textenv.errors import ArgumentError

Z: Final = 1.959964
"""Standard errors to either side of an interval of 95 %."""

_SAME: Final = 1e-5
"""Scores that differ by less, relative to their size or to 1, tie: batches of other shapes move float sums that far."""

_STEPS: Final = 200


class WinRate(NamedTuple):
    """How often one side was better than the other."""

    wins: int
    ties: int
    losses: int
    rate: float
    """(wins + ties / 2) / pairs, 0 to 1."""
    low: float
    """End of the interval of 95 %, at least 0."""
    high: float
    """End of the interval of 95 %, at most 1."""


class Strengths(NamedTuple):
    """A Bradley-Terry table of K players.

    Shapes: K players, the first of which is the one that all are compared with.
    """

    values: NDArray[np.float64]
    """(K,) log-odds of beating the first; its own is 0."""
    low: NDArray[np.float64]
    """(K,) ends of the intervals of 95 %; 0 for the first."""
    high: NDArray[np.float64]
    """(K,)."""


def outcomes(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compare scores in pairs, (n,) each: 1 where the first is higher, 0 where the second is, 1/2 where they tie, (n,).

    >>> outcomes(np.array([0.5, 0.2, 0.2]), np.array([0.1, 0.2 + 1e-8, 0.9]))
    array([1. , 0.5, 0. ])
    """
    tied = np.isclose(first, second, rtol=_SAME, atol=_SAME)
    return np.where(tied, 0.5, np.asarray(first > second, dtype=np.float64))


def win_rate(outcomes: NDArray[np.float64], prompts: NDArray[np.int64]) -> WinRate:
    """Estimate how often one side is better, ties counted half.

    The interval counts two prompts more than there are, one won by either side, as Agresti and Coull, "Approximate Is Better than
    'Exact' for Interval Estimation of Binomial Proportions", https://doi.org/10.1080/00031305.1998.10480550, count more successes and
    failures, and Agresti and Min, "Simple Improved Confidence Intervals for Comparing Matched Proportions",
    https://doi.org/10.1002/sim.1781, where there are ties. With n pairs of G prompts, m = n/G, and y of each pair, it is p ± z s with
    p = (m + Σ y) / (n + 2m), s² = (G+2)/(G+1) (m² (1-p)² + m² p² + Σ_g (Σ_{i in g} (y_i - p))²) / (n + 2m)²,
    cut off at 0 and 1.

    Args:
        outcomes: (n,) 1 for a win, 1/2 for a tie, 0 for a loss.
        prompts: (n,) number of the prompt of each pair.

    Raises:
        ArgumentError: there are no pairs.
    """
    if len(outcomes) == 0:
        raise ArgumentError("A win rate needs at least one pair that was compared.")
    _, groups = np.unique(prompts, return_inverse=True)
    n, count = len(outcomes), int(groups.max()) + 1
    m = n / count
    p = (m + outcomes.sum()) / (n + 2 * m)
    squares = float(np.square(np.bincount(groups, outcomes - p)).sum()) + m**2 * ((1 - p) ** 2 + p**2)
    half = Z * math.sqrt((count + 2) / (count + 1) * squares) / (n + 2 * m)
    wins, losses = int((outcomes == 1).sum()), int((outcomes == 0).sum())
    return WinRate(wins, n - wins - losses, losses, float(outcomes.mean()), max(0.0, p - half), min(1.0, p + half))


def bradley_terry(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    outcomes: NDArray[np.float64],
    prompts: NDArray[np.int64],
    players: Sequence[str],
) -> Strengths:
    """Estimate P(i beats j) = σ(s_i - s_j) by maximum likelihood, a tie as half a win of each.

    Bradley and Terry, "Rank Analysis of Incomplete Block Designs", https://doi.org/10.2307/2334029. The likelihood has a maximum only
    if nobody wins or loses everything (Hunter, "MM Algorithms for Generalized Bradley-Terry Models", assumption 1,
    https://doi.org/10.1214/aos/1079120141), so every two players have half a win against each other beside those that were
    counted, in units of prompts; for two players it takes the bias of first order away (Anscombe, "On Estimating Binomial Response
    Relations", https://doi.org/10.1093/biomet/43.3-4.461). Errors are (G+1)/G H⁻¹ Σ_g u_g u_gᵀ H⁻¹ for G prompts, with the
    gradient u_g of each and of each added half win, and the Hessian H.

    Args:
        first: (n,) indices of players.
        second: (n,) indices of the players that they were compared with.
        outcomes: (n,) 1 where the first was better, 1/2 for a tie, 0 where the second was.
        prompts: (n,) number of the prompt of each pair.
        players: K names; all are compared with the first.

    Raises:
        ArgumentError: somebody was not compared with the others, not even through a third.
    """
    _check_connected(first, second, players)
    k = len(players)
    _, groups = np.unique(prompts, return_inverse=True)
    count, pairs = int(groups.max()) + 1, len(np.unique(np.stack([np.minimum(first, second), np.maximum(first, second), groups]), axis=1).T)
    one, other = np.nonzero(~np.eye(k, dtype=bool))  # every pair in both orders
    design = np.eye(k)[np.append(first, one)] - np.eye(k)[np.append(second, other)]  # (n + K(K-1), K)
    design = design[:, 1:]
    won = np.append(outcomes, np.ones(len(one)))
    weights = np.append(np.ones(len(outcomes)), np.full(len(one), 0.5 * len(outcomes) / pairs))
    groups = np.append(groups, count + np.arange(len(one)))
    found = _newton(design, won, weights)
    chance = 1 / (1 + np.exp(-design @ found))
    inverse = np.linalg.inv(_hessian(design, chance, weights))  # (K-1, K-1)
    gradients = np.zeros((groups.max() + 1, k - 1))
    np.add.at(gradients, groups, design * (weights * (won - chance))[:, None])
    covariance = (count + 1) / count * inverse @ gradients.T @ gradients @ inverse
    half = Z * np.sqrt(np.diag(covariance))
    values, half = np.append(0.0, found), np.append(0.0, half)
    return Strengths(values, values - half, values + half)


def _newton(design: NDArray[np.float64], won: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maximise the likelihood of a logistic regression, (n, d), (n,), (n,) to (d,), in steps of at most 1 a coordinate."""
    found = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-design @ found))
        step = np.linalg.solve(_hessian(design, chance, weights), design.T @ (weights * (won - chance)))
        found += step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < 1e-10:
            break
    return found


def _hessian(design: NDArray[np.float64], chance: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the negative log-likelihood: (d, d)."""
    return np.asarray((design * (weights * chance * (1 - chance))[:, None]).T @ design)


def _check_connected(first: NDArray[np.int64], second: NDArray[np.int64], players: Sequence[str]) -> None:
    """Refuse players between whom nothing is known."""
    reached = {0}
    for _ in players:
        reached |= {b for a, b in zip(first.tolist(), second.tolist(), strict=True) if a in reached}
        reached |= {a for a, b in zip(first.tolist(), second.tolist(), strict=True) if b in reached}
    missing = [name for index, name in enumerate(players) if index not in reached]
    if missing:
        raise ArgumentError(f"Nothing is known of {missing[0]} against {players[0]}; compare them, or leave one out.")
