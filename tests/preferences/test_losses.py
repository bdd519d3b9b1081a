"""The losses of judgements on numbers worked out by hand, and against every order of four responses."""

import itertools
import math
from collections.abc import Callable, Sequence

import pytest
import torch

from textenv.preferences.losses import bradley_terry, davidson, is_better, k_wise, plackett_luce, regression

REWARDS = (0.7, -1.2, 0.4, 2.1)
EVERYTHING = (True, True, True, True)
RANKINGS = [
    ranks
    for ranks in itertools.product(range(1, 5), repeat=4)
    if min(ranks) == 1 and len(set(ranks)) == max(ranks)  # without gaps, so that each ranking occurs once
]
"""All 75 rankings of four responses, with ties."""


def rows(*values: Sequence[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def batch(
    ranks: Sequence[int], mask: Sequence[bool] = EVERYTHING, *, grad: bool = False
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One prompt; what stands where the mask is false must not matter."""
    rewards = rows([r if m else 50.0 for r, m in zip(REWARDS, mask, strict=True)]).requires_grad_(grad)
    return rewards, torch.tensor([list(ranks)]), torch.tensor([list(mask)])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def orders(ranks: Sequence[int], members: Sequence[int]) -> list[tuple[int, ...]]:
    """All orders of the members that the ranks allow, the best first."""
    return [order for order in itertools.permutations(members) if [ranks[i] for i in order] == sorted(ranks[i] for i in members)]


def probability(order: Sequence[int]) -> float:
    """P of an order: choice after choice."""
    strengths = [math.exp(REWARDS[i]) for i in order]
    return math.prod(strength / sum(strengths[i:]) for i, strength in enumerate(strengths))


def test_bradley_terry_by_hand() -> None:
    found = bradley_terry(torch.tensor([1.0, 0.0, 2.0]), torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, 0.0, math.log(3)]))
    # log(1 + 1/e), log(1 + e), and log(1 + 3)
    assert found.tolist() == pytest.approx([0.3132617, 1.3132617, 1.3862944], abs=1e-6)


def test_two_responses_are_a_pair() -> None:
    rewards, mask = rows([0.3, 1.5], [0.3, 1.5]), torch.ones(2, 2, dtype=torch.bool)
    ranks = torch.tensor([[1, 2], [2, 1]])
    pairs = bradley_terry(rows([0.3, 1.5])[0], rows([1.5, 0.3])[0])
    for loss in (k_wise, plackett_luce):
        assert torch.allclose(loss(rewards, ranks, mask), pairs, atol=1e-12)
    assert torch.allclose(davidson(rewards, ranks, mask, torch.tensor(-60.0, dtype=torch.float64)), pairs, atol=1e-12)


@pytest.mark.parametrize("mask", [EVERYTHING, (True, False, True, True), (True, True, True, False)])
def test_all_rankings_of_four_against_brute_force(mask: tuple[bool, ...]) -> None:
    members = [i for i, there in enumerate(mask) if there]
    nu = 0.6
    for ranks in RANKINGS:
        pairs = [(i, j) for i in members for j in members if ranks[i] < ranks[j]]
        expected = [-math.log(sigmoid(REWARDS[i] - REWARDS[j])) for i, j in pairs]
        assert k_wise(*batch(ranks, mask)).item() == pytest.approx(sum(expected) / max(1, len(pairs)), abs=1e-12)
        margins = torch.full((1, 4, 4), 0.25)
        with_margin = [-math.log(sigmoid(REWARDS[i] - REWARDS[j] - 0.25)) for i, j in pairs]
        assert k_wise(*batch(ranks, mask), margins).item() == pytest.approx(sum(with_margin) / max(1, len(pairs)), abs=1e-12)
        total = sum(probability(order) for order in orders(ranks, members))
        assert plackett_luce(*batch(ranks, mask)).item() == pytest.approx(-math.log(total), abs=1e-12)
        said = []
        for i, j in itertools.combinations(members, 2):
            a, b = math.exp(REWARDS[i]), math.exp(REWARDS[j])
            part = a if ranks[i] < ranks[j] else b if ranks[i] > ranks[j] else nu * math.sqrt(a * b)
            said.append(-math.log(part / (a + b + nu * math.sqrt(a * b))))
        log_nu = torch.tensor(math.log(nu), dtype=torch.float64)
        assert davidson(*batch(ranks, mask), log_nu).item() == pytest.approx(sum(said) / len(said), abs=1e-12)


def test_rankings_are_a_distribution() -> None:
    strict = [plackett_luce(*batch(ranks)).neg().exp().item() for ranks in itertools.permutations((1, 2, 3, 4))]
    assert sum(strict) == pytest.approx(1, abs=1e-12)
    assert plackett_luce(*batch((1, 1, 1, 1))).item() == pytest.approx(0, abs=1e-12)


def test_a_choice_among_four_is_a_softmax() -> None:
    found = plackett_luce(*batch((2, 2, 1, 2)))
    assert found.item() == pytest.approx(-rows(REWARDS).log_softmax(-1)[0, 2].item(), abs=1e-12)


def test_davidson_by_hand() -> None:
    # Equals, ν = 2: a tie half of the time, either better a quarter of the time.
    rewards, mask, log_nu = torch.zeros(2, 2), torch.ones(2, 2, dtype=torch.bool), torch.tensor(math.log(2.0))
    found = davidson(rewards, torch.tensor([[1, 1], [2, 1]]), mask, log_nu)
    assert found.tolist() == pytest.approx([math.log(2), math.log(4)], abs=1e-6)


def test_regression_by_hand() -> None:
    mask = torch.tensor([[True, True, False], [False, False, False]])
    found = regression(torch.tensor([[1.0, 2.0, 9.0]] * 2), torch.tensor([[3.0, 1.0, 0.0]] * 2), mask)
    assert found.tolist() == [2.5, 0.0]


def test_pairs() -> None:
    found = is_better(torch.tensor([[1, 2, 2]]), torch.tensor([[True, True, False]]))
    assert found.nonzero().tolist() == [[0, 0, 1]]


def test_a_rating_that_is_not_there_does_not_matter() -> None:
    rewards = torch.zeros(1, 2, requires_grad=True)
    regression(rewards, torch.tensor([[1.0, math.nan]]), torch.tensor([[True, False]])).sum().backward()
    assert rewards.grad is not None
    assert rewards.grad.tolist() == [[-2.0, 0.0]]


LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "k_wise": k_wise,
    "plackett_luce": plackett_luce,
    "davidson": lambda rewards, ranks, mask: davidson(rewards, ranks, mask, torch.tensor(-1.0, dtype=torch.float64)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_raise_the_best_and_lower_the_worst(name: str) -> None:
    rewards, ranks, mask = batch((1, 2, 3, 4), (True, True, False, True), grad=True)
    LOSSES[name](rewards, ranks, mask).sum().backward()
    assert rewards.grad is not None
    best, _, absent, worst = rewards.grad[0].tolist()
    assert best < 0 < worst
    assert absent == 0
    assert rewards.grad.sum().item() == pytest.approx(0, abs=1e-12)  # only differences count


def test_far_rewards_have_finite_gradients() -> None:
    for loss in LOSSES.values():
        rewards = rows([-1e4, 1e4, 0.0, 0.0]).requires_grad_()
        loss(rewards, torch.tensor([[1, 4, 2, 2]]), torch.ones(1, 4, dtype=torch.bool)).sum().backward()
        assert rewards.grad is not None
        assert rewards.grad.isfinite().all()
