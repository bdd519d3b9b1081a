"""Self-critical sequence training: a sample is weighed against what the policy writes greedily.

Rennie et al., "Self-critical Sequence Training for Image Captioning", equation 9, https://arxiv.org/abs/1612.00563.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from textenv.agents.config import LearnerConfig
from textenv.agents.learner import Learner, Terms
from textenv.agents.losses import policy_gradient
from textenv.rollouts.advantages import reward_to_go
from textenv.rollouts.collect import collect
from textenv.types import Episodes


@dataclass(frozen=True, kw_only=True)
class SCSTConfig(LearnerConfig):
    """How SCST learns: one optimiser step a batch, on the policy that drew it.

    Raises:
        ArgumentError: numbers that do not fit together.
    """

    episodes_per_update: int = 128
    """Sampled episodes of an optimiser step; as many greedy ones, of the same prompts, are played beside them and not counted."""
    whiten_advantages: bool = True
    """Scale advantages to mean 0 and variance 1 over the tokens of an update; without it the gradient is unbiased."""


class SCST(Learner):
    """Trains a policy in text environments; arguments and errors are those of `Learner`."""

    config: SCSTConfig
    Config = SCSTConfig

    def estimate(self, episodes: Episodes) -> Episodes:
        """Add the reference's log-probabilities, returns, and advantages: R(sample) - R(greedy), shaped by the KL alike."""
        batch = self.refer(episodes)
        prompts, place = np.unique(batch.prompt_index.cpu().numpy(), return_inverse=True)
        greedy = self.refer(collect(self.policy, self.envs, len(prompts), prompt_index=prompts, greedy=True)).to(batch.tokens.device)
        sampled, baseline = (
            reward_to_go(self.shaped_rewards(played), played.mask, self.config.gamma)[:, :1] for played in (batch, greedy)
        )  # (B, 1), (prompts, 1)
        advantages = sampled - baseline[torch.from_numpy(place).to(baseline.device)]  # (B, 1)
        return self.weigh(batch, advantages, sampled, whiten=self.config.whiten_advantages)

    def update(self, episodes: Episodes) -> dict[str, float]:
        """Take one step along the gradient of E[(R(sample) - R(greedy)) log π(sample)].

        Raises:
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
