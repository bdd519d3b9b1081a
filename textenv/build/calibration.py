"""Probabilities that mean what they say: temperature, and how far accuracy and confidence lie apart."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from textenv.build.fragments import FragmentRecipe, measured_fragments

LogOdds = Callable[[list[str]], NDArray[np.float64]]
"""From n texts to n log-odds of the positive class."""


def calibration_error(probabilities: NDArray[np.float64], labels: NDArray[np.int64], bins: int = 15) -> float:
    """Return the expected calibration error of the predicted class (Guo et al. 2017), in bins of equal width.

    Sum over bins of n_bin / n * |accuracy - mean confidence|; the confidence max(p, 1 - p) lies in [0.5, 1].
    """
    confidence = np.maximum(probabilities, 1 - probabilities)
    correct = (probabilities > 0.5) == (labels == 1)
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(float(np.sum(correct[index == b]) - np.sum(confidence[index == b]))) for b in range(bins)]
    return sum(gaps) / len(labels)


def temperature(log_odds: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Find the T > 0 that makes sigmoid(log_odds / T) most likely (Guo et al. 2017)."""
    sign = np.where(labels == 1, 1.0, -1.0)
    found = minimize_scalar(lambda log_t: np.logaddexp(0, -sign * log_odds / np.exp(log_t)).mean(), bounds=(-3, 3), method="bounded")
    return float(np.exp(found.x))


def fitted_temperature(log_odds: LogOdds, texts: list[str], labels: list[int], recipe: FragmentRecipe, seed: int) -> float:
    """Find the temperature of a classifier on four fragments of each text."""
    return temperature(log_odds(measured_fragments(texts, recipe, seed)), np.repeat(labels, 4))


def measure(log_odds: LogOdds, texts: list[str], labels: list[int], recipe: FragmentRecipe, seed: int) -> dict[str, float]:
    """Measure a classifier on whole held-out texts and on four fragments of each.

    Returns:
        accuracy_whole, calibration_error_whole, accuracy_fragments, calibration_error_fragments, texts.
    """
    pieces = measured_fragments(texts, recipe, seed)
    result: dict[str, float] = {}
    for name, shown, wanted in (("whole", texts, np.array(labels)), ("fragments", pieces, np.repeat(labels, 4))):
        odds = log_odds(shown)
        result[f"accuracy_{name}"] = float(np.mean((odds > 0) == (wanted == 1)))
        result[f"calibration_error_{name}"] = calibration_error(np.asarray(expit(odds)), wanted)
    return result | {"texts": float(len(texts))}
