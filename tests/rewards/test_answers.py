"""Rules for answers."""

import pytest

from textenv.rewards.answers import ListOf, differs


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Apple, pear and plum.", 1.0),
        ("apple; pear\nplum", 1.0),
        ("Apple and pear.", 2 / 3),
        ("Apple, apple and apple.", 1 / 3),
        ("Apple, pear, plum, lemon and stone.", 3 / 5),
        ("stone", 0.0),
        ("apple pear plum", 0.0),
        ("", 0.0),
    ],
)
def test_a_list_is_paid_by_its_right_items(text: str, score: float) -> None:
    assert ListOf()([text], members=[["apple", "pear", "plum", "lemon"]]) == [pytest.approx(score)]


def test_a_copy_differs_in_nothing() -> None:
    assert differs(["Tom ran.", " tom RAN", ""], ["Tom ran."] * 3) == [0.0, 0.0, 1.0]
