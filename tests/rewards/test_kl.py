"""Estimators on hand numbers, their expectations and their gradients by enumeration, and the controller."""

import math
from collections.abc import Callable

import pytest
import torch

from textenv.errors import ArgumentError
from textenv.rewards.kl import KLController, exact, k1, k2, k3

HALF, QUARTER = math.log(0.5), math.log(0.25)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_estimators_by_hand() -> None:
    log_probs, ref_log_probs = tensor(HALF, QUARTER, HALF), tensor(QUARTER, HALF, HALF)
    ln2 = math.log(2)
    assert k1(log_probs, ref_log_probs).tolist() == pytest.approx([ln2, -ln2, 0])
    assert k2(log_probs, ref_log_probs).tolist() == pytest.approx([ln2**2 / 2, ln2**2 / 2, 0])
    assert k3(log_probs, ref_log_probs).tolist() == pytest.approx([0.5 - 1 + ln2, 2 - 1 - ln2, 0])


def test_exact_by_hand() -> None:
    policy, reference = tensor(0.5, 0.5).log(), tensor(0.25, 0.75).log()
    assert exact(policy, reference).item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert exact(reference, policy).item() == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    assert exact(torch.stack([policy, reference]), torch.stack([reference, reference])).shape == (2,)


def test_forbidden_tokens() -> None:
    logits = tensor(0.3, -0.2, 0.9).requires_grad_()
    policy = torch.log_softmax(logits.masked_fill(torch.tensor([False, True, False]), -torch.inf), -1)
    reference = torch.log_softmax(tensor(0.5, -torch.inf, -0.5), -1)
    kept = torch.tensor([0, 2])
    value = exact(policy, reference)
    assert value.item() == pytest.approx(exact(policy[kept], reference[kept]).item())
    value.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert exact(torch.log_softmax(tensor(0.0, 0.0, 0.0), -1), reference) == torch.inf


def pair(epsilon: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a 6-token policy, and log-probabilities of a reference that far away."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, generator=generator, dtype=torch.float64)
    other = logits + epsilon * torch.randn(6, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), torch.log_softmax(other, -1)


def kl_gradient(logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(exact(torch.log_softmax(logits, -1), reference), logits)[0]


def as_reward(values: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Σ_a π(a) r(a) ∇log π(a): the score-function gradient of a reward, over all actions."""
    log_probs = torch.log_softmax(logits, -1)
    return torch.autograd.grad((log_probs.exp().detach() * values.detach() * log_probs).sum(), logits)[0]


def as_loss(estimator: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Σ_a π(a) ∇k(a), the actions drawn from π and the draw not differentiated."""
    log_probs = torch.log_softmax(logits, -1)
    return torch.autograd.grad((log_probs.exp().detach() * estimator(log_probs, reference)).sum(), logits)[0]


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 2.0])
def test_expectations_by_enumeration(epsilon: float) -> None:
    logits, reference = pair(epsilon)
    log_probs = torch.log_softmax(logits, -1)
    mean = {k: (log_probs.exp() * k(log_probs, reference)).sum().item() for k in (k1, k2, k3)}
    true = exact(log_probs, reference).item()
    assert true > 1e-4
    assert mean[k1] == pytest.approx(true, abs=1e-12)
    assert mean[k3] == pytest.approx(true, abs=1e-12)
    assert abs(mean[k2] - true) > 1e-3 * true  # biased
    assert (k2(log_probs, reference) >= 0).all()
    assert (k3(log_probs, reference) >= 0).all()
    assert (k1(log_probs, reference) < 0).any()


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 2.0])
def test_as_a_reward_only_k1_has_the_gradient_of_the_kl(epsilon: float) -> None:
    logits, reference = pair(epsilon)
    log_probs = torch.log_softmax(logits, -1)
    true = kl_gradient(logits, reference)
    assert torch.allclose(as_reward(k1(log_probs, reference), logits), true, atol=1e-12)
    state_kl = exact(log_probs, reference).expand(6)  # the same for every action
    assert as_reward(state_kl, logits).abs().max() < 1e-12
    by_k3 = as_reward(k3(log_probs, reference), logits)
    # ∇KL and a second force: Σ_v π_ref(v) ∇log π(v).
    extra = torch.autograd.grad((reference.exp() * torch.log_softmax(logits, -1)).sum(), logits)[0]
    assert torch.allclose(by_k3, true + extra, atol=1e-12)
    assert (by_k3 - true).norm() > 0.5 * true.norm()


@pytest.mark.parametrize("estimator", [k2, k3])
def test_near_the_reference_k2_and_k3_rewards_hardly_push(estimator: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    logits, reference = pair(0.1)
    force = as_reward(estimator(torch.log_softmax(logits, -1), reference), logits)
    assert 0 < force.norm() < 0.2 * kl_gradient(logits, reference).norm()


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 2.0])
def test_as_a_loss_k2_has_the_gradient_of_the_kl(epsilon: float) -> None:
    logits, reference = pair(epsilon)
    true = kl_gradient(logits, reference)
    assert torch.allclose(as_loss(k2, logits, reference), true, atol=1e-12)
    assert as_loss(k1, logits, reference).abs().max() < 1e-12
    # k3's is that of KL(π_ref‖π).
    backward = torch.autograd.grad(exact(reference, torch.log_softmax(logits, -1)), logits)[0]
    assert torch.allclose(as_loss(k3, logits, reference), backward, atol=1e-12)
    assert not torch.allclose(backward, true, atol=1e-3 * float(true.norm()))


@pytest.mark.parametrize(
    ("kl", "expected"),
    [(6.0, 0.15), (6.6, 0.15 * (1 + 0.1 * 0.0512)), (5.4, 0.15 * (1 - 0.1 * 0.0512)), (60.0, 0.151536), (0.0, 0.148464), (-3.0, 0.148464)],
)
def test_the_adaptive_controller_by_hand(kl: float, expected: float) -> None:
    # The sentiment task of Ziegler et al.: 512 episodes can move β by 1.024 percent.
    controller = KLController(coefficient=0.15, target=6.0, horizon=10_000)
    controller.update(kl, 512)
    assert controller.coefficient == pytest.approx(expected, abs=1e-12)


def test_the_controller_moves_step_by_step() -> None:
    controller = KLController(coefficient=1.0, target=2.0, horizon=100)
    for _ in range(3):
        controller.update(10.0, 50)
    assert controller.coefficient == pytest.approx(1.1**3)


def test_without_target_the_coefficient_is_fixed() -> None:
    controller = KLController(coefficient=0.05)
    controller.update(100.0, 512)
    assert controller.coefficient == 0.05


@pytest.mark.parametrize("fields", [{"coefficient": -0.1}, {"coefficient": 0.1, "target": 0.0}, {"coefficient": 0.1, "horizon": 0}])
def test_impossible_controllers_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ArgumentError, match="A KL controller needs coefficient ≥ 0, target > 0 and horizon > 0, got KLController"):
        KLController(**fields)  # type: ignore[arg-type]
