"""Deep Q-learning over tokens: replay, ε-greedy play, a target network, and double Q.

Mnih et al., "Human-level control through deep reinforcement learning", https://doi.org/10.1038/nature14236; van Hasselt et al.,
"Deep Reinforcement Learning with Double Q-learning", https://arxiv.org/abs/1509.06461.

The language model itself is the Q-network: Q(s, a) = V(s) + η log π(a|s), which can be any function of s and a (split as in Wang
et al., "Dueling Network Architectures", https://arxiv.org/abs/1511.06581). So π is softmax(Q/η), its greedy text is the greedy
policy's, a pretrained model starts by preferring what is likely, and what is saved is a language model.
"""

import copy
import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from textenv.agents.config import LearnerConfig, check_divides, check_ranges
from textenv.agents.learner import Learner, Terms
from textenv.agents.losses import value_loss
from textenv.envs.rules import Rules
from textenv.envs.vector import text_envs
from textenv.envs.wrappers.actions import ActionMask, TopK
from textenv.errors import ArgumentError
from textenv.models.acting import Act
from textenv.models.logprobs import token_log_probs
from textenv.models.policy import LanguagePolicy
from textenv.models.sampling import sample_inverse_cdf
from textenv.types import Episodes

LARGE: Final = 2**14
"""Tokens above which a Q-function over all of them is warned of."""

_ROWS = 512


@dataclass(frozen=True, kw_only=True)
class DQNConfig(LearnerConfig):
    """How DQN learns; its policy is greedy, so there is no KL in its objective.

    Raises:
        ArgumentError: numbers that do not fit together.
    """

    episodes_per_update: int = 64
    """Episodes played between two updates."""
    kl_coef: float = 0.0
    """Must be 0."""
    top_k: int | None = None
    """Act only among so many tokens that the reference ranks highest; None takes the whole vocabulary."""
    replay_size: int = 8192
    """Episodes that are remembered; the oldest go first."""
    minibatch_size: int = 64
    """Remembered episodes an optimiser step."""
    steps_per_update: int = 4
    """Optimiser steps an update."""
    softness: float = 0.1
    """η, in units of score: how much log π(a|s) means in Q."""
    double: bool = True
    """The learnt network chooses the next token, and the target network values it; without it the target network does both."""
    target_steps: int = 32
    """Optimiser steps after which the target network becomes a copy of the learnt one."""
    epsilon: float = 1.0
    """ε at the start: how often a token is drawn uniformly."""
    final_epsilon: float = 0.05
    """ε at the end of the exploration."""
    exploration: float = 0.5
    """Share of the episodes that `learn` is asked for in which ε falls linearly."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kl_coef != 0:
            raise ArgumentError(f"DQN's policy is greedy, so it has no KL to pay for: kl_coef must be 0, got {self.kl_coef!r}.")
        if self.kl_target is not None:
            raise ArgumentError(f"DQN has no KL coefficient to steer: leave kl_target out, got {self.kl_target!r}.")
        positive = ("top_k", "replay_size", "minibatch_size", "steps_per_update", "softness", "target_steps")
        check_ranges(self, positive=positive, unit=("epsilon", "final_epsilon", "exploration"))
        check_divides(self, "minibatch_size", "replay_size")


class DQN(Learner):
    """Trains a policy in text environments, also in those of `TopKActions`; other arguments and errors are those of `Learner`."""

    config: DQNConfig
    Config = DQNConfig
    plays_policy = False

    def __init__(self, policy: LanguagePolicy, envs: Any, config: DQNConfig | None = None, **options: Any) -> None:
        top_k = getattr(config, "top_k", None)
        if isinstance(getattr(envs, "rows", None), TopK):  # the same choices, as tokens
            if top_k is not None:
                raise ArgumentError(f"The envs are TopKActions already, so top_k={top_k} is one choice too many; leave one of them out.")
            envs = ActionMask(envs.env, top_k=envs.rows.k, mask_model=envs.rows.reference)
        elif top_k is not None:
            envs = ActionMask(envs, top_k=top_k, mask_model=options.get("reference") or copy.deepcopy(policy))
        elif text_envs(envs).rules.vocabulary > LARGE:
            _warn_of_size(text_envs(envs).rules, config if isinstance(config, DQNConfig) else DQNConfig())
        self.offered: int | None = getattr(getattr(envs, "rows", None), "top_k", None)
        """Tokens that are offered in every state, None for the vocabulary."""
        super().__init__(policy, envs, config, **options)

    def set_up(self) -> None:
        """Add the target network and an empty memory."""
        self.uses_values = True
        self.modules["target"] = self.target = copy.deepcopy(self.policy)
        self.target.requires_grad_(False)
        self.memory = {"steps": 0, "epsilon": self.config.epsilon, "replay": {}}

    def trained_parameters(self) -> list[torch.nn.Parameter]:
        """The policy's."""
        return list(self.policy.parameters())

    @property
    def actor(self) -> "EpsilonGreedy":
        """The ε-greedy policy, ε as far down as the episodes played say."""
        start, end = self.schedule
        share = (self.episodes - start) / max(1.0, self.config.exploration * (end - start))
        epsilon = self.config.epsilon + (self.config.final_epsilon - self.config.epsilon) * min(1.0, share)
        self.memory["epsilon"] = epsilon
        return EpsilonGreedy(self.policy, epsilon, text_envs(self.envs).rules.allowed)

    def estimate(self, episodes: Episodes) -> Episodes:
        """Add the reference's log-probabilities."""
        return self.refer(episodes)

    def update(self, episodes: Episodes) -> dict[str, float]:
        """Remember the episodes, and take steps on remembered ones towards r + γ Q_target(s', argmax_a Q(s', a)).

        Raises:
            TrainingError: the gradient is not finite.
        """
        config, batch = self.config, self.refer(episodes)
        self._remember(batch)
        steps: list[dict[str, float]] = []
        self.policy.train()
        for _ in range(config.steps_per_update):
            drawn = self._recall()
            steps.append(self.minimise(drawn, self.loss))
            self.memory["steps"] += 1
            if self.memory["steps"] % config.target_steps == 0:
                self.target.load_state_dict(self.policy.state_dict())
        self.policy.eval()
        return self.report(batch, steps) | {"epsilon": self.memory["epsilon"]}

    def loss(self, piece: Episodes) -> Terms:
        """½ (r + γ Q(s', a') - Q(s, a))², with Q(s', a') = 0 after the last token: (b, T)."""
        log_probs, values = self.forward(piece)
        q = values + self.config.softness * log_probs
        after = torch.nn.functional.pad(self._best(piece)[:, 1:], (0, 1))
        error = value_loss(q, piece.rewards.float() + self.config.gamma * after)
        return {"loss": error, "value_loss": error, "q": q}

    @torch.no_grad()
    def _best(self, piece: Episodes) -> torch.Tensor:
        """The target network's Q of the best next token in every state: (b, T), 0 where there is no token."""
        mask = piece.mask
        forbidden = self.policy.forbidden(mask, piece.allowed_tokens(self.policy.vocabulary))
        with self.policy.arithmetic():
            theirs = self.target.response_hidden(piece.tokens, piece.prompt_columns)  # (M, D)
            chooser = self.policy if self.config.double else self.target
            ours = self.policy.response_hidden(piece.tokens, piece.prompt_columns) if self.config.double else theirs
            best = torch.cat(
                [
                    chooser.logits(part).masked_fill(banned, -torch.inf).argmax(-1)
                    for part, banned in zip(ours.split(_ROWS), _rows(forbidden, len(ours)), strict=True)
                ]
            )  # (M,)
            log_probs = token_log_probs(self.target.logits, theirs, best, self.target.temperature, forbidden)
        q = self.target.value_head(theirs.float())[:, 0] + self.config.softness * log_probs  # (M,)
        padded: torch.Tensor = q.new_zeros(mask.shape).masked_scatter(mask, q)
        return padded

    def _remember(self, batch: Episodes) -> None:
        """Put what the loss needs of episodes into the replay memory; the oldest leave it."""
        new = {"tokens": batch.tokens.int(), "rewards": batch.rewards}
        allowed = batch.allowed_tokens(self.policy.vocabulary)
        if allowed is not None and self.offered is not None:
            new["offers"] = offers(allowed, self.offered)
        elif batch.allowed is not None:
            new["allowed"] = batch.allowed
        old = self.memory["replay"]
        self.memory["replay"] = {
            name: torch.cat([old[name], values] if old else [values])[-self.config.replay_size :] for name, values in new.items()
        }

    def _recall(self) -> Episodes:
        """Draw remembered episodes with replacement."""
        replay = self.memory["replay"]
        rows = torch.from_numpy(self.order.integers(len(replay["tokens"]), size=self.config.minibatch_size))
        tokens, rewards = replay["tokens"][rows].long(), replay["rewards"][rows]
        allowed = replay["allowed"][rows] if "allowed" in replay else None
        if "offers" in replay:
            allowed = packed(replay["offers"][rows], self.policy.vocabulary)
        return Episodes(
            tokens=tokens,
            prompt_columns=text_envs(self.envs).rules.prompt_columns,
            log_probs=torch.zeros_like(rewards, dtype=torch.float32),
            values=torch.zeros_like(rewards, dtype=torch.float32),
            rewards=rewards,
            scores=rewards.sum(1).double(),
            prompt_index=torch.zeros(len(tokens), dtype=torch.int64),
            prompts=[""] * len(tokens),
            completions=[""] * len(tokens),
            finish_reasons=[""] * len(tokens),
            allowed=allowed,
        ).to(self.policy.device)


class EpsilonGreedy:
    """Plays a policy's most probable token, and with probability ε one drawn uniformly from those allowed.

    Args:
        policy: whose choice it is.
        epsilon: ε in [0, 1].
        allowed: (V,) booleans, the tokens that may be drawn where a state does not say.
    """

    def __init__(self, policy: LanguagePolicy, epsilon: float, allowed: NDArray[np.bool_]) -> None:
        self.policy, self.epsilon, self.allowed = policy, epsilon, allowed

    @property
    def device(self) -> torch.device:
        """The policy's."""
        return self.policy.device

    def eval(self) -> None:
        """Put the policy into evaluation mode."""
        self.policy.eval()

    def check_fits(self, width: int) -> None:
        """Refuse texts that are longer than the policy's context."""
        self.policy.check_fits(width)

    def act(
        self,
        observations: NDArray[np.int32],
        *,
        allowed: NDArray[np.bool_] | None = None,
        generator: torch.Generator | None = None,
        greedy: bool = False,
    ) -> Act:
        """Choose the next token of every row; log-probabilities are those of this choice, ε and all."""
        chosen = self.policy.act(observations, allowed=allowed, greedy=True)
        epsilon = 0.0 if greedy else self.epsilon
        device, rows = self.device, len(observations)
        open_tokens = torch.tensor(np.broadcast_to(self.allowed, (rows, len(self.allowed))) if allowed is None else allowed, device=device)
        best = torch.from_numpy(chosen.actions).to(device)
        explores = torch.rand(rows, generator=generator, device=device) < epsilon
        drawn = sample_inverse_cdf(open_tokens.float(), generator)
        actions = torch.where(explores, drawn, best)
        probability = epsilon / open_tokens.sum(1) + (1 - epsilon) * (actions == best)
        return Act(actions.cpu().numpy(), probability.log(), chosen.values)


def offers(allowed: torch.Tensor, k: int) -> torch.Tensor:
    """List the ids of the at most k allowed tokens of every state, -1 behind them: (B, T, V) booleans to (B, T, k) int32.

    A state takes 4 k bytes instead of V/8.
    """
    found, ids = allowed.byte().topk(k)
    return torch.where(found > 0, ids, -1).int()


def packed(offered: torch.Tensor, vocabulary: int) -> torch.Tensor:
    """Turn what `offers` made into bits as `Episodes.allowed` holds them: (B, T, k) to (B, T, ⌈V/8⌉) uint8."""
    ids = offered.long()
    allowed = torch.zeros(*ids.shape[:2], vocabulary + 1, dtype=torch.bool)  # the last for -1
    allowed.scatter_(-1, torch.where(ids < 0, vocabulary, ids), True)
    return torch.from_numpy(np.packbits(allowed[..., :vocabulary].numpy(), axis=-1))


def _rows(forbidden: torch.Tensor, n: int) -> list[torch.Tensor]:
    """Split what is forbidden as n states are split: (V,) goes to all."""
    return list(forbidden.split(_ROWS)) if forbidden.ndim == 2 else [forbidden] * -(-n // _ROWS)


def _warn_of_size(rules: Rules, config: DQNConfig) -> None:
    values = config.minibatch_size * rules.response_columns * rules.vocabulary
    warnings.warn(
        f"DQN over {rules.vocabulary:,} tokens compares {values:,} values of Q in every optimiser step, {values * 4 / 2**30:.1f} GiB, and "
        "drawing uniformly from them explores hardly anything; give top_k=16, or wrap the envs in TopKActions(envs, 16).",
        stacklevel=3,
    )
