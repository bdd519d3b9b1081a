"""Agreement on published numbers, by hand, and on rankings that agree by chance."""

import math

import numpy as np
import pytest

from textenv.preferences.agreement import agreement, krippendorff_alpha
from textenv.preferences.comparison import Comparison


def said(ranks: tuple[int, ...], annotator: str = "", prompt: str = "p") -> Comparison:
    return Comparison(prompt=prompt, responses=tuple("abcdef"[: len(ranks)]), ranks=ranks, annotator=annotator)


def test_alpha_is_the_published_one() -> None:
    # Krippendorff 2011, section C: four observers, twelve units, ordinal data.
    rows = ("1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 .")
    units = [[float(value) for value in unit if value != "."] for unit in zip(*map(str.split, rows), strict=True)]
    assert krippendorff_alpha(units) == pytest.approx(0.815, abs=5e-4)


def test_alpha_by_hand() -> None:
    # Eight values that can be compared, five 0 and three 1: 2 differ within their units, 2 * 5 * 3 of 8 * 7 would by chance.
    assert krippendorff_alpha([[0, 0], [1, 1], [0, 1], [0, 0], [1]]) == pytest.approx(1 - 7 * 2 / (2 * 5 * 3))
    assert krippendorff_alpha([[1, 1], [2, 2]]) == 1
    assert math.isnan(krippendorff_alpha([[1, 1], [1, 1]]))
    assert math.isnan(krippendorff_alpha([[1], [2]]))


def test_agreement_by_hand() -> None:
    measured = agreement([
        said((1, 2, 3), "anna"), said((1, 2, 2), "ben"),  # two pairs of three, as the tie is none
        said((1, 2), "anna", "q"), said((2, 1), "ben", "q"), said((1, 2), "cleo", "q"),  # anna and cleo
        said((1, 2), "anna", "r"),  # alone
        Comparison(prompt="r", responses=("a", "b"), annotator="ben"),  # cannot tell
    ])  # fmt: skip
    assert measured[:3] == (2, 6, 0.5)
    # Residuals .5 and -.5 over 6 pairs: .25 / (2 * .5 / 36) = 9 effective pairs, at most the 6; then Wilson.
    assert (measured.low, measured.high) == pytest.approx((0.1876, 0.8124), abs=1e-4)
    units = [[1, 1], [1, 1], [1, 0], [1, -1, 1]]
    assert measured.alpha == krippendorff_alpha([*units, *([-value for value in unit] for unit in units)])
    assert math.isnan(measured.alpha_ratings)


def test_ties_lie_midway_between_the_verdicts() -> None:
    """With both directions counted, the ordinal metric is the interval one."""
    first, second = [(1, 2), (1, 1), (2, 1), (1, 2), (1, 1)], [(1, 2), (1, 2), (2, 1), (2, 1), (1, 1)]
    rankings = zip(first, second, strict=True)
    measured = agreement(said(ranks, name, f"{i}") for i, pair in enumerate(rankings) for name, ranks in zip("ab", pair, strict=True))
    # Values of five units: (1, 1), (0, 1), (-1, -1), (1, -1), (0, 0), and their negatives: n = 20, seven of 1 and of -1, six of 0.
    observed = 2 * (2 * 1 + 2 * 4)
    expected = 2 * (7 * 6 * 1 + 6 * 7 * 1 + 7 * 7 * 4)
    assert measured.alpha == pytest.approx(1 - 19 * observed / expected)


def test_the_order_of_responses_does_not_matter() -> None:
    rankings = [((1, 2, 3), (2, 1, 3)), ((1, 1, 2), (1, 2, 3))]
    one, other = (
        agreement(said(ranks[::step], name, f"{i}") for i, pair in enumerate(rankings) for name, ranks in zip("ab", pair, strict=True))
        for step in (1, -1)
    )
    assert one[:6] == pytest.approx(other[:6])


def test_ratings_have_an_alpha_of_their_own() -> None:
    rows = [(1.0, 7.0, None), (1.0, 6.0, 3.0)]
    measured = agreement(
        Comparison(prompt="p", responses=("a", "b", "c"), ratings=row, annotator=name) for name, row in zip("ab", rows, strict=True)
    )
    assert measured.alpha_ratings == krippendorff_alpha([[1, 1], [7, 6]])
    assert measured[:2] == (0, 0)
    assert math.isnan(measured.share)


def test_the_interval_holds_the_share_that_chance_gives() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        measured = agreement(said(tuple((rng.permutation(6) + 1).tolist()), name, f"{item}") for item in range(30) for name in ("a", "b"))
        held += measured.low <= 0.5 <= measured.high
    assert 0.91 <= held / 200 <= 0.98  # were the 15 pairs of an item independent, the interval would hold it in .85


def test_full_agreement_is_no_certainty() -> None:
    measured = agreement(said((1, 2, 3), name, f"{item}") for item in range(5) for name in ("a", "b"))
    assert (measured.share, measured.high, measured.alpha) == (1, 1, 1)
    assert measured.low == pytest.approx(5 / (5 + 1.959964**2)), "Wilson's, of five items"
    assert math.isnan(agreement([]).share)
