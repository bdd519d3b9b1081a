import numpy as np
import pytest
from numpy.typing import NDArray

from textenv.build.calibration import calibration_error, fitted_temperature, measure, temperature
from textenv.build.fragments import FragmentRecipe


def test_calibration_error_by_hand() -> None:
    # Ten bins. In [.9, 1): three confidences of .95, two of them right; in [.6, .7): .65 (right) and 1 - .35 (wrong).
    probabilities = np.array([0.95, 0.95, 0.05, 0.65, 0.35])
    labels = np.array([1, 0, 0, 1, 1])
    expected = 3 / 5 * abs(2 / 3 - 0.95) + 2 / 5 * abs(1 / 2 - 0.65)
    assert calibration_error(probabilities, labels, bins=10) == pytest.approx(expected, abs=1e-12)
    assert calibration_error(np.array([1.0, 0.0]), np.array([1, 0])) == 0.0
    assert calibration_error(np.array([1.0, 0.0]), np.array([0, 1])) == 1.0


@pytest.mark.parametrize("true", [0.5, 1.0, 4.0])
def test_temperature_finds_the_scale(true: float) -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 2, size=20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    assert temperature(odds * true, labels) == pytest.approx(true, rel=0.05)


def test_measure_of_known_classifiers() -> None:
    def perfect(texts: list[str]) -> NDArray[np.float64]:
        return np.array([50.0 if "good" in text else -50.0 for text in texts])

    texts = ["good " * 30, "bad " * 30, "good " * 30]
    measured = measure(perfect, texts, [1, 0, 1], FragmentRecipe(), seed=0)
    assert measured["texts"] == 3
    assert measured["accuracy_whole"] == measured["accuracy_fragments"] == 1.0
    assert measured["calibration_error_fragments"] == pytest.approx(0.0, abs=1e-12)
    wrong = measure(lambda shown: -perfect(shown), texts, [1, 0, 1], FragmentRecipe(), seed=0)
    assert wrong["accuracy_fragments"] == 0.0
    assert wrong["calibration_error_whole"] == pytest.approx(1.0, abs=1e-12)


def test_the_temperature_is_fitted_to_fragments() -> None:
    texts, labels = ["good good bad", "bad bad good"] * 200, [1, 0] * 200

    def first_word(shown: list[str]) -> NDArray[np.float64]:
        return np.array([8.0 if text.startswith("good") else -8.0 for text in shown])

    # Always right on fragments of one word from the start of a text: the surer the better.
    assert fitted_temperature(first_word, texts, labels, FragmentRecipe(measured=1), seed=0) < 0.1
    # Wrong on every second text: no log-odds are small enough.
    assert fitted_temperature(first_word, texts, [1, 1, 0, 0] * 100, FragmentRecipe(measured=1), seed=0) > 10
