"""REINFORCE with a leave-one-out baseline over k samples of a prompt.

Kool, van Hoof and Welling, "Buy 4 REINFORCE Samples, Get a Baseline for Free!", https://openreview.net/forum?id=r1lgTGL5DE;
for language models, Ahmadian et al., "Back to Basics", https://arxiv.org/abs/2402.14740. With k = 2 it is the reward optimisation
of Pinto et al., "Tuning computer vision models with task rewards", https://arxiv.org/abs/2302.08242, algorithm 2: one sample's
reward less that of another, each being the other's baseline.
"""

from dataclasses import dataclass
from typing import cast

import torch

from textenv.agents.config import LearnerConfig, check_divides
from textenv.agents.learner import Learner, Terms
from textenv.agents.losses import policy_gradient
from textenv.rollouts.advantages import leave_one_out, reward_to_go
from textenv.types import Episodes


@dataclass(frozen=True, kw_only=True)
class RLOOConfig(LearnerConfig):
    """How RLOO learns: one optimiser step a batch, on the policy that drew it.

    Raises:
        ArgumentError: numbers that do not fit together.
    """

    episodes_per_update: int = 128
    """Episodes of an optimiser step."""
    group_size: int = 8
    """k, episodes of each prompt."""
    whiten_advantages: bool = True
    """Scale advantages to mean 0 and variance 1 over the tokens of an update; without it the gradient is unbiased."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divides(self, "group_size", "episodes_per_update", least=2)


class RLOO(Learner):
    """Trains a policy in text environments; arguments and errors are those of `Learner`."""

    config: RLOOConfig
    Config = RLOOConfig

    def set_up(self) -> None:
        """Play prompts in groups."""
        self.group_size = self.config.group_size

    def estimate(self, episodes: Episodes) -> Episodes:
        """Add the reference's log-probabilities, returns, and advantages: an episode's return less the mean of its group's others.

        Raises:
            ArgumentError: the episodes are no groups of one prompt each.
        """
        batch = self.refer(episodes)
        self.check_groups(batch)
        whole = reward_to_go(self.shaped_rewards(batch), batch.mask, self.config.gamma)[:, :1]  # (B, 1) R(x, y)
        advantages = leave_one_out(whole, self.group_size)
        return self.weigh(batch, advantages, whole, whiten=self.config.whiten_advantages)

    def update(self, episodes: Episodes) -> dict[str, float]:
        """Take one step along the gradient of E[(R(x, y) - mean of the others) log π(y|x)].

        Raises:
            ArgumentError: the episodes are no groups of one prompt each.
            TrainingError: the gradient is not finite.
        """
        batch = self.prepare(episodes)
        self.policy.train()
        step = self.minimise(batch, self.loss)
        self.policy.eval()
        return self.report(batch, [step])

    def loss(self, piece: Episodes) -> Terms:
        """-A log π: (b, T)."""
        policy_loss = policy_gradient(self.forward(piece)[0], cast(torch.Tensor, piece.advantages))
        return {"loss": policy_loss, "policy_loss": policy_loss}
