"""Losses as pure functions of tensors: one equation each, per token, before any mean.

Shapes: B episodes, T response columns; every function works elementwise and so on any shape.
"""

import torch


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
