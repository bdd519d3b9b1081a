"""How well judgements are predicted, by a model and by people."""

import numpy as np
import pytest
from scipy.special import expit

from textenv.errors import ArgumentError
from textenv.preferences.accuracy import human_agreement, judged
from textenv.preferences.comparison import Comparison
from textenv.preferences.tables import Pairs
from textenv.preferences.win_rates import win_rate


def test_measures_by_hand() -> None:
    pairs = Pairs(np.log([9.0, 1 / 9, 9.0, 1.0]), np.array([0, 0, 1, 2]))
    found = judged(pairs)
    assert found["accuracy"] == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    interval = win_rate(np.array([1, 0, 1, 0.5]), pairs.groups)
    assert (found["accuracy_low"], found["accuracy_high"]) == (interval.low, interval.high)
    assert (found["pairs"], found["groups"]) == (4, 3)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.1, 0.9, 0.5]).mean())
    assert found["reliability"] == [{"n": 1, "expected": 0.5, "right": 0.5}, {"n": 3, "expected": pytest.approx(0.9), "right": 2 / 3}]
    assert found["calibration_error"] == pytest.approx(3 / 4 * (0.9 - 2 / 3))


def test_calibrated_differences_are_found_to_be_so() -> None:
    rng = np.random.default_rng(0)
    apart = rng.normal(size=4000)
    pairs = Pairs(np.where(rng.random(4000) < expit(apart), apart, -apart), np.arange(4000))
    found = judged(pairs)
    assert found["calibration_error"] < 0.03
    assert abs(found["calibration_slope"] - 1) < 2 * found["calibration_slope_se"]
    too_sure = judged(pairs._replace(differences=3 * pairs.differences))
    assert too_sure["calibration_slope"] == pytest.approx(found["calibration_slope"] / 3, rel=1e-3)
    assert too_sure["calibration_error"] > 0.1


def test_without_pairs_there_is_nothing_to_measure() -> None:
    with pytest.raises(ArgumentError, match="needs at least one pair"):
        judged(Pairs(np.zeros(0), np.zeros(0, dtype=np.int64)))


def said(annotator: str, ranks: tuple[int, ...], responses: tuple[str, ...] = ("a", "b", "c"), prompt: str = "p") -> Comparison:
    return Comparison(prompt=prompt, responses=responses, ranks=ranks, annotator=annotator)


def test_people_agree_on_the_pairs_that_both_ordered() -> None:
    # a before b: both; a and c: a tie of the second; b before c: the second says the contrary.
    found = human_agreement([said("one", (1, 2, 3)), said("two", (1, 2, 1))])
    assert found is not None
    assert (found.wins, found.losses) == (1, 1)


def test_the_order_of_the_responses_does_not_matter() -> None:
    found = human_agreement([said("one", (1, 2), ("a", "b")), said("two", (2, 1), ("b", "a")), said("three", (1, 2), ("b", "a"))])
    assert found is not None
    assert (found.wins, found.losses) == (1, 2)


def test_only_what_two_people_judged_counts() -> None:
    assert human_agreement([said("one", (1, 2, 3)), said("one", (3, 2, 1)), said("two", (1, 2, 3), prompt="other")]) is None
    # The last word of each.
    found = human_agreement([said("one", (1, 2), ("a", "b")), said("one", (2, 1), ("a", "b")), said("two", (2, 1), ("a", "b"))])
    assert found is not None
    assert found.rate == 1


def test_agreement_is_a_share_with_an_interval_over_prompts() -> None:
    both = [said(who, (1, 2), ("a", "b"), str(i)) for i in range(30) for who in ("one", "two")]
    found = human_agreement([*both, said("one", (1, 2), ("a", "b"), "x"), said("two", (2, 1), ("a", "b"), "x")])
    assert found is not None
    assert found.rate == pytest.approx(30 / 31)
    assert 0.75 < found.low < found.rate < found.high <= 1
