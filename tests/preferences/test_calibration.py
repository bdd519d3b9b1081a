"""Calibration against data whose scale is known."""

import numpy as np
import pytest
from scipy.special import expit, log_expit

from textenv.preferences.calibration import (
    ENOUGH_GROUPS,
    LEAST,
    Bin,
    calibration_slope,
    expected_calibration_error,
    reliability,
    trusted_slope,
)


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


@pytest.mark.parametrize("apart", [0.01, 1.0, 100.0])
def test_where_all_are_in_order_half_a_pair_each_way_is_added(apart: float) -> None:
    found = calibration_slope(np.full(5, apart), np.arange(5))
    chance = 5.5 / 6
    assert found.value * apart == pytest.approx(np.log(11), rel=1e-6)  # σ = 5.5/6
    assert found.error * apart == pytest.approx(1 / np.sqrt(5 * chance * (1 - chance)), rel=1e-6)


def test_a_scale_that_cannot_be_told_has_no_error() -> None:
    wrong = calibration_slope(np.array([-3.0, -4.0]), np.arange(2))
    assert wrong.value * np.sqrt(12.5) == pytest.approx(LEAST)
    assert np.isnan(wrong.error)
    assert calibration_slope(np.zeros(3), np.arange(3)).value == 1
    assert np.isnan(calibration_slope(np.zeros(3), np.arange(3)).error)
    assert np.isnan(calibration_slope(np.array([1.0, -2.0]), np.zeros(2, dtype=np.int64)).error)
    assert np.isnan(calibration_slope(np.array([1.0, 2.0]), np.zeros(2, dtype=np.int64)).error)


def test_many_pairs_of_few_prompts_set_no_scale() -> None:
    differences, groups = preferred(1.0, 4 * (ENOUGH_GROUPS - 1), 0, alike=4)
    assert (trusted_slope(differences, groups).value, len(groups) > ENOUGH_GROUPS) == (1.0, True)
    assert trusted_slope(*preferred(1.0, 4 * ENOUGH_GROUPS, 0, alike=4)).value != 1.0


@pytest.mark.parametrize("pairs", [8, 20])
def test_few_pairs_are_no_certainty(pairs: int) -> None:
    """Models that are right in nine of ten pairs: the likelihood alone has no maximum for 4 of 10 sets of 8 pairs."""
    rng, found, ordered = np.random.default_rng(0), [], []
    for _ in range(400):
        apart = np.abs(rng.normal(2.2, 0.5, pairs))
        differences = np.where(rng.random(pairs) < expit(apart), apart, -apart)
        found.append(calibration_slope(differences, np.arange(pairs)))
        ordered.append(bool((differences > 0).all()))
    values, errors = np.array(found).T
    relative, missed = errors / values, np.abs(np.log(values))
    assert sum(ordered) > 20
    assert values.max() < 4
    assert np.nanmedian(relative[ordered]) > 0.4
    assert np.sqrt(np.mean(missed**2)) < 0.7
    assert np.mean(missed < 1.96 * relative) >= 0.93


@pytest.mark.parametrize("prompts", [1, 5, 10, 30])
@pytest.mark.parametrize(("truth", "model"), [(0.0, 0.01), (0.0, 1.0), (1.0, 0.03), (1.0, 1.0)])
def test_a_scale_by_few_pairs_does_no_harm(prompts: int, truth: float, model: float) -> None:
    """Log-odds are `truth` times differences of which the model sees `model` times as much."""
    new, groups = preferred(truth, 4000, 12345)
    before, worse = -log_expit(model * new).mean(), []
    for seed in range(60):
        slope = trusted_slope(model * preferred(truth, prompts, seed)[0], groups[:prompts])
        size = slope.value * model * np.sqrt(np.mean(np.square(preferred(truth, prompts, seed)[0])))
        assert (slope.value == 1) == np.isnan(slope.error)
        assert slope.value == 1 or size > 1.01 * LEAST  # not at its bound
        worse.append(-log_expit(slope.value * model * new).mean() - before)
    if prompts < ENOUGH_GROUPS:
        assert worse == [0.0] * 60
    assert np.mean(worse) < 1 / (2 * ENOUGH_GROUPS)


@pytest.mark.parametrize(("prompts", "mean", "worst"), [(1, 0.89, 30.3), (20, 0.034, 0.29)])
def test_what_a_scale_by_few_pairs_would_cost(prompts: int, mean: float, worst: float) -> None:
    """Nats per pair, where differences are log-odds already; docs/reward_models.md has the numbers."""
    new, groups = preferred(1.0, 4000, 12345)
    before, costs = -log_expit(new).mean(), []
    for seed in range(60):
        slope = calibration_slope(preferred(1.0, prompts, seed)[0], groups[:prompts])
        costs.append(-log_expit(slope.value * new).mean() - before)
    assert np.mean(costs) == pytest.approx(mean, rel=0.02)
    assert max(costs) == pytest.approx(worst, rel=0.02)


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
