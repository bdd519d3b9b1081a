"""`SimulatedAnnotator` against the closed forms of the models it is said to follow."""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from textenv.errors import ArgumentError, RewardError
from textenv.preferences.annotator import SimulatedAnnotator
from textenv.preferences.comparison import Comparison
from textenv.preferences.store import Item

SCORES = {"a": 0.9, "b": 0.4, "c": 0.1, "d": -0.2}
N = 2000


def score(completions: list[str]) -> list[float]:
    return [SCORES[text] for text in completions]


def judged(letters: str, **options: Any) -> list[Comparison]:
    return SimulatedAnnotator(score, **options).judge([Item(prompt=f"{i}", responses=tuple(letters)) for i in range(N)])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def deviations(observed: int, probability: float) -> float:
    return float((observed - N * probability) / math.sqrt(N * probability * (1 - probability)))


@pytest.mark.parametrize("noise", [0.2, 0.5, 2.0])
def test_pairs_follow_bradley_and_terry(noise: float) -> None:
    for first, second in ("ab", "ba", "ad"):
        wins = Counter(comparison.ranks for comparison in judged(first + second, noise=noise))[(1, 2)]
        assert abs(deviations(wins, sigmoid((SCORES[first] - SCORES[second]) / noise))) < 3.5


def test_rankings_follow_plackett_and_luce() -> None:
    noise = 0.5
    counts = Counter(comparison.ranks for comparison in judged("abcd", noise=noise))
    chi_square = 0.0
    for order in itertools.permutations(range(4)):
        strengths = [math.exp(SCORES["abcd"[i]] / noise) for i in order]
        probability = math.prod(strengths[i] / sum(strengths[i:]) for i in range(4))
        ranks = tuple(order.index(i) + 1 for i in range(4))
        chi_square += (counts[ranks] - N * probability) ** 2 / (N * probability)
    assert chi_square < 49.7  # the .999 quantile with 23 degrees of freedom


def test_pairs_of_a_ranking_follow_bradley_and_terry_too() -> None:
    wins = sum((1, 3) in comparison.pairs for comparison in judged("abcd", noise=0.5))
    assert abs(deviations(wins, sigmoid((SCORES["b"] - SCORES["d"]) / 0.5))) < 3.5


def test_ties_follow_rao_and_kupper() -> None:
    noise, tie = 0.5, 0.3
    counts = Counter(comparison.ranks for comparison in judged("ab", noise=noise, tie=tie))
    better, worse = sigmoid((0.5 - tie) / noise), sigmoid((-0.5 - tie) / noise)
    for ranks, probability in (((1, 2), better), ((2, 1), worse), ((1, 1), 1 - better - worse)):
        assert abs(deviations(counts[ranks], probability)) < 3.5


def test_without_noise_the_score_decides() -> None:
    assert {comparison.ranks for comparison in judged("bacb")} == {(2, 1, 3, 2)}


def test_an_item_is_judged_alike_whatever_else_is() -> None:
    items = [Item(prompt=f"{i}", responses=("a", "b", "c")) for i in range(30)]
    annotator = SimulatedAnnotator(score, noise=1.0)
    assert [annotator.judge([item])[0] for item in items[::-1]] == annotator.judge(items)[::-1]
    assert annotator.judge([]) == []


def test_seeds_and_names_see_different_noise() -> None:
    first, *others = (judged("ab", noise=2.0, **options) for options in ({}, {"seed": 1}, {"name": "other"}))
    p = sigmoid(0.5 / 2.0)
    for other in others:
        agreed = sum(a.ranks == b.ranks for a, b in zip(first, other, strict=True))
        assert abs(deviations(agreed, p * p + (1 - p) * (1 - p))) < 3.5
    assert {comparison.annotator for comparison in others[1]} == {"other"}


def test_ratings_are_the_scores_on_their_scale() -> None:
    (rated,) = SimulatedAnnotator(score, rated=(-0.1, 0.5)).judge([Item(prompt="", responses=("a", "b", "c", "d"), sources=tuple("wxyz"))])
    assert rated.ratings == (7.0, 6.0, 3.0, 1.0)
    assert rated.sources == ("w", "x", "y", "z")
    noisy = np.array([comparison.ratings for comparison in judged("bc", noise=0.8, rated=(-4.75, 5.25))])
    assert noisy.mean(0) == pytest.approx([4.09, 3.91], abs=0.05)  # 1 + 6 (score + 4.75) / 10; the standard error is .014
    for comparison in judged("bc", noise=0.3, rated=(-0.75, 1.25))[:200]:
        (b, c), better = comparison.ratings or (0, 0), comparison.pairs[0]
        assert b is not None
        assert c is not None
        assert (b >= c) if better == (0, 1) else (b <= c), "ratings come from what was seen"


def test_columns_reach_the_reward() -> None:
    def named(prompts: list[str], completions: list[str], favourite: list[str]) -> list[float]:
        return [float(text == best) for text, best in zip(completions, favourite, strict=True)]

    items = [Item(prompt="p", responses=("a", "b", "c"), columns={"favourite": best, "other": 1}) for best in "bc"]
    assert [comparison.ranks for comparison in SimulatedAnnotator(named).judge(items)] == [(2, 1, 2), (2, 2, 1)]
    with pytest.raises(RewardError, match='needs "favourite"'):
        SimulatedAnnotator(named).judge([*items, Item(prompt="p", responses=("a", "d"))])


def test_a_reward_may_be_named() -> None:
    items = [Item(prompt="The film", responses=(" was awful and boring.", " was wonderful and moving."))]
    assert SimulatedAnnotator("tiny-sentiment").judge(items)[0].ranks == (2, 1)


@pytest.mark.parametrize(
    "options", [{"noise": -1.0}, {"noise": math.nan}, {"tie": -0.1}, {"tie": math.inf}, {"rated": (1.0, 1.0)}, {"rated": (0.0, math.inf)}]
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=f"^{next(iter(options))} must be"):
        SimulatedAnnotator(score, **options)
