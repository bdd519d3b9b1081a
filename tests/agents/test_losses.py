"""Losses on hand numbers, and where their gradients point and stop."""

import math

import pytest
import torch

from textenv.agents.losses import clipped_surrogate, clipped_value_loss, penalised_surrogate, policy_gradient, value_loss


def surrogate(ratio: float, advantage: float) -> tuple[float, float]:
    """The loss and its gradient by log π at a given ratio, ε = 0.2."""
    log_prob = torch.tensor(-1.0 + math.log(ratio), dtype=torch.float64, requires_grad=True)
    old = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
    gain = torch.tensor(advantage, dtype=torch.float64, requires_grad=True)
    loss = clipped_surrogate(log_prob, old, gain, 0.2)
    loss.backward()
    assert old.grad is None
    assert gain.grad is None
    assert log_prob.grad is not None
    return loss.item(), log_prob.grad.item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (1.0, 2.0, -2.0, -2.0),  # on policy: the policy gradient
        (1.0, -2.0, 2.0, 2.0),
        (1.1, 2.0, -2.2, -2.2),  # inside the range
        (0.9, -2.0, 1.8, 1.8),
        (1.5, 2.0, -2.4, 0.0),  # a good action is already more probable by 1 + ε
        (0.5, -2.0, 1.6, 0.0),  # a bad one is already less probable by 1 - ε
        (0.5, 2.0, -1.0, -1.0),  # on the wrong side nothing is clipped
        (1.5, -2.0, 3.0, 3.0),
        (1.0, 0.0, 0.0, 0.0),
    ],
)
def test_clipped_surrogate(ratio: float, advantage: float, loss: float, gradient: float) -> None:
    assert surrogate(ratio, advantage) == pytest.approx((loss, gradient), abs=1e-9)


def test_descent_makes_good_actions_more_probable() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    log_probs = torch.log_softmax(logits, -1)[:, 0]
    clipped_surrogate(log_probs, log_probs.detach(), torch.tensor([1.0, -1.0]), 0.2).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0 < logits.grad[1, 0]
    assert torch.allclose(logits.grad.sum(-1), torch.zeros(2), atol=1e-7)


def test_shapes_are_kept() -> None:
    zeros = torch.zeros(2, 3)
    assert clipped_surrogate(zeros, zeros, zeros + 1, 0.2).tolist() == [[-1.0] * 3] * 2
    assert clipped_value_loss(zeros, zeros, zeros + 2, 0.2).tolist() == [[2.0] * 3] * 2


@pytest.mark.parametrize(
    ("value", "old", "target", "loss", "gradient"),
    [
        (1.0, 1.0, 3.0, 2.0, -2.0),  # ½ (1 - 3)²
        (1.1, 1.0, 3.0, 0.5 * 1.9**2, -1.9),  # inside the range
        (2.0, 1.0, 3.0, 0.5 * 1.8**2, 0.0),  # moved to the target by more than ε: the clipped value is farther, and stands still
        (0.0, 1.0, -1.0, 0.5 * 1.8**2, 0.0),
        (0.0, 1.0, 3.0, 4.5, -3.0),  # moved away: the value itself is farther
        (2.0, 1.0, -1.0, 4.5, 3.0),
        (3.0, 3.0, 3.0, 0.0, 0.0),
    ],
)
def test_clipped_value_loss(value: float, old: float, target: float, loss: float, gradient: float) -> None:
    new = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    found = clipped_value_loss(new, torch.tensor(old, dtype=torch.float64), torch.tensor(target, dtype=torch.float64), 0.2)
    found.backward()
    assert new.grad is not None
    assert (found.item(), new.grad.item()) == pytest.approx((loss, gradient), abs=1e-9)


def test_policy_gradient() -> None:
    log_probs = torch.tensor([-1.0, -2.0], dtype=torch.float64, requires_grad=True)
    loss = policy_gradient(log_probs, torch.tensor([3.0, -0.5], dtype=torch.float64))
    loss.sum().backward()
    assert loss.tolist() == [3.0, -1.0]
    assert log_probs.grad is not None
    assert log_probs.grad.tolist() == [-3.0, 0.5]


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (1.0, 2.0, -2.0, -2.0),  # on policy: the policy gradient alone, for the penalty is flat
        (2.0, 3.0, -6 + 0.5 * (1 - math.log(2)), -6 + 0.5 * 1),
        (0.5, 3.0, -1.5 + 0.5 * (-0.5 + math.log(2)), -1.5 + 0.5 * -0.5),
    ],
)
def test_penalised_surrogate(ratio: float, advantage: float, loss: float, gradient: float) -> None:
    log_prob = torch.tensor(-1.0 + math.log(ratio), dtype=torch.float64, requires_grad=True)
    old = torch.tensor(-1.0, dtype=torch.float64)
    found = penalised_surrogate(log_prob, old, torch.tensor(advantage, dtype=torch.float64), 0.5)
    found.backward()
    assert log_prob.grad is not None
    assert (found.item(), log_prob.grad.item()) == pytest.approx((loss, gradient))


def test_the_penalty_is_the_kl_of_the_old_policy_to_the_new_one() -> None:
    old = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    logits = torch.tensor([0.1, 0.5, -0.2], dtype=torch.float64, requires_grad=True)
    new = torch.log_softmax(logits, 0)
    kl = (old * (old.log() - new)).sum()
    estimate = (old * penalised_surrogate(new, old.log(), torch.zeros(3, dtype=torch.float64), 1.0)).sum()
    exact, found = (torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (kl, estimate))
    assert estimate.item() == pytest.approx(kl.item())
    assert found.tolist() == pytest.approx(exact.tolist())


def test_value_loss() -> None:
    values = torch.tensor([1.0, 3.0], requires_grad=True)
    returns = torch.tensor([2.0, 1.0], requires_grad=True)
    loss = value_loss(values, returns)
    loss.sum().backward()
    assert loss.tolist() == [0.5, 2.0]
    assert values.grad is not None
    assert values.grad.tolist() == [-1.0, 2.0]
    assert returns.grad is None
