"""Rules for answers."""

import pytest

from textenv.rewards.answers import ListOf, changed


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


@pytest.mark.parametrize(
    ("text", "source", "score"),
    [
        ("Tom ran.", "Tom ran.", 0.0),
        (" tom RAN", "Tom ran.", 0.0),
        ("Say it again: Tom ran. Yes.", "Tom ran.", 0.0),
        ("Tom ranted.", "Tom ran.", 1.0),
        ("Tom runs.", "Tom ran.", 1.0),
        ("Tom", "Tom ran.", 1.0),
        ("", "Tom ran.", 1.0),
        ("Tom ran.", "", 1.0),
    ],
)
def test_a_source_that_is_left_as_it_is_is_not_changed(text: str, source: str, score: float) -> None:
    assert changed([text], [source]) == [score]
