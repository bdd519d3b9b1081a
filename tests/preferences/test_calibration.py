"""Calibration against data whose scale is known."""

import numpy as np
import pytest
from scipy.special import expit

from textenv.preferences.calibration import FARTHEST, Bin, calibration_slope, expected_calibration_error, reliability


def preferred(scale: float, n: int, seed: int, alike: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Differences whose log-odds are `scale` times them, in groups of `alike` equal ones."""
    rng = np.random.default_rng(seed)
    apart = rng.normal(size=n // alike)
    signs = np.where(rng.random(n // alike) < expit(scale * apart), 1.0, -1.0)
    return np.repeat(signs * apart, alike), np.repeat(np.arange(n // alike), alike)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_scale_is_found_and_its_error_is_right(scale: float) -> None:
    found = [calibration_slope(*preferred(scale, 400, seed)) for seed in range(300)]
    values, errors = np.array(found).T
    assert np.median(values) == pytest.approx(scale, rel=0.06)
    assert np.mean(np.abs(values - scale) < 1.96 * errors) == pytest.approx(0.95, abs=0.03)


def test_pairs_that_are_copies_say_nothing_new() -> None:
    alone, four = calibration_slope(*preferred(1.0, 200, 0)), calibration_slope(*preferred(1.0, 800, 0, alike=4))
    assert four.value == pytest.approx(alone.value, rel=1e-3)
    assert four.error == pytest.approx(alone.error, rel=1e-3)


def test_where_all_are_in_order_or_none_the_scale_is_bounded() -> None:
    assert calibration_slope(np.ones(5), np.arange(5)).value == pytest.approx(FARTHEST, rel=1e-3)
    assert calibration_slope(-np.ones(5), np.arange(5)).value == pytest.approx(1 / FARTHEST, rel=1e-3)
    assert np.isnan(calibration_slope(np.array([1.0, -2.0]), np.zeros(2, dtype=np.int64)).error)


def test_reliability_by_hand() -> None:
    table = reliability(np.log([1.5, 1 / 1.5, 9.0, 9.0, 1 / 9]), bins=5)  # probabilities .6, .6, .9, .9, .9
    assert [found.n for found in table] == [2, 3]
    assert [found.expected for found in table] == pytest.approx([0.6, 0.9])
    assert [found.right for found in table] == pytest.approx([0.5, 2 / 3])
    assert expected_calibration_error(table) == pytest.approx((2 * 0.1 + 3 * (0.9 - 2 / 3)) / 5)


def test_equals_are_right_half_of_the_time() -> None:
    assert reliability(np.zeros(3)) == [Bin(3, 0.5, 0.5)]
    assert expected_calibration_error([Bin(3, 0.5, 0.5)]) == 0


def test_the_surest_are_in_the_last_bin() -> None:
    assert reliability(np.array([800.0]), bins=4) == [Bin(1, 1.0, 1.0)]
