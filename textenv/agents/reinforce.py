"""REINFORCE: the plain policy gradient, with the returns and baselines that it is taught with.

Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning",
https://doi.org/10.1007/BF00992696; reward to go and the value baseline: Sutton et al., "Policy Gradient Methods for
Reinforcement Learning with Function Approximation", https://papers.nips.cc/paper/1713.
"""

from dataclasses import dataclass
from typing import Literal, cast

import torch

from textenv.agents.config import LearnerConfig, check_choice, check_ranges
from textenv.agents.learner import Learner, Terms
from textenv.agents.losses import policy_gradient, value_loss
from textenv.errors import ArgumentError
from textenv.rollouts.advantages import leave_one_out, masked_mean, reward_to_go, whole_return
from textenv.types import Episodes


@dataclass(frozen=True, kw_only=True)
class REINFORCEConfig(LearnerConfig):
    """How REINFORCE learns: one optimiser step a batch, on the policy that drew it.

    Raises:
        ArgumentError: numbers that do not fit together.
    """

    episodes_per_update: int = 128
    """Episodes of an optimiser step."""
    returns: Literal["reward_to_go", "whole"] = "reward_to_go"
    """What a token is weighed by: the rewards from it on, or those of the whole episode; γ discounts either."""
    baseline: Literal["none", "mean", "value"] = "mean"
    """What is taken off the returns: nothing, a running mean of what episodes are paid in all, or the value head's estimate.
    Off the mean is taken what the episode has been paid before the token, so that at γ = 1 both kinds of returns less it are the same."""
    mean_decay: float = 0.9
    """Share of the running mean that an update keeps."""
    separate_critic: bool = False
    """Learn the values in a network of their own, a copy of the policy at the start, and not in a head on its trunk."""
    value_coef: float = 0.1
    """Weight of the value loss, for the learnt baseline."""
    whiten_advantages: bool = True
    """Scale advantages to mean 0 and variance 1 over the tokens of an update; without it the gradient is unbiased."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "returns", ("reward_to_go", "whole"))
        check_choice(self, "baseline", ("none", "mean", "value"))
        check_ranges(self, unit=("mean_decay",), least_zero=("value_coef",))
        if self.mean_decay == 1:
            raise ArgumentError("mean_decay must be below 1: at 1 the running mean takes nothing of new returns.")


class REINFORCE(Learner):
    """Trains a policy in text environments; arguments and errors are those of `Learner`."""

    config: REINFORCEConfig
    Config = REINFORCEConfig

    def set_up(self) -> None:
        """Use the value head, or start the running mean."""
        self.uses_values = self.config.baseline == "value"
        if self.config.baseline == "mean":
            self.memory = {"mean": 0.0, "updates": 0}

    def estimate(self, episodes: Episodes) -> Episodes:
        """Add the reference's log-probabilities, returns, and advantages: returns less the baseline, which knows no action."""
        config, batch = self.config, self.refer(episodes)
        rewards, mask = self.shaped_rewards(batch), batch.mask  # (B, T) each
        returns = reward_to_go(rewards, mask, config.gamma)
        if config.returns == "whole":
            returns = returns[:, :1] * mask
        advantages = returns
        if config.baseline == "value":
            advantages = returns - batch.values
        elif config.baseline == "mean":
            advantages = self._less_the_mean(self._in_all(batch))
        return self.weigh(batch, advantages, returns, whiten=config.whiten_advantages)

    def update(self, episodes: Episodes) -> dict[str, float]:
        """Take one step along the gradient of E[Σ_t A_t log π(a_t|s_t)].

        Raises:
            TrainingError: the gradient is not finite.
        """
        batch = self.prepare(episodes)
        self.policy.train()
        step = self.minimise(batch, self.loss)
        self.policy.eval()
        if self.config.baseline == "mean":
            mean = float(masked_mean(self._in_all(batch), batch.mask))
            decay = self.config.mean_decay
            self.memory = {"mean": decay * self.memory["mean"] + (1 - decay) * mean, "updates": self.memory["updates"] + 1}
        return self.report(batch, [step])

    def loss(self, piece: Episodes) -> Terms:
        """-A log π, and the error of the value for a learnt baseline: (b, T) each."""
        log_probs, values = self.forward(piece)
        policy_loss = policy_gradient(log_probs, cast(torch.Tensor, piece.advantages))
        if self.config.baseline != "value":
            return {"loss": policy_loss, "policy_loss": policy_loss}
        error = value_loss(values, cast(torch.Tensor, piece.returns))
        return {"loss": policy_loss + self.config.value_coef * error, "policy_loss": policy_loss, "value_loss": error}

    def _in_all(self, batch: Episodes) -> torch.Tensor:
        """Compute what each episode is paid in all, as each of its tokens sees it: (B, T)."""
        rewards, gamma = self.shaped_rewards(batch), self.config.gamma
        if self.config.returns == "whole":
            return reward_to_go(rewards, batch.mask, gamma)[:, :1].expand_as(rewards)
        return whole_return(rewards, batch.mask, gamma)

    def _less_the_mean(self, in_all: torch.Tensor) -> torch.Tensor:
        """Take the mean of past returns off, or before the first update that of the other episodes: (B, T).

        The running mean is corrected for having started at 0, as Adam's moments are. What a token's episode has been paid
        before it is taken off the mean, as in `leave_one_out`, so that a constant in the score drops out.
        """
        updates = self.memory["updates"]
        if updates:
            mean: float = self.memory["mean"] / (1 - self.config.mean_decay**updates)
            return in_all - mean
        if len(in_all) == 1:  # there is nothing to hold it against
            return torch.zeros_like(in_all)
        return leave_one_out(in_all, len(in_all))
