"""Advantages on hand-computed numbers."""

from typing import Any

import pytest
import torch

from textenv.errors import ArgumentError
from textenv.rollouts.advantages import gae, leave_one_out, masked_mean, masked_whiten, reward_to_go, whole_return

MASK = torch.tensor([[True, True, True], [True, True, False]])


def rows(*values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def assert_close(found: torch.Tensor, *expected: list[float]) -> None:
    torch.testing.assert_close(found, rows(*expected), rtol=0, atol=1e-5)


def test_masked_mean() -> None:
    assert masked_mean(rows([1, 2, 3], [4, 5, 99]), MASK).item() == pytest.approx(3.0)


def test_masked_whiten() -> None:
    # Over 1, 2, 3, 4, 5: mean 3, biased variance 2.
    values = rows([1, 2, 3], [4, 5, 99])
    assert_close(masked_whiten(values, MASK), [-(2**0.5), -(0.5**0.5), 0], [0.5**0.5, 2**0.5, 0])


def test_whitening_equal_values_gives_zeros() -> None:
    assert_close(masked_whiten(rows([2, 2, 2], [2, 2, 7]), MASK), [0, 0, 0], [0, 0, 0])


def test_reward_to_go() -> None:
    rewards = rows([1, 2, 4], [8, 16, 99])
    assert_close(reward_to_go(rewards, MASK), [7, 6, 4], [24, 16, 0])
    assert_close(reward_to_go(rewards, MASK, gamma=0.5), [1 + 1 + 1, 2 + 2, 4], [16, 16, 0])
    assert_close(reward_to_go(rewards, MASK, gamma=0.0), [1, 2, 4], [8, 16, 0])


def test_gae_by_hand() -> None:
    rewards, values = rows([0, 0, 1], [0, 2, 99]), rows([0.5, 0.25, 0.75], [1, 0.5, 77])
    # γ = 0.5, λ = 0.5. Row 0: δ = 0 + .125 - .5, 0 + .375 - .25, 1 - .75 = -.375, .125, .25
    # A_2 = .25, A_1 = .125 + .25 * .25 = .1875, A_0 = -.375 + .25 * .1875 = -.328125
    # Row 1: δ = 0 + .25 - 1, 2 - .5 = -.75, 1.5; A_1 = 1.5, A_0 = -.75 + .375 = -.375
    assert_close(gae(rewards, values, MASK, 0.5, 0.5), [-0.328125, 0.1875, 0.25], [-0.375, 1.5, 0])


def test_gae_of_lambda_1_is_reward_to_go_less_value() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(2, 3, generator=generator), torch.randn(2, 3, generator=generator)
    for gamma in (1.0, 0.9):
        expected = (reward_to_go(rewards, MASK, gamma) - values) * MASK
        torch.testing.assert_close(gae(rewards, values, MASK, gamma, 1.0), expected, rtol=0, atol=1e-6)


def test_gae_of_lambda_0_is_the_one_step_error() -> None:
    rewards, values = rows([0, 0, 1], [0, 2, 99]), rows([0.5, 0.25, 0.75], [1, 0.5, 77])
    assert_close(gae(rewards, values, MASK, 1.0, 0.0), [-0.25, 0.5, 0.25], [-0.5, 1.5, 0])


def test_gae_is_zero_where_the_critic_is_right() -> None:
    rewards, values = rows([0, 0, 1], [0, 2, 99]), rows([1, 1, 1], [2, 2, 77])
    assert_close(gae(rewards, values, MASK, 1.0, 0.95), [0, 0, 0], [0, 0, 0])


def test_whole_return_by_hand() -> None:
    rewards = rows([1, 2, 4], [8, 16, 99])
    assert_close(whole_return(rewards, MASK), [7, 7, 7], [24, 24, 24])
    # γ = 0.5: 1 + 1 + 1, 1 + 2 + 2, 1 + 2 + 4; after the end of the second row what it was paid.
    assert_close(whole_return(rewards, MASK, gamma=0.5), [3, 5, 7], [16, 24, 24])
    assert_close(whole_return(rewards, MASK, gamma=0.0), [1, 3, 7], [8, 24, 24])


def test_leave_one_out_by_hand() -> None:
    returns = rows([6, 4], [3, 3], [10, 2], [20, 5])
    # k = 2: each against the other of its pair.
    assert_close(leave_one_out(returns, 2), [3, 1], [-3, -1], [-10, -3], [10, 3])
    # k = 4, first column: 6 - 33/3, 3 - 36/3, 10 - 29/3, 20 - 19/3; second: 4 - 10/3, 3 - 11/3, 2 - 12/3, 5 - 9/3.
    assert_close(leave_one_out(returns, 4), [-5, 2 / 3], [-9, -2 / 3], [1 / 3, -2], [41 / 3, 2])
    assert leave_one_out(returns[:, 0], 4).tolist() == pytest.approx([-5, -9, 1 / 3, 41 / 3])


def test_the_baseline_is_what_the_others_got_less_what_has_been_paid() -> None:
    rewards = rows([1, 2, 4], [8, 16, 99])
    # The other has got 24, so 24, 23 and 21 are left to be expected of the first, which brings 7, 6 and 4; and 7 and -1 of the second.
    advantages = leave_one_out(whole_return(rewards, MASK), 2) * MASK
    assert_close(advantages, [7 - 24, 6 - 23, 4 - 21], [24 - 7, 16 - (7 - 8), 0])


def test_leave_one_out_sums_to_zero_in_a_group() -> None:
    returns = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
    advantages = leave_one_out(returns, 4)
    assert advantages.abs().max() > 0.5
    assert_close(advantages.reshape(3, 4, 5).sum(1), *[[0.0] * 5] * 3)


@pytest.mark.parametrize("group_size", [0, 1, 3])
def test_groups_that_do_not_fit_are_refused(group_size: int) -> None:
    with pytest.raises(ArgumentError, match=f"groups of 2 or more that divide the batch, got {group_size} for 4 episodes"):
        leave_one_out(torch.zeros(4, 2), group_size)


@pytest.mark.parametrize(
    "function",
    [
        lambda r, m: reward_to_go(r, m),
        lambda r, m: gae(r, r, m, 1.0, 0.95),
        lambda r, m: leave_one_out(whole_return(r, m), 2) * m,
    ],
)
def test_what_is_masked_does_not_count(function: Any) -> None:
    one, two = rows([1, 2, 3], [4, 5, 6]), rows([1, 2, 3], [4, 5, -1000])
    assert torch.equal(function(one, MASK), function(two, MASK))
    assert function(one, MASK)[1, 2] == 0
