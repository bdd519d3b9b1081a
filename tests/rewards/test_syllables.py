"""Syllables: of words that the dictionary has, and estimates of those it has not."""

import pytest

from textenv.rewards.syllables import (
    _table,
    fewest_syllables,
    is_in_dictionary,
    syllables,
    syllables_by_rules,
    syllables_of_word,
    syllables_of_word_by_rules,
)


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


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("moon late whale the leaves waves names walked played", 1),
        ("autumn little candles startled painted branches going poem quiet prism", 2),
        ("snowflakes sidewalk evening homeless beyond ruin lion fox's didn't", 2),
        ("butterfly violet dragonflies periods audience", 3),
        ("watermelon January's", 4),
    ],
)
def test_rules_count_by_spelling(words: str, count: int) -> None:
    counts = {word: syllables_of_word_by_rules(word) for word in words.split()}
    assert counts == dict.fromkeys(counts, count)


def test_rules_count_texts() -> None:
    assert syllables_by_rules("Old Pond’s ... an owl,\n3 FROGS") == 5
    assert syllables_by_rules("") == 0


def test_rules_and_dictionary_agree_on_most_words() -> None:
    """They are two witnesses: near each other, and not the same."""
    table = _table()
    agree = sum(syllables_of_word_by_rules(word) == count for word, count in table.items())
    assert 0.90 < agree / len(table) < 0.95


def test_which_words_the_dictionary_has() -> None:
    words = ["moon", "MOON’S", "won't", "snowmelt", "mooxing", "été", ""]
    assert [is_in_dictionary(word) for word in words] == [True, True, True, False, False, False, False]


def test_the_shortest_pronunciation_counts() -> None:
    text = "Every hour, our fire."
    assert (fewest_syllables(text), syllables(text)) == (5, 9)
    assert fewest_syllables("a little longer\nbetween spring") == syllables("a little longer\nbetween spring") == 8
    assert fewest_syllables("") == 0
