"""Group relative policy optimisation: advantages normalised within the group of a prompt.

Shao et al., "DeepSeekMath", equations 3 and 4, https://arxiv.org/abs/2402.03300; without its two biases, Liu et al.,
"Understanding R1-Zero-Like Training" (Dr. GRPO), https://arxiv.org/abs/2503.20783.

In equation 3 the KL stands in the loss, beside advantages of unit variance. There a score that differs little within a group, by
σ, is scaled up by 1/σ and the KL is not: β acts as σ β, and the policy goes far from the reference. The default has
the KL in the reward instead, as the RLHF papers do, so that both are scaled alike, and at the optimum of E[score] - β KL every text of a
prompt has the same return and every advantage is 0.
"""

from dataclasses import dataclass
from typing import Literal, cast

import torch

from textenv.agents.config import LearnerConfig, check_choice, check_divides, check_ranges, minibatch
from textenv.agents.learner import Learner, Terms
from textenv.agents.losses import clipped_surrogate
from textenv.errors import ArgumentError
from textenv.rewards.kl import k2, k3
from textenv.types import Episodes


@dataclass(frozen=True, kw_only=True)
class GRPOConfig(LearnerConfig):
    """How GRPO learns.

    Raises:
        ArgumentError: numbers that do not fit together.
    """

    group_size: int = 8
    """Episodes of each prompt."""
    minibatch_size: int | None = None
    """Episodes an optimiser step; whole sequences. None is 128, or the divisor of `episodes_per_update` that is nearest to it."""
    epochs: int = 1
    """Passes over the episodes of an update."""
    clip_range: float = 0.2
    """ε of the policy ratio."""
    kl_in: Literal["reward", "loss"] = "reward"
    """Where β KL stands: in the reward, by k1, to be normalised with the score; or in the loss, by k3, as in the paper's equation 3,
    where β weighs less the less the scores of a group differ."""
    dr_grpo: bool = False
    """Leave out the division by a group's standard deviation and by an episode's own length, as Dr. GRPO does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gamma != 1:
            raise ArgumentError(f"GRPO weighs every token of an episode alike, so gamma must be 1, got {self.gamma!r}.")
        check_ranges(self, positive=("epochs", "minibatch_size", "clip_range"))
        check_choice(self, "kl_in", ("reward", "loss"))
        check_divides(self, "group_size", "episodes_per_update", least=2)
        check_divides(self, "minibatch_size", "episodes_per_update")


class GRPO(Learner):
    """Trains a policy in text environments; arguments and errors are those of `Learner`."""

    config: GRPOConfig
    Config = GRPOConfig

    def set_up(self) -> None:
        """Play prompts in groups."""
        self.group_size = self.config.group_size

    def estimate(self, episodes: Episodes) -> Episodes:
        """Add the reference's log-probabilities, returns (the rewards' sums) and advantages, one an episode.

        Raises:
            ArgumentError: the episodes are no groups of one prompt each.
        """
        batch = self.refer(episodes)
        self.check_groups(batch)
        paid = self.shaped_rewards(batch) if self.config.kl_in == "reward" else batch.rewards  # (B, T)
        rewards = paid.sum(1).reshape(-1, self.group_size)  # (B/k, k)
        advantages = rewards - rewards.mean(1, keepdim=True)
        if not self.config.dr_grpo:
            advantages = advantages / (rewards.std(1, keepdim=True) + 1e-4)
        return self.weigh(batch, advantages.reshape(-1, 1), rewards.reshape(-1, 1), whiten=False)

    def update(self, episodes: Episodes) -> dict[str, float]:
        """Improve the policy by one batch of episodes.

        Raises:
            ArgumentError: the episodes are no groups of one prompt each.
            TrainingError: the gradient is not finite.
        """
        batch = self.prepare(episodes)
        steps: list[dict[str, float]] = []
        mean_length = batch.lengths.float().mean()
        self.policy.train()
        for _ in range(self.config.epochs):
            for rows in torch.from_numpy(self.order.permutation(len(batch))).split(minibatch(self.config)):
                steps.append(self.minimise(batch, lambda piece: self.loss(piece, mean_length), rows))
        self.policy.eval()
        return self.report(batch, steps)

    def loss(self, piece: Episodes, mean_length: torch.Tensor) -> Terms:
        """Weigh tokens by the clipped surrogate and β k3(π‖π_ref), and but for Dr. GRPO every episode alike: (b, T) each."""
        new, _ = self.forward(piece)
        policy_loss = clipped_surrogate(new, piece.log_probs, cast(torch.Tensor, piece.advantages), self.config.clip_range)
        loss, terms = policy_loss, {"policy_loss": policy_loss}
        if self.config.kl_in == "loss":
            terms["kl_loss"] = k3(new, cast(torch.Tensor, piece.ref_log_probs))
            loss = policy_loss + self.controller.coefficient * terms["kl_loss"]
        if not self.config.dr_grpo:
            loss = loss * (mean_length / piece.lengths[:, None])
        with torch.no_grad():
            drift = k2(new, piece.log_probs)
            clipped = ((new - piece.log_probs).exp() - 1).abs() > self.config.clip_range
        return {"loss": loss, **terms, "approx_kl": drift, "clip_fraction": clipped}
