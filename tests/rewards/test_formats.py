"""Forms, scored by hand."""

import pytest

from textenv.errors import RewardError
from textenv.rewards.formats import format_score

LONG = "word " * 20_000


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("sentence", "It is a film.", 1),
        ("sentence", 'He said: "It is a film."', 1),
        ("sentence", "It is a film", 0.5),
        ("sentence", "Stop it!", 0.5),
        ("sentence", "", 0),
        ("sentence", LONG, 0),
        ("sentence", "我爱电影!", 1),
        ("paragraph", "word " * 30 + ".", 1),
        ("paragraph", "word " * 10 + "?", 0.5),
        ("paragraph", "word " * 60, 0.5 * (2 - 60 / 45)),
        ("list", "Bread, milk, tea", 1),
        ("list", " one\ntwo\nthree\nfour", 1),
        ("list", "bread, milk", 2 / 3),
        ("list", ",,, ;;; ...", 0),
        ("list", "This one item has far too many words, two", 1 / 3),
        ("list", LONG, 0),
        ("label", " Yes", 1),
        ("label", "no.", 1),
        ("label", "yes no", 0.25),
        ("label", "maybe", 0.5),
        ("label", "It is no", 1 / 3),
        ("label", "notes", 0.5),
        ("label", "", 0),
    ],
)
def test_scores_by_hand(form: str, text: str, expected: float) -> None:
    assert format_score([text], [form], [["yes", "no"] if form == "label" else []]) == [pytest.approx(expected)]


def test_every_text_has_its_own_form_and_options() -> None:
    assert format_score(["good", "good"], ["label", "label"], [["good", "bad"], ["yes", "no"]]) == [1, 0.5]


def test_an_unknown_form_is_named() -> None:
    with pytest.raises(RewardError, match="The column \"format\" names sentence, paragraph, list, label, not 'poem'"):
        format_score(["a"], ["poem"], [[]])
