"""Proximal policy optimisation of a language model, with the KL to its reference in the reward.

Schulman et al., "Proximal Policy Optimization Algorithms", https://arxiv.org/abs/1707.06347, in both of its forms, as RLHF uses
it: Ziegler et al., https://arxiv.org/abs/1909.08593, and Huang et al., "The N Implementation Details of RLHF with PPO",
https://huggingface.co/blog/the_n_implementation_details_of_rlhf_with_ppo. The leave-one-out baseline: Ahmadian et al., "Back to
Basics", https://arxiv.org/abs/2402.14740. With pretraining text mixed in, PPO-ptx: Ouyang et al., equation 2,
https://arxiv.org/abs/2203.02155.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch

from textenv.agents.config import LearnerConfig, check_choice, check_divides, check_ranges, minibatch
from textenv.agents.learner import Learner, Terms
from textenv.agents.losses import clipped_surrogate, clipped_value_loss, penalised_surrogate
from textenv.agents.pretraining import Pretraining
from textenv.envs.wrappers.base import rules_of
from textenv.errors import ArgumentError
from textenv.models.policy import LanguagePolicy
from textenv.rewards.kl import k2, k3
from textenv.rollouts.advantages import gae, leave_one_out, reward_to_go, whole_return
from textenv.types import Episodes


@dataclass(frozen=True, kw_only=True)
class PPOConfig(LearnerConfig):
    """How PPO learns.

    Raises:
        ArgumentError: numbers that do not fit together.
    """

    form: Literal["clip", "penalty"] = "clip"
    """Bound the policy ratio (the paper's equation 7), or penalise KL(π_old‖π) (its equation 8)."""
    advantage: Literal["leave_one_out", "critic"] = "leave_one_out"
    """Against the other episodes of the same prompt, or against the value head."""
    group_size: int = 8
    """Episodes of each prompt, for the leave-one-out baseline; a critic draws every prompt anew."""
    epochs: int = 1
    """Passes over the episodes of an update."""
    minibatch_size: int | None = None
    """Episodes an optimiser step; whole sequences. None is 128, or the divisor of `episodes_per_update` that is nearest to it."""
    target_kl: float | None = None
    """Stop an update when the k2 estimate of KL(π_old‖π), nats a token, exceeds 1.5 times this."""
    clip_range: float = 0.2
    """ε of the policy ratio, in the clipped form."""
    penalty_coef: float = 1.0
    """First β of the penalty form, in units of advantage a nat; it is halved or doubled towards `penalty_target`."""
    penalty_target: float = 0.02
    """KL(π_old‖π) of an update in the penalty form, nats a token."""
    separate_critic: bool = False
    """Learn the values in a network of their own, a copy of the policy at the start, and not in a head on its trunk."""
    value_clip_range: float = 0.2
    """ε of the value."""
    value_coef: float = 0.1
    """Weight of the value loss, for a critic."""
    lam: float = 0.95
    """λ of the generalised advantage estimation, for a critic."""
    whiten_advantages: bool = True
    """Scale advantages to mean 0 and variance 1 over the tokens of an update."""
    ptx_coef: float = 0.0
    """γ of PPO-ptx, in units of advantage a nat: it weighs the mean of -log π over tokens of the corpus; 0 leaves it out."""
    ptx_corpus: Path | None = None
    """Texts of pretraining: a .txt file, a text per line, or a .csv, .tsv, .json, .jsonl or .parquet file (each also .gz) with a column
    text, or with prompt and response, of which those of max_new_tokens tokens end without an end-of-text token."""
    ptx_batch_size: int = 16
    """Rows of what the model reads, at most 1,024 tokens, filled with such texts, an optimiser step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, positive=("epochs", "minibatch_size", "clip_range", "value_clip_range", "target_kl"), unit=("lam",))
        check_ranges(self, positive=("penalty_coef", "penalty_target", "ptx_batch_size"), least_zero=("value_coef", "ptx_coef"))
        check_choice(self, "form", ("clip", "penalty"))
        check_choice(self, "advantage", ("leave_one_out", "critic"))
        if self.advantage == "leave_one_out":
            check_divides(self, "group_size", "episodes_per_update", least=2)
        check_divides(self, "minibatch_size", "episodes_per_update")
        if (self.ptx_coef > 0) != (self.ptx_corpus is not None):
            raise ArgumentError("ptx_coef and ptx_corpus, the weight of pretraining text and the text, go together; give both or neither.")


class PPO(Learner):
    """Trains a policy in text environments; other arguments and errors are those of `Learner`.

    Raises:
        ArgumentError: the pretraining texts cannot be used.
    """

    config: PPOConfig
    Config = PPOConfig

    def __init__(self, policy: LanguagePolicy, envs: Any, config: PPOConfig | None = None, *, seed: int = 0, **options: Any) -> None:
        super().__init__(policy, envs, config, seed=seed, **options)
        self.pretraining: Pretraining | None = None
        if self.config.ptx_corpus is not None:
            ends = rules_of(envs).task.max_new_tokens
            self.pretraining = Pretraining(policy, self.config.ptx_corpus, self.config.ptx_batch_size, ends)
            self.memory |= {"ptx_seed": seed, "ptx_batches": 0}

    def set_up(self) -> None:
        """Use the value head or groups, and start β of the penalty form."""
        self.uses_values = self.config.advantage == "critic"
        self.group_size = 1 if self.uses_values else self.config.group_size
        self.memory = {"penalty_coef": self.config.penalty_coef} if self.config.form == "penalty" else {}

    def estimate(self, episodes: Episodes) -> Episodes:
        """Add the reference's log-probabilities, if they are not there, and advantages and returns of the shaped rewards.

        Raises:
            ArgumentError: with the leave-one-out baseline, episodes that are no groups of one prompt each.
        """
        config, batch = self.config, self.refer(episodes)
        rewards, mask = self.shaped_rewards(batch), batch.mask  # (B, T) each
        if config.advantage == "critic":
            advantages = gae(rewards, batch.values, mask, config.gamma, config.lam)
            returns = advantages + batch.values
        else:
            self.check_groups(batch)
            returns = reward_to_go(rewards, mask, config.gamma)
            advantages = leave_one_out(whole_return(rewards, mask, config.gamma), self.group_size)
        return self.weigh(batch, advantages, returns, whiten=config.whiten_advantages)

    def update(self, episodes: Episodes) -> dict[str, float]:
        """Improve the policy by one batch of episodes.

        Raises:
            ArgumentError: with the leave-one-out baseline, episodes that are no groups of one prompt each.
            TrainingError: the gradient is not finite.
        """
        config, batch = self.config, self.prepare(episodes)
        steps: list[dict[str, float]] = []
        self.policy.train()
        for rows in self._minibatches(len(batch)):
            steps.append(self.minimise(batch, self.loss, rows, None if self.pretraining is None else self._pretrain))
            if config.target_kl is not None and steps[-1]["approx_kl"] > 1.5 * config.target_kl:
                break
        self.policy.eval()
        return self.report(batch, steps) | self._adapt_penalty(batch)

    def _minibatches(self, n: int) -> Iterator[torch.Tensor]:
        """Whole sequences in a new random order each epoch."""
        for _ in range(self.config.epochs):
            yield from torch.from_numpy(self.order.permutation(n)).split(minibatch(self.config))

    def loss(self, piece: Episodes) -> Terms:
        """Weigh tokens by the surrogate, and by the error of the value for a critic: (b, T) each."""
        config, advantages = self.config, cast(torch.Tensor, piece.advantages)
        new, values = self.forward(piece)
        if config.form == "clip":
            policy_loss = clipped_surrogate(new, piece.log_probs, advantages, config.clip_range)
        else:
            policy_loss = penalised_surrogate(new, piece.log_probs, advantages, self.memory["penalty_coef"])
        loss, value_loss = policy_loss, torch.zeros_like(policy_loss)
        if config.advantage == "critic":
            value_loss = clipped_value_loss(values, piece.values, cast(torch.Tensor, piece.returns), config.value_clip_range)
            loss = policy_loss + config.value_coef * value_loss
        with torch.no_grad():
            drift = k2(new, piece.log_probs)
            clipped = ((new - piece.log_probs).exp() - 1).abs() > config.clip_range
        return {"loss": loss, "policy_loss": policy_loss, "value_loss": value_loss, "approx_kl": drift, "clip_fraction": clipped}

    def _pretrain(self) -> dict[str, float]:
        """Add γ times the gradient of the mean of -log π over the next texts of the corpus."""
        pretraining = cast(Pretraining, self.pretraining)
        rows = pretraining.rows(self.memory["ptx_seed"], self.memory["ptx_batches"])
        self.memory["ptx_batches"] += 1
        return {"ptx_loss": pretraining.add_gradient(rows, self.config.ptx_coef)}

    @torch.no_grad()
    def _adapt_penalty(self, batch: Episodes) -> dict[str, float]:
        """Halve β if the update moved the policy by less than the target/1.5, double it if by more than 1.5 times the target."""
        if self.config.form == "clip":
            return {}
        moved, beta = 0.0, self.memory["penalty_coef"]
        for rows in torch.arange(len(batch)).split(self.config.micro_batch_size or minibatch(self.config)):
            piece = batch.select(rows)
            moved += float((k3(piece.log_probs, self.forward(piece)[0]) * piece.mask).sum())
        moved /= float(batch.mask.sum())
        target = self.config.penalty_target
        self.memory["penalty_coef"] = beta / 2 if moved < target / 1.5 else beta * 2 if moved > target * 1.5 else beta
        return {"penalty_coef": beta, "kl_old": moved}
