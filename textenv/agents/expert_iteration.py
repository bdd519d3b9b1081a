"""Expert iteration: reinforcement learning in turn with behaviour cloning of demonstrations and of the policy's own wins.

Grounded reinforcement learning maximises J(θ) - β L(θ; D) in two phases: Xu et al., "Grounded Reinforcement Learning: Learning to
Win the Game under Human Commands",
https://papers.nips.cc/paper_files/paper/2022/hash/318f3ae8be3c97cb7555e1c932f472a1-Abstract-Conference.html:

- RL phase: θ' = θ + α ∇J(θ), here with the leave-one-out baseline of RLOO;
- BC phase: θ'' = θ' - α β ∇L(θ'; D ∪ D_k), where L is the mean of -log π over the tokens of the demonstrations D and of the wins D_k.

There D_k is played anew after the RL phase. Here it is the wins among the episodes that the RL phase learnt from, one step older,
so that every episode serves twice. Without demonstrations and without the RL phase this is expert iteration as it is known
for language models, sampling and imitating the best: Singh et al., "Beyond Human Data", https://arxiv.org/abs/2312.06585.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from textenv.agents.config import LearnerConfig, check_divides, check_ranges
from textenv.agents.learner import Learner, Terms
from textenv.agents.losses import policy_gradient
from textenv.envs.vector import text_envs
from textenv.envs.wrappers.base import masked
from textenv.errors import ArgumentError
from textenv.rollouts.advantages import leave_one_out, reward_to_go
from textenv.rollouts.demonstrations import load_demonstrations
from textenv.types import Episodes


@dataclass(frozen=True, kw_only=True)
class ExpertIterationConfig(LearnerConfig):
    """How expert iteration learns: an optimiser step on a batch, then some on what is to be imitated.

    Raises:
        ArgumentError: numbers that do not fit together.
    """

    episodes_per_update: int = 128
    """Episodes of an optimiser step of the RL phase."""
    group_size: int = 8
    """Episodes of each prompt, for the leave-one-out baseline."""
    whiten_advantages: bool = True
    """Scale advantages to mean 0 and variance 1 over the tokens of an update; without it the gradient is unbiased."""
    rl: bool = True
    """Have the RL phase; without it only wins and demonstrations are imitated."""
    win_score: float = 0.9
    """Score from which an episode is a win."""
    demonstrations: Path | None = None
    """D: a .csv, .tsv, .json, .jsonl or .parquet file (or .gz) of prompt and completion; None imitates the wins alone."""
    bc_coef: float = 0.1
    """β of behaviour cloning, the weight of -log π beside the advantages; 0 leaves the BC phase out."""
    bc_minibatch_size: int = 64
    """Episodes of an optimiser step of the BC phase, drawn from D ∪ D_k without replacement; all of them where they are fewer."""
    bc_steps: int = 2
    """Optimiser steps of a BC phase."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divides(self, "group_size", "episodes_per_update", least=2)
        check_ranges(self, positive=("bc_minibatch_size", "bc_steps"), least_zero=("bc_coef",))
        if not math.isfinite(self.win_score):
            raise ArgumentError(f"win_score must be a finite number, got {self.win_score!r}.")
        if not self.rl and self.bc_coef == 0:
            raise ArgumentError("Without the RL phase and with bc_coef=0 nothing is learnt; set one of them.")


class ExpertIteration(Learner):
    """Trains a policy in text environments; other arguments and errors are those of `Learner`.

    Args:
        policy: learns.
        envs: from `gymnasium.make_vec`.
        config: of the agent.
        demonstrations: what `textenv.rollouts.demonstrations.load_demonstrations` takes, in the place of the config's file.
        **options: of `Learner`.

    Raises:
        ArgumentError: the demonstrations cannot be used, or are given twice.
    """

    config: ExpertIterationConfig
    trades_score_for_kl = False  # wins are imitated too, whatever β says
    Config = ExpertIterationConfig

    def __init__(
        self, policy: Any, envs: Any, config: ExpertIterationConfig | None = None, *, demonstrations: Any = None, **options: Any
    ) -> None:
        super().__init__(policy, envs, config, **options)
        if demonstrations is not None and self.config.demonstrations is not None:
            raise ArgumentError("demonstrations are given twice, in the config and beside it; leave one of them out.")
        source = self.config.demonstrations if demonstrations is None else demonstrations
        self.demonstrations = None if source is None else self._load(source)
        """D, on the policy's device."""

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
        """Take a step along the gradient of J, then steps against that of L over demonstrations and wins.

        Raises:
            ArgumentError: the episodes are no groups of one prompt each.
            TrainingError: the gradient is not finite.
        """
        config, batch = self.config, self.prepare(episodes)
        wins = batch.select(batch.scores >= config.win_score)  # D_k
        to_imitate = wins if self.demonstrations is None else self.demonstrations.join(wins)  # D ∪ D_k
        self.policy.train()
        rl_steps = [self.minimise(batch, self.loss)] if config.rl else []
        bc_steps: list[dict[str, float]] = []
        if len(to_imitate) and config.bc_coef > 0:
            for _ in range(config.bc_steps):
                drawn = torch.from_numpy(self.order.permutation(len(to_imitate))[: config.bc_minibatch_size])
                bc_steps.append(self.minimise(to_imitate.select(drawn), self.bc_loss))
        self.policy.eval()
        cloned = sum(step["bc_loss"] for step in bc_steps) / len(bc_steps) if bc_steps else math.nan
        taken = {"optimiser_steps": float(len(rl_steps) + len(bc_steps)), "bc_loss": cloned, "wins": len(wins) / len(batch)}
        return self.report(batch, rl_steps) | taken

    def loss(self, piece: Episodes) -> Terms:
        """-A log π: (b, T)."""
        policy_loss = policy_gradient(self.forward(piece)[0], cast(torch.Tensor, piece.advantages))
        return {"loss": policy_loss, "policy_loss": policy_loss}

    def bc_loss(self, piece: Episodes) -> Terms:
        """-β log π, and without β: (b, T) each."""
        cloning = -self.forward(piece)[0]
        return {"loss": self.config.bc_coef * cloning, "bc_loss": cloning}

    def _load(self, source: Any) -> Episodes:
        rules = text_envs(self.envs).rules
        if masked(self.envs):
            raise ArgumentError("Demonstrations are written without the wrappers, so they cannot be used where ActionMask forbids tokens.")
        return load_demonstrations(source, rules).to(self.policy.device)
