"""The KL divergence between a policy and its reference: estimators and coefficient controllers.

All are per token; a sequence's is the sum over its tokens. Samples come from the policy.

Only k1 belongs into a reward: its score-function gradient is that of the KL. As rewards, k2, k3 and the exact KL push
with a wrong force near the reference; they are for losses and for logging. (Schulman, "Approximating KL divergence",
http://joschu.net/blog/kl-approx.html.)
"""

import math
from dataclasses import dataclass

import torch

from textenv.errors import ArgumentError


def k1(log_probs: torch.Tensor, ref_log_probs: torch.Tensor) -> torch.Tensor:
    """Log π(a) - log π_ref(a): unbiased, and negative for some samples.

    Args:
        log_probs: of the sampled tokens under the policy, any shape.
        ref_log_probs: under the reference, the same shape.
    """
    return log_probs - ref_log_probs


def k2(log_probs: torch.Tensor, ref_log_probs: torch.Tensor) -> torch.Tensor:
    """½ (log π(a) - log π_ref(a))²: biased, of low variance, never negative; its gradient as a loss is that of the KL."""
    return 0.5 * (log_probs - ref_log_probs).square()


def k3(log_probs: torch.Tensor, ref_log_probs: torch.Tensor) -> torch.Tensor:
    """π_ref(a)/π(a) - 1 - log(π_ref(a)/π(a)): unbiased and never negative."""
    return torch.expm1(ref_log_probs - log_probs) - (ref_log_probs - log_probs)


def best_of_n_kl(n: int) -> float:
    """Log n - (n - 1)/n, nats a sequence: what picking the best of n samples costs.

    An upper bound, exact where no two texts score alike (Beirami et al., "Theoretical guarantees on the best-of-n alignment
    policy", https://arxiv.org/abs/2401.01879).

    >>> round(best_of_n_kl(16), 3)
    1.835
    """
    return math.log(n) - (n - 1) / n


def exact(log_probs: torch.Tensor, ref_log_probs: torch.Tensor) -> torch.Tensor:
    """Σ_v π(v) (log π(v) - log π_ref(v)), where tokens that both forbid count 0.

    Args:
        log_probs: whole distributions of the policy, (..., V).
        ref_log_probs: of the reference, (..., V).

    Returns:
        (...,).
    """
    difference = torch.where(log_probs == -torch.inf, 0.0, log_probs - ref_log_probs)
    return (log_probs.exp() * difference).sum(-1)


@dataclass(kw_only=True)
class KLController:
    """The coefficient β, fixed or adaptive.

    Adaptive: β ← β (1 + clip(KL/target - 1, -0.2, 0.2) n/horizon) after a batch of n episodes of mean KL nats a sequence
    (Ziegler et al., "Fine-Tuning Language Models from Human Preferences", section 2.2, https://arxiv.org/abs/1909.08593,
    in the form of its code).

    Raises:
        ArgumentError: a number is out of its range.
    """

    coefficient: float
    """β ≥ 0, in units of score a nat."""
    target: float | None = None
    """Nats a sequence to steer to; None keeps β fixed."""
    horizon: int = 10_000
    """Episodes in which β can change by a fifth."""

    def __post_init__(self) -> None:
        if self.coefficient < 0 or (self.target is not None and self.target <= 0) or self.horizon <= 0:
            raise ArgumentError(f"A KL controller needs coefficient ≥ 0, target > 0 and horizon > 0, got {self}.")

    def update(self, kl: float, episodes: int) -> None:
        """Move β after a batch of `episodes` whose mean k1 was `kl` nats a sequence."""
        if self.target is not None:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.coefficient *= 1 + error * episodes / self.horizon
