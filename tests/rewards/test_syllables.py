"""Syllables: of words that the dictionary has, and estimates of those it has not."""

import pytest

from textenv.rewards.syllables import syllables, syllables_of_word


@pytest.mark.parametrize(
    ("word", "count"),
    [("moon", 1), ("Autumn", 2), ("BUTTERFLY", 3), ("watermelon", 4), ("chrysanthemum", 4), ("don't", 1), ("don’t", 1), ("crow's", 1)],
)
def test_words_of_the_dictionary(word: str, count: int) -> None:
    assert syllables_of_word(word) == count


@pytest.mark.parametrize(("word", "count"), [("snowmelt", 2), ("grobe", 1), ("flomed", 1), ("tchk", 1), ("crantarily", 4), ("été", 2)])
def test_other_words_are_estimated(word: str, count: int) -> None:
    assert syllables_of_word(word) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("be\u00adauti\u200bful e\u0301te\u0301", 5),
        ("...", 0),
        ("old pond --- a frog jumps", 5),
        ("well-known, half_way", 4),
        ("3 crows 1 1", 1),
        ("\n", 0),
        ("crows " * 10_000, 10_000),
    ],
)
def test_texts(text: str, count: int) -> None:
    assert syllables(text) == count


def test_every_word_of_another_script_counts_at_least_one() -> None:
    assert syllables("古池や 蛙") == 2
