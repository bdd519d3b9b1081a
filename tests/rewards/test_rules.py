"""Rules on texts scored by hand: empty, very long, and without spaces."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from textenv.errors import ArgumentError
from textenv.rewards.protocol import call_reward
from textenv.rewards.rules import Avoids, Contains, Distinct, Length, Matches

LONG = "word " * 20_000


@pytest.mark.parametrize(
    ("reward", "completions", "expected"),
    [
        (Matches(r"^\d+ (cats|dogs)$"), ["12 cats", "12 cats.", "cats", ""], [1, 0, 0, 0]),
        (Matches("秋"), ["深秋了", "春天来了"], [1, 0]),
        (Contains(["rain", "wind"]), ["Rain and WIND.", "the rain", "rainy windows", "", "rain " + LONG], [1, 0.5, 0, 0, 0.5]),
        (Contains(["good morning"]), ["Good  morning!", "good, and a morning"], [1, 0]),
        (Contains(["秋天", "雨"]), ["秋天下雨", "秋雨天", "天秋"], [1, 0.5, 0]),
        (Avoids(["bad", "so so"]), ["a badge", "Bad!", "it is so-so", "", "so, and so", LONG], [1, 0, 0, 1, 1, 1]),
        (Avoids(["bad", "café"]), ["b\u00adad", "b\u200ba\u2060d", "cafe\u0301", "CAFÉ", "ba d"], [0, 0, 0, 0, 1]),
        (Contains(["istanbul", "don't", "👍"]), ["İSTANBUL, don’t 👍", "👍🏽 Istanbul"], [1, 1 / 3]),
        (Length(1, 1), ["👨\u200d👩\u200d👧", "👍👍", "e\u0301t\u200de\u0301"], [1, 0, 1]),
        (Length(4, 8), ["", "one", "one two three four", "w " * 8, "w " * 12, "w " * 16, LONG, "我爱"], [0, 0.25, 1, 1, 0.5, 0, 0, 0.5]),
        (Length(0, 2), ["", "one two", "one two three"], [1, 1, 0.5]),
        (Distinct(), ["a b a B", "a b c", "one", "", LONG], [2 / 3, 1, 0, 0, 1 / 19_999]),
        (Distinct(1), ["好好好真", "a A a a", "é e\u0301 É x\u00ad x"], [0.5, 0.25, 0.4]),
    ],
)
def test_scores_by_hand(reward: Callable[..., Any], completions: list[str], expected: list[float]) -> None:
    copy = pickle.loads(pickle.dumps(reward))
    assert copy == reward
    assert call_reward(copy, [""] * len(completions), completions)[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Matches("(open"), r"Matches needs a regular expression, and '\(open' is none: missing \)"),
        (lambda: Matches(3), "Matches needs a regular expression, and 3 is none"),  # type: ignore[arg-type]
        (lambda: Contains([]), r"Contains needs a list of words, got \[\]"),
        (lambda: Contains("rain"), "Contains needs a list of words, got 'rain'"),
        (lambda: Avoids(["fine", "!!"]), "Avoids looks for words, and '!!' is none; Matches looks"),
        (lambda: Length(5, 4), "Length needs 0 ≤ low ≤ high and high ≥ 1, got low=5 and high=4"),
        (lambda: Length(0, 0), "Length needs 0 ≤ low ≤ high and high ≥ 1"),
        (lambda: Length(-1, 3), "Length needs 0 ≤ low ≤ high and high ≥ 1"),
        (lambda: Distinct(0), "Distinct needs n-grams of at least 1 word, got n=0"),
    ],
)
def test_bad_arguments_are_refused_at_construction(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()
