"""Win rates and strengths on numbers worked out by hand, against a general optimiser, and how often their intervals hold the truth."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from textenv.errors import ArgumentError
from textenv.preferences.win_rates import Z, bradley_terry, outcomes, win_rate


def array(*values: float) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def test_higher_scores_win_and_equal_ones_tie() -> None:
    assert outcomes(array(1, 2, 3, -50), array(2, 2, 1, -50.0004)).tolist() == [0, 0.5, 1, 0.5]
    assert outcomes(array(0.30001, 0.3), array(0.3, 0.3001)).tolist() == [0.5, 0]


def test_a_win_rate_by_hand() -> None:
    found = win_rate(array(1, 1, 1, 0.5, 0), np.arange(5))
    assert (found.wins, found.ties, found.losses, found.rate) == (3, 1, 1, 0.7)
    # With a win and a loss more: 4.5 of 7. Residuals: 4 wins 5/14, a tie -2/14, 2 losses -9/14, so Σ² = (100 + 4 + 162) / 196.
    middle, half = 4.5 / 7, Z * math.sqrt(7 / 6 * 266 / 196) / 7
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half))


def test_pairs_of_one_prompt_count_as_much_as_they_differ() -> None:
    alike = win_rate(array(1, 1, 1, 1, 0, 0), np.array([7, 7, 3, 3, 5, 5]))
    single = win_rate(array(1, 1, 0), np.arange(3))
    assert (alike.low, alike.high) == pytest.approx((single.low, single.high))
    # Wins and losses that cancel out within each prompt say more than those of prompts of their own.
    even = win_rate(np.tile(array(1, 0), 20), np.repeat(np.arange(20), 2))
    loose = win_rate(np.tile(array(1, 0), 20), np.arange(40))
    assert even.high - even.low < 0.5 * (loose.high - loose.low)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_no_interval_collapses(value: float) -> None:
    few, many = (win_rate(np.full(n, value), np.arange(n)) for n in (10, 1000))
    assert few.rate == many.rate == value
    for found in (few, many):
        assert 0 <= found.low <= value <= found.high <= 1
        assert found.high - found.low > 1 / (found.wins + found.ties + found.losses)
    assert few.high - few.low > 10 * (many.high - many.low)


def test_a_win_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ArgumentError, match="needs at least one pair"):
        win_rate(array(), np.zeros(0, dtype=np.int64))


def drawn(rng: np.random.Generator, chances: NDArray[np.float64], episodes: int) -> NDArray[np.float64]:
    """Draw wins, ties and losses with the chances (G, 3) of each prompt: (G x episodes,)."""
    edges = chances.cumsum(1)[:, None, :]
    return (1 - (rng.random((len(chances), episodes))[..., None] > edges[..., :2]).sum(2) / 2).ravel()


@pytest.mark.parametrize(
    ("prompts", "episodes", "win", "tie", "alike"),
    [(10, 1, 0.5, 0.0, 0), (40, 1, 0.9, 0.0, 0), (40, 1, 0.05, 0.9, 0), (64, 8, 0.55, 0.1, 1), (12, 8, 0.8, 0.0, 1), (64, 1, 0.99, 0.0, 0)],
)
def test_intervals_hold_the_truth(prompts: int, episodes: int, win: float, tie: float, alike: float) -> None:
    rng, mean, held, times = np.random.default_rng(0), np.array([win, tie, 1 - win - tie]), 0, 1500
    index = np.repeat(np.arange(prompts), episodes)
    for _ in range(times):
        chances = rng.dirichlet(np.maximum(mean * alike, 1e-9), prompts) if alike else np.tile(mean, (prompts, 1))
        found = win_rate(drawn(rng, chances, episodes), index)
        held += found.low <= win + tie / 2 <= found.high
    assert held / times > 0.94


def test_two_players_by_hand() -> None:
    # 5 wins, 2 ties, 1 loss, and half a win of each that is added: 6.5 to 2.5.
    won = array(1, 1, 1, 1, 1, 0.5, 0.5, 0)
    zeros = np.zeros(8, dtype=np.int64)
    table = bradley_terry(zeros + 1, zeros, won, np.arange(8), ["a", "b"])
    assert table.values == pytest.approx([0, math.log(13 / 5)])
    # In eighteenths p = 13/18: H = 9 p(1-p); Σ u²: wins 5², ties 4², a loss 13², and of the added ones a quarter of 5² and of 13².
    half = Z * math.sqrt(9 / 8 * (5 * 25 + 2 * 16 + 169 + (25 + 169) / 4)) / 18 / (9 * 13 / 18 * 5 / 18)
    assert (table.low[1], table.high[1]) == pytest.approx((math.log(13 / 5) - half, math.log(13 / 5) + half))
    assert table.low[0] == table.high[0] == 0
    turned = bradley_terry(zeros, zeros + 1, 1 - won, np.arange(8), ["a", "b"])
    assert turned.values == pytest.approx(table.values)


def tournament(rng: np.random.Generator, strengths: NDArray[np.float64], prompts: int, spread: float = 0.0) -> tuple[NDArray[np.int64], ...]:
    """Every player against every other on each prompt; strengths differ from prompt to prompt by `spread`: first, second, outcome, prompt."""
    one, other = np.triu_indices(len(strengths), 1)
    first, second, index = np.tile(one, prompts), np.tile(other, prompts), np.repeat(np.arange(prompts), len(one))
    there = strengths + spread * rng.normal(size=(prompts, len(strengths)))
    chance = 1 / (1 + np.exp(there[index, second] - there[index, first]))
    return first, second, (rng.random(len(first)) < chance).astype(np.float64), index


def test_strengths_against_a_general_optimiser() -> None:
    rng = np.random.default_rng(1)
    first, second, won, prompts = tournament(rng, np.array([0.0, 1.0, -0.5, 3.0]), 30)
    won = np.where(rng.random(len(won)) < 0.1, 0.5, won)
    one, other = np.nonzero(~np.eye(4, dtype=bool))

    def loss(free: NDArray[np.float64]) -> float:
        s = np.append(0, free)
        margin, extra = s[first] - s[second], s[one] - s[other]
        return float((won * np.logaddexp(0, -margin) + (1 - won) * np.logaddexp(0, margin)).sum() + 0.5 * np.logaddexp(0, -extra).sum())

    best = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-8}).x
    assert bradley_terry(first, second, won, prompts, list("abcd")).values[1:] == pytest.approx(best, abs=1e-5)


def test_who_wins_everything_is_strong_but_not_surely_how_strong() -> None:
    first, second, index = np.tile([1, 2, 2], 100), np.tile([0, 0, 1], 100), np.repeat(np.arange(100), 3)
    won = np.where(second == 0, 1.0, 0.5)  # 1 and 2 always beat 0 and are alike
    table = bradley_terry(first, second, won, index, ["a", "b", "c"])
    assert table.values[1] == pytest.approx(math.log(201), abs=0.01)
    assert table.values[1] == pytest.approx(table.values[2])
    assert table.low[1] > 3
    assert table.high[1] - table.low[1] > 2
    thousand = bradley_terry(np.ones(10**5, dtype=np.int64), np.zeros(10**5, dtype=np.int64), np.ones(10**5), np.arange(10**5), ["a", "b"])
    assert thousand.values[1] == pytest.approx(math.log(2 * 10**5 + 1))


def test_several_episodes_of_a_prompt_weigh_as_prompts_do() -> None:
    first, second, won, prompts = tournament(np.random.default_rng(2), np.array([0.0, 1.0, 0.3]), 20)
    once = bradley_terry(first, second, won, prompts, list("abc"))
    thrice = bradley_terry(*(np.repeat(part, 3) for part in (first, second, won, prompts)), list("abc"))
    for one, three in zip(once, thrice, strict=True):
        assert three == pytest.approx(one)


@pytest.mark.parametrize(("prompts", "spread"), [(30, 0.0), (60, 1.0)])
def test_intervals_of_strengths_hold_the_truth(prompts: int, spread: float) -> None:
    rng, strengths = np.random.default_rng(3), np.array([0.0, 0.5, 1.5])
    if spread:  # the truth is what many prompts would give
        truth = bradley_terry(*tournament(rng, strengths, 20_000, spread), list("abc")).values
    else:
        truth = strengths
    held, times = np.zeros(3), 1000
    for _ in range(times):
        table = bradley_terry(*tournament(rng, strengths, prompts, spread), list("abc"))
        held += (table.low <= truth) & (truth <= table.high)
    assert (held[1:] / times > 0.925).all()
    assert (held[1:] / times < 0.99).all()


def test_a_player_of_whom_nothing_is_known_is_refused() -> None:
    first, second = np.array([0, 2]), np.array([1, 3])
    with pytest.raises(ArgumentError, match="Nothing is known of c against a; compare them, or leave one out"):
        bradley_terry(first, second, array(1, 0), np.array([0, 1]), list("abcd"))
    chained = bradley_terry(np.array([3, 1, 2]), np.array([2, 0, 1]), array(1, 0, 1), np.arange(3), list("abcd"))
    assert np.isfinite(chained.values).all()
