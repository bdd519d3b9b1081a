"""Losses as pure functions of tensors: one equation each, per token, before any mean.

Shapes: B episodes, T response columns; every function works elementwise and so on any shape.
"""

import torch


def policy_gradient(log_probs: torch.Tensor, advantages: torch.Tensor) -> torch.Tensor:
    """-A log π(a|s), whose gradient is that of -E[A] where the actions are the policy's own.

    Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning",
    https://doi.org/10.1007/BF00992696.

    Args:
        log_probs: of the actions under the policy, with gradient.
        advantages: A, without gradient.
    """
    return -advantages.detach() * log_probs


def clipped_surrogate(log_probs: torch.Tensor, old_log_probs: torch.Tensor, advantages: torch.Tensor, clip_range: float) -> torch.Tensor:
    """-min(ρ A, clip(ρ, 1-ε, 1+ε) A) with ρ = π(a|s)/π_old(a|s).

    Schulman et al., "Proximal Policy Optimization Algorithms", equation 7, https://arxiv.org/abs/1707.06347.

    Args:
        log_probs: of the actions under the policy, with gradient.
        old_log_probs: under the policy that drew them, without.
        advantages: A, without gradient.
        clip_range: ε > 0.
    """
    ratio = (log_probs - old_log_probs.detach()).exp()
    advantages = advantages.detach()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip_range, 1 + clip_range) * advantages)


def penalised_surrogate(log_probs: torch.Tensor, old_log_probs: torch.Tensor, advantages: torch.Tensor, coefficient: float) -> torch.Tensor:
    """-(ρ A - β KL(π_old‖π)) with ρ = π(a|s)/π_old(a|s) and the KL estimated by ρ - 1 - log ρ, whose mean and gradient are exact.

    Schulman et al., "Proximal Policy Optimization Algorithms", equation 8, https://arxiv.org/abs/1707.06347; the estimate:
    Schulman, http://joschu.net/blog/kl-approx.html.

    Args:
        log_probs: of the actions under the policy, with gradient.
        old_log_probs: under the policy that drew them, without.
        advantages: A, without gradient.
        coefficient: β ≥ 0, in units of advantage a nat.
    """
    log_ratio = log_probs - old_log_probs.detach()
    return -log_ratio.exp() * advantages.detach() + coefficient * (log_ratio.exp() - 1 - log_ratio)


def value_loss(values: torch.Tensor, returns: torch.Tensor) -> torch.Tensor:
    """½ (V - R)²; R without gradient."""
    return 0.5 * (values - returns.detach()).square()


def clipped_value_loss(values: torch.Tensor, old_values: torch.Tensor, returns: torch.Tensor, clip_range: float) -> torch.Tensor:
    """½ max((V - R)², (V_old + clip(V - V_old, -ε, ε) - R)²).

    As in the code of Ziegler et al., "Fine-Tuning Language Models from Human Preferences",
    https://arxiv.org/abs/1909.08593.

    Args:
        values: V, with gradient.
        old_values: V_old, when the episodes were drawn.
        returns: R, without gradient.
        clip_range: ε > 0, in units of reward.
    """
    clipped = old_values + (values - old_values).clamp(-clip_range, clip_range)
    return 0.5 * torch.maximum((values - returns).square(), (clipped - returns).square())
