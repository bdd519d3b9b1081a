"""Proximal policy optimisation of a language model, with the KL to its reference in the reward.

Schulman et al., "Proximal Policy Optimization Algorithms", https://arxiv.org/abs/1707.06347, as RLHF uses it: Ziegler et al.,
https://arxiv.org/abs/1909.08593, and Huang et al., "The N Implementation Details of RLHF with PPO",
https://huggingface.co/blog/the_n_implementation_details_of_rlhf_with_ppo. The leave-one-out baseline: Ahmadian et al., "Back to
Basics", https://arxiv.org/abs/2402.14740.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch

from textenv.agents.losses import clipped_surrogate, clipped_value_loss
from textenv.envs.vector import text_envs
from textenv.envs.wrappers.base import shaped
from textenv.errors import ArgumentError, LoadError, TrainingError
from textenv.models.policy import LanguagePolicy
from textenv.rewards.kl import KLController, k1, k2, k3
from textenv.rollouts.advantages import gae, leave_one_out, masked_mean, masked_whiten, reward_to_go
from textenv.rollouts.collect import collect
from textenv.types import Episodes

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """How PPO learns.

    Raises:
        ArgumentError: numbers that do not fit together.
    """

    episodes_per_update: int = 512
    """Episodes collected before each update."""
    advantage: Literal["leave_one_out", "critic"] = "leave_one_out"
    """Against the other episodes of the same prompt, or against the value head."""
    group_size: int = 8
    """Episodes of each prompt, for the leave-one-out baseline; a critic draws every prompt anew."""
    epochs: int = 1
    """Passes over the episodes of an update."""
    minibatch_size: int = 128
    """Episodes an optimiser step; whole sequences."""
    micro_batch_size: int | None = None
    """Episodes a forward pass; gradients are accumulated over a minibatch. None takes the minibatch at once."""
    learning_rate: float = 3e-4
    """Of Adam, with ε 1e-5 and no weight decay."""
    linear_decay: bool = True
    """Lower the learning rate linearly to 0 over the episodes that `learn` is asked for."""
    kl_coef: float = 0.035
    """β, in units of score a nat: the objective is E[score] - β KL(π‖π_ref)."""
    kl_target: float | None = None
    """Nats a sequence to steer β to (Ziegler's controller); None keeps β fixed."""
    kl_horizon: int = 10_000
    """Episodes in which β can change by a fifth."""
    target_kl: float | None = None
    """Stop an update when the k2 estimate of KL(π_old‖π), nats a token, exceeds 1.5 times this."""
    clip_range: float = 0.2
    """ε of the policy ratio."""
    value_clip_range: float = 0.2
    """ε of the value."""
    value_coef: float = 0.1
    """Weight of the value loss, for a critic."""
    gamma: float = 1.0
    """γ."""
    lam: float = 0.95
    """λ of the generalised advantage estimation, for a critic."""
    whiten_advantages: bool = True
    """Scale advantages to mean 0 and variance 1 over the tokens of an update."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this Euclidean norm."""

    def __post_init__(self) -> None:
        positive: tuple[str, ...] = (
            "episodes_per_update",
            "epochs",
            "minibatch_size",
            "learning_rate",
            "clip_range",
            "value_clip_range",
            "max_grad_norm",
        )
        for name in positive:
            if not 0 < getattr(self, name) < math.inf:
                raise ArgumentError(f"{name} must be positive, got {getattr(self, name)!r}.")
        for name in ("gamma", "lam"):
            if not 0 <= getattr(self, name) <= 1:
                raise ArgumentError(f"{name} must be between 0 and 1, got {getattr(self, name)!r}.")
        if not 0 <= self.kl_coef < math.inf:
            raise ArgumentError(f"kl_coef must be at least 0, got {self.kl_coef!r}.")
        if self.advantage not in ("leave_one_out", "critic"):
            raise ArgumentError(f'advantage must be "leave_one_out" or "critic", got {self.advantage!r}.')
        if self.advantage == "leave_one_out" and (self.group_size < 2 or self.episodes_per_update % self.group_size):
            raise ArgumentError(
                f"group_size={self.group_size} must be at least 2 and divide episodes_per_update={self.episodes_per_update}."
            )
        if self.episodes_per_update % self.minibatch_size:
            raise ArgumentError(f"minibatch_size={self.minibatch_size} must divide episodes_per_update={self.episodes_per_update}.")
        if self.micro_batch_size is not None and (self.micro_batch_size < 1 or self.minibatch_size % self.micro_batch_size):
            raise ArgumentError(f"micro_batch_size={self.micro_batch_size} must divide minibatch_size={self.minibatch_size}.")


class PPO:
    """Trains a policy in text environments.

    Args:
        policy: learns; its present weights are the reference unless one is given.
        envs: from `gymnasium.make_vec`, without `kl_coef`, which is this agent's.
        config: see `PPOConfig`.
        reference: π_ref, frozen.
        seed: of the draws and of the order of prompts and minibatches.

    Raises:
        ArgumentError: the envs are not textenv's or shape the reward by a KL of their own, or policy, reference and envs do not
            fit together.
    """

    def __init__(
        self,
        policy: LanguagePolicy,
        envs: "VectorEnv[Any, Any, Any]",
        config: PPOConfig | None = None,
        *,
        reference: LanguagePolicy | None = None,
        seed: int = 0,
    ) -> None:
        inner = text_envs(envs)
        if shaped(envs):
            raise ArgumentError("PPO adds the KL itself; make the envs without kl_coef or KLShaping and give kl_coef to PPOConfig.")
        if policy.vocabulary != inner.rules.vocabulary:
            raise ArgumentError(f"The policy has {policy.vocabulary} tokens, the environment {inner.rules.vocabulary}; use one tokenizer.")
        self.policy, self.envs, self.config = policy, envs, config or PPOConfig()
        self.reference = (reference or copy.deepcopy(policy)).requires_grad_(False)
        self.reference.cache.clear()
        for name in ("vocabulary", "temperature", "device"):
            if getattr(self.reference, name) != getattr(policy, name):
                raise ArgumentError(f"The reference's {name} is {getattr(self.reference, name)}, the policy's {getattr(policy, name)}.")
        self.optimiser = torch.optim.Adam(policy.parameters(), lr=self.config.learning_rate, eps=1e-5, fused=True)
        self.controller = KLController(coefficient=self.config.kl_coef, target=self.config.kl_target, horizon=self.config.kl_horizon)
        self.generator = torch.Generator(device=policy.device).manual_seed(seed)
        self.order = np.random.default_rng(seed)
        self.waiting = np.zeros(0, dtype=np.int64)  # prompts left of the present pass over the prompt set
        self.episodes = 0
        self.schedule = (0, 0)  # episodes at which the linear decay starts and ends

    def learn(self, episodes: int, callback: Callable[[dict[str, float], Episodes], None] | None = None) -> None:
        """Collect and update until at least so many more episodes have been played.

        Args:
            episodes: to play.
            callback: called after each update with its metrics and episodes.
        """
        if self.schedule[1] != self.episodes + episodes:  # else it goes on with a schedule that was loaded
            self.schedule = (self.episodes, self.episodes + episodes)
        start, end = self.schedule
        while self.episodes < end:
            if self.config.linear_decay:
                self.optimiser.param_groups[0]["lr"] = self.config.learning_rate * (end - self.episodes) / (end - start)
            batch = self.collect()
            metrics = self.update(batch)
            if callback is not None:
                callback(metrics, batch)

    def collect(self) -> Episodes:
        """Play the episodes of one update: every prompt once before any comes again, in groups."""
        size = self.config.group_size if self.config.advantage == "leave_one_out" else 1
        groups = self.config.episodes_per_update // size
        while len(self.waiting) < groups:
            self.waiting = np.concatenate([self.waiting, self.order.permutation(len(text_envs(self.envs).prompts))])
        chosen, self.waiting = self.waiting[:groups], self.waiting[groups:]
        return self.estimate(collect(self.policy, self.envs, groups * size, prompt_index=np.repeat(chosen, size), generator=self.generator))

    def estimate(self, episodes: Episodes) -> Episodes:
        """Add the reference's log-probabilities, if they are not there, and advantages and returns of the shaped rewards.

        Raises:
            ArgumentError: with the leave-one-out baseline, episodes that are no groups of one prompt each.
        """
        config = self.config
        batch = self.refer(episodes) if episodes.ref_log_probs is None else episodes
        mask = batch.mask  # (B, T)
        rewards = batch.rewards - self.controller.coefficient * k1(batch.log_probs, cast(torch.Tensor, batch.ref_log_probs)) * mask
        if config.advantage == "critic":
            advantages = gae(rewards, batch.values, mask, config.gamma, config.lam)
            returns = advantages + batch.values
        else:
            groups = batch.prompt_index.reshape(-1, config.group_size) if len(batch) % config.group_size == 0 else None
            if groups is None or (groups != groups[:, :1]).any():
                raise ArgumentError(f"update needs groups of {config.group_size} episodes of the same prompt, one after the other.")
            returns = reward_to_go(rewards, mask, config.gamma)
            advantages = leave_one_out(returns, mask, config.group_size)
        if config.whiten_advantages:
            advantages = masked_whiten(advantages, mask)
        return replace(batch, advantages=advantages, returns=returns)

    def update(self, episodes: Episodes) -> dict[str, float]:
        """Improve the policy by one batch of episodes.

        Raises:
            ArgumentError: with the leave-one-out baseline, episodes that are no groups of one prompt each.
            TrainingError: the gradient is not finite.

        Returns:
            Metrics by name; KLs in nats a sequence, entropy in nats a token.
        """
        config = self.config
        batch = (self.estimate(episodes) if episodes.advantages is None else episodes).to(self.policy.device)
        self.policy.train()
        losses: list[dict[str, float]] = []
        for rows in self._minibatches(len(batch)):
            losses.append(self._step(batch, rows))
            if config.target_kl is not None and losses[-1]["approx_kl"] > 1.5 * config.target_kl:
                break
        self.policy.eval()

        mask, ref_log_probs = batch.mask, cast(torch.Tensor, batch.ref_log_probs)  # (B, T) each
        kl, beta = k1(batch.log_probs, ref_log_probs) * mask, self.controller.coefficient
        kl_per_sequence = kl.sum(1).mean().item()
        self.controller.update(kl_per_sequence, len(batch))
        self.episodes += len(batch)
        return {
            "episodes": float(self.episodes),
            "score": batch.scores.mean().item(),
            **{f"score_{name}": values.mean().item() for name, values in batch.score_parts.items()},
            "reward": (batch.rewards - beta * kl).sum(1).mean().item(),
            "kl_k1": kl_per_sequence,
            "kl_k2": (k2(batch.log_probs, ref_log_probs) * mask).sum(1).mean().item(),
            "kl_k3": (k3(batch.log_probs, ref_log_probs) * mask).sum(1).mean().item(),
            "kl_coef": beta,
            "entropy": masked_mean(-batch.log_probs, mask).item(),
            "length": batch.lengths.float().mean().item(),
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "explained_variance": _explained_variance(batch) if config.advantage == "critic" else math.nan,
            "optimiser_steps": float(len(losses)),
            **{name: sum(step[name] for step in losses) / len(losses) for name in losses[0]},
        }

    def _minibatches(self, n: int) -> Iterator[torch.Tensor]:
        """Whole sequences in a new random order each epoch."""
        for _ in range(self.config.epochs):
            yield from torch.from_numpy(self.order.permutation(n)).split(self.config.minibatch_size)

    def _step(self, batch: Episodes, rows: torch.Tensor) -> dict[str, float]:
        """One optimiser step on a minibatch, its gradient accumulated over micro-batches."""
        config = self.config
        # The mean number of tokens a minibatch, not this one's own: so long and short episodes weigh alike in all.
        tokens = batch.mask.sum().item() * len(rows) / len(batch)
        sums = torch.zeros(4, device=self.policy.device)  # read once, for on a GPU every reading waits
        self.optimiser.zero_grad(set_to_none=True)
        for part in rows.split(config.micro_batch_size or len(rows)):
            piece = batch.select(part)
            advantages, returns = cast(torch.Tensor, piece.advantages), cast(torch.Tensor, piece.returns)
            new, values = self.policy.response_log_probs(piece.tokens, piece.prompt_columns, piece.allowed_tokens(self.policy.vocabulary))
            policy_loss = (clipped_surrogate(new, piece.log_probs, advantages, config.clip_range) * piece.mask).sum()
            loss, value_loss = policy_loss, torch.zeros_like(policy_loss)
            if config.advantage == "critic":
                value_loss = (clipped_value_loss(values, piece.values, returns, config.value_clip_range) * piece.mask).sum()
                loss = policy_loss + config.value_coef * value_loss
            (loss / tokens).backward()
            with torch.no_grad():
                drift = (k2(new, piece.log_probs) * piece.mask).sum()
                clipped = (((new - piece.log_probs).exp() - 1).abs() > config.clip_range) & piece.mask
                sums += torch.stack([policy_loss, value_loss, drift, clipped.sum()])
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), config.max_grad_norm)
        if not torch.isfinite(norm):
            raise TrainingError(f"The gradient is not finite after {self.episodes} episodes; lower learning_rate or max_grad_norm.", batch)
        self.optimiser.step()
        names = ("policy_loss", "value_loss", "approx_kl", "clip_fraction")
        return {**dict(zip(names, (sums / tokens).tolist(), strict=True)), "grad_norm": float(norm)}

    @torch.no_grad()
    def refer(self, episodes: Episodes) -> Episodes:
        """Ask the reference for its log-probabilities of the response tokens, in one parallel pass."""
        size = self.config.micro_batch_size or self.config.minibatch_size
        found = []
        for rows in torch.arange(len(episodes)).split(size):
            piece = episodes.select(rows).to(self.policy.device)
            log_probs, _ = self.reference.response_log_probs(
                piece.tokens, piece.prompt_columns, piece.allowed_tokens(self.policy.vocabulary)
            )
            found.append(log_probs)
        return replace(episodes, ref_log_probs=torch.cat(found).to(episodes.tokens.device))

    def state_dict(self) -> dict[str, Any]:
        """Everything that later updates depend on, for `textenv.checkpoint.save_state`."""
        return {
            "policy": self.policy.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "kl_coef": self.controller.coefficient,
            "generator": self.generator.get_state(),
            "seed": self.generator.initial_seed(),
            "device": self.policy.device.type,
            "order": self.order.bit_generator.state,
            "waiting": self.waiting.tolist(),
            "episodes": self.episodes,
            "schedule": list(self.schedule),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`.

        On the kind of device that it comes from, training goes on as it would have. A CUDA generator cannot take a CPU's state
        nor the reverse: there the draws go on from a seed made of the first one and the number of episodes.

        Raises:
            LoadError: it is of another agent or of another model.
        """
        mine = self.state_dict()
        if missing := sorted(mine.keys() - state.keys()):
            raise LoadError(f"The state lacks {', '.join(missing)}: it is not PPO's.")
        ours, theirs = ({name: tuple(value.shape) for name, value in part["policy"].items()} for part in (mine, state))
        for name in sorted(ours.keys() | theirs.keys()):
            if ours.get(name) != theirs.get(name):
                raise LoadError(
                    f"The state is of another model: {name} has the shape {theirs.get(name)} there and {ours.get(name)} in this policy."
                )
        self.policy.load_state_dict(state["policy"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.controller.coefficient = state["kl_coef"]
        if state["device"] == self.policy.device.type:
            self.generator.set_state(state["generator"])
        else:
            self.generator.manual_seed(int(np.random.SeedSequence((state["seed"], state["episodes"])).generate_state(1)[0]))
        self.order.bit_generator.state = state["order"]
        self.waiting = np.array(state["waiting"], dtype=np.int64)
        self.episodes = state["episodes"]
        self.schedule = (state["schedule"][0], state["schedule"][1])


def _explained_variance(batch: Episodes) -> float:
    """1 - Var(R - V)/Var(R) over the tokens: 1 is perfect, 0 no better than a constant."""
    returns = cast(torch.Tensor, batch.returns)
    error, target = (returns - batch.values)[batch.mask], returns[batch.mask]
    return float(1 - error.var(correction=0) / target.var(correction=0).clamp(min=1e-12))
