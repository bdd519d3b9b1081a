"""Actor-critic: the policy gradient with a learnt critic in the place of the return.

Advantage actor-critic: Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", https://arxiv.org/abs/1602.01783.
Q actor-critic: Sutton et al., "Policy Gradient Methods for Reinforcement Learning with Function Approximation",
https://papers.nips.cc/paper/1713; its critic is learnt towards the λ-returns of expected Sarsa, van Seijen et al., "A Theoretical
and Empirical Analysis of Expected Sarsa", https://doi.org/10.1109/ADPRL.2009.4927542.
"""

from dataclasses import dataclass, replace
from typing import Literal, cast

import torch

from textenv.agents.config import LearnerConfig, check_choice, check_ranges
from textenv.agents.learner import Learner, Terms
from textenv.agents.losses import policy_gradient, value_loss
from textenv.agents.q_head import QHead
from textenv.errors import ArgumentError
from textenv.rollouts.advantages import gae, n_step
from textenv.types import Episodes


@dataclass(frozen=True, kw_only=True)
class ActorCriticConfig(LearnerConfig):
    """How actor-critic learns: one optimiser step a batch, on the policy that drew it.

    Raises:
        ArgumentError: numbers that do not fit together.
    """

    critic: Literal["advantage", "q"] = "advantage"
    """V and advantages of rewards and V; or Q, a head over the vocabulary, and the advantage Q(s, a) - Σ_a π(a|s) Q(s, a)."""
    episodes_per_update: int = 128
    """Episodes of an optimiser step."""
    n_steps: int | None = None
    """Rewards before V takes over; None mixes all such advantages by `lam`."""
    lam: float = 0.95
    """λ of the generalised advantage estimation, and of the returns that Q learns."""
    separate_critic: bool = False
    """Learn V in a network of its own, a copy of the policy at the start, and not in a head on its trunk."""
    value_coef: float = 0.1
    """Weight of the critic's loss."""
    entropy_coef: float = 0.0
    """Weight of the entropy of π(·|s) in the objective, in units of advantage a nat: what keeps exploring where β does not.
    It falls with the learning rate, so that the policy can become as certain as the task wants it."""
    whiten_advantages: bool = True
    """Scale advantages to mean 0 and variance 1 over the tokens of an update; without it the scale is the critic's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "critic", ("advantage", "q"))
        check_ranges(self, positive=("n_steps",), least_zero=("value_coef", "entropy_coef"), unit=("lam",))
        if self.critic == "q" and (self.n_steps is not None or self.separate_critic):
            raise ArgumentError('n_steps and separate_critic are of the advantage critic; leave them out with critic="q".')


class ActorCritic(Learner):
    """Trains a policy in text environments; arguments and errors are those of `Learner`."""

    config: ActorCriticConfig
    Config = ActorCriticConfig

    def set_up(self) -> None:
        """Use the value head, or add a Q head."""
        self.uses_values = True
        if self.config.critic == "q":
            self.modules["q_head"] = self.q_head = QHead(self.policy)

    def estimate(self, episodes: Episodes) -> Episodes:
        """Add the reference's log-probabilities, returns that the critic learns, and its advantages; values are Σ_a π Q for Q."""
        config, batch = self.config, self.refer(episodes)
        rewards, mask = self.shaped_rewards(batch), batch.mask  # (B, T) each
        if config.critic == "q":
            taken, expected = self.q_head.evaluate(batch, config.micro_batch_size)
            batch = replace(batch, values=expected)
            advantages, returns = taken - expected, gae(rewards, expected, mask, config.gamma, config.lam) + expected
        else:
            if config.n_steps is None:
                advantages = gae(rewards, batch.values, mask, config.gamma, config.lam)
            else:
                advantages = n_step(rewards, batch.values, mask, config.gamma, config.n_steps)
            returns = advantages + batch.values
        return self.weigh(batch, advantages, returns, whiten=config.whiten_advantages)

    def update(self, episodes: Episodes) -> dict[str, float]:
        """Take one step along the gradient of E[Σ_t A(s_t, a_t) log π(a_t|s_t)], and one of the critic towards its returns.

        Raises:
            TrainingError: the gradient is not finite.
        """
        batch = self.prepare(episodes)
        self.policy.train()
        step = self.minimise(batch, self.loss)
        self.policy.eval()
        return self.report(batch, [step])

    def loss(self, piece: Episodes) -> Terms:
        """-A log π, and the critic's error: (b, T) each."""
        if self.config.critic == "q":
            log_probs, criticised = self.q_head.forward_taken(piece)
        else:
            log_probs, criticised = self.forward(piece)
        advantages = cast(torch.Tensor, piece.advantages)
        entropy_coef = self.config.entropy_coef * self.optimiser.param_groups[0]["lr"] / self.config.learning_rate
        # ∇H(π(·|s)) = E[-log π(a|s) ∇log π(a|s)], so the bonus of a state is one more advantage of what was drawn there.
        policy_loss = policy_gradient(log_probs, advantages - entropy_coef * log_probs)
        error = value_loss(criticised, cast(torch.Tensor, piece.returns))
        return {"loss": policy_loss + self.config.value_coef * error, "policy_loss": policy_loss, "value_loss": error}
