"""Guided learning: an expert takes over tokens in the middle of an episode, and the policy imitates those that were good.

Wu et al., "Toward Human-in-the-Loop AI: Enhancing Deep Reinforcement Learning via Real-Time Human Guidance for Autonomous Driving",
Engineering 21, 2023, pages 75-91, https://arxiv.org/abs/2104.07246. Its policy loss is

    -Q(s, a) + I(s) ω (a - μ(s))²,    ω = λ^k (max(exp(Q(s, a) - Q(s, μ(s))), 1) - 1),

where I(s) says that the expert chose a, and k counts the episodes that have been learnt from: only what beats the policy is imitated, and
less and less. For tokens the squared distance becomes -log π(a|s), Q(s, μ(s)) of a deterministic μ becomes Σ_a π(a|s) Q(s, a), so
that ω grows with the advantage of the expert's token, and the first term becomes the policy gradient, of the policy's own tokens alone.

Q is a head over the vocabulary that learns the λ-returns of expected Sarsa, and for ω too the λ-return stands for the Q of a token
that has been played, as it does in the policy's advantages: it tells at once what the expert's token was good for, where the head
must first learn to tell tokens apart. (Weights (R - V)+ of good past actions: Oh et al., "Self-Imitation Learning",
https://arxiv.org/abs/1806.05635.) The expert's tokens are not drawn from π, so a λ-return that enters a run of them would credit the
policy with the expert's skill: there the trace is cut, as in tree backup (Precup, Sutton and Singh, "Eligibility Traces for
Off-Policy Policy Evaluation", ICML 2000), and the policy's last token before it learns from Σ_a π(a|s) Q(s, a). Within a run it is not: an
intervention is one decision, whose tokens share what it leads to.
"""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from textenv.agents.config import LearnerConfig, check_ranges
from textenv.agents.experts import Expert, ask, load_expert
from textenv.agents.learner import Learner, Terms
from textenv.agents.losses import policy_gradient, value_loss
from textenv.agents.q_head import QHead
from textenv.agents.terminal_expert import TerminalExpert
from textenv.envs.vector import TextVectorEnv, text_envs
from textenv.errors import ArgumentError
from textenv.models.acting import Act
from textenv.models.policy import LanguagePolicy
from textenv.rollouts.advantages import masked_mean, masked_whiten
from textenv.types import Episodes

_ROWS = 128


@dataclass(frozen=True, kw_only=True)
class GuidedConfig(LearnerConfig):
    """How guided learning learns: one optimiser step a batch.

    Raises:
        ArgumentError: numbers that do not fit together.
    """

    expert: str | None = None
    """Who takes over: "module:function", see `textenv.agents.experts`, or "terminal", the person at it."""
    intervention_rate: float = 0.25
    """Share of the episodes that the expert watches, and may take over at any token."""
    expert_decay: float = 0.9998
    """λ: after k episodes an expert's token weighs λ^k times as much."""
    episodes_per_update: int = 64
    """Episodes of an optimiser step."""
    lam: float = 0.95
    """λ of the returns that Q learns and that the weights are made of; from the policy's token to the expert's it is 0."""
    value_coef: float = 1.0
    """Weight of the error of Q."""
    whiten_advantages: bool = True
    """Scale advantages to mean 0 and variance 1 over the policy's own tokens of an update; without it the gradient is unbiased."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, least_zero=("value_coef",), unit=("intervention_rate", "expert_decay", "lam"))


class Guided(Learner):
    """Trains a policy in text environments; other arguments and errors are those of `Learner`.

    Args:
        policy: learns.
        envs: from `gymnasium.make_vec`.
        config: of the agent.
        expert: a function as `textenv.agents.experts` describes it, in the place of the config's name.
        **options: of `Learner`.

    Raises:
        ArgumentError: there is no expert, or two, or it cannot be used.
    """

    config: GuidedConfig
    Config = GuidedConfig

    def __init__(
        self, policy: LanguagePolicy, envs: Any, config: GuidedConfig | None = None, *, expert: Expert | None = None, **options: Any
    ) -> None:
        super().__init__(policy, envs, config, **options)
        if (expert is None) == (self.config.expert is None):
            given = "none" if expert is None else "two, in the config and beside it"
            raise ArgumentError(f"Guided needs an expert, got {given}; give --expert module:function, --expert terminal, or a function.")
        self.expert = load_expert(expert or cast(str, self.config.expert), text_envs(envs).rules)
        self.interactive = isinstance(self.expert, TerminalExpert)

    def set_up(self) -> None:
        """Add a Q head."""
        self.uses_values = True
        self.modules["q_head"] = self.q_head = QHead(self.policy)

    @property
    def actor(self) -> "Supervised":
        """The policy under the expert's eye."""
        return Supervised(self.policy, self.expert, text_envs(self.envs), self.config.intervention_rate)

    def estimate(self, episodes: Episodes) -> Episodes:
        """Add the reference's log-probabilities, what Q should have been, and what tokens weigh: A, or ω where they are the expert's."""
        config, batch = self.config, self._with_own_log_probs(self.refer(episodes))
        theirs = cast(torch.Tensor, batch.taken_over)  # (B, T)
        _, expected = self.q_head.evaluate(batch, config.micro_batch_size)
        returns = expected_sarsa(self.shaped_rewards(batch), expected, batch.mask, theirs, config.gamma, config.lam)
        own = batch.mask & ~theirs
        advantages = (returns - expected) * own
        if config.whiten_advantages and own.any():
            advantages = masked_whiten(advantages, own)
        omega = intervention_weight(returns, expected, config.expert_decay**self.episodes)
        weights = torch.where(theirs, omega, advantages)
        return self.weigh(replace(batch, values=expected), weights, returns, whiten=False)

    def update(self, episodes: Episodes) -> dict[str, float]:
        """Take one step along the gradient of E[Σ_t w_t log π(a_t|s_t)], where w is A for the policy's tokens and ω for the expert's.

        The KLs and the entropy that it tells are of the policy's own tokens; the score is what policy and expert got together.

        Raises:
            TrainingError: the gradient is not finite.
        """
        batch = self.prepare(episodes)
        theirs = cast(torch.Tensor, batch.taken_over)
        self.policy.train()
        step = self.minimise(batch, self.loss)
        self.policy.eval()
        own, ref = (log_probs.masked_fill(theirs, 0.0) for log_probs in (batch.log_probs, cast(torch.Tensor, batch.ref_log_probs)))
        told = self.report(replace(batch, log_probs=own, ref_log_probs=ref), [step])
        entropy = -(own.sum() / (batch.mask & ~theirs).sum().clamp(min=1)).item()
        return told | {"entropy": entropy, "taken_over": masked_mean(theirs.float(), batch.mask).item()}

    def loss(self, piece: Episodes) -> Terms:
        """-A log π of the policy's tokens, -ω log π of the expert's, and the error of Q: (b, T) each."""
        theirs = cast(torch.Tensor, piece.taken_over)
        log_probs, q = self.q_head.forward_taken(piece)
        weighed = policy_gradient(log_probs, cast(torch.Tensor, piece.advantages))
        error = value_loss(q, cast(torch.Tensor, piece.returns))
        return {
            "loss": weighed + self.config.value_coef * error,
            "policy_loss": weighed.masked_fill(theirs, 0.0),
            "intervention_loss": weighed.masked_fill(~theirs, 0.0),
            "value_loss": error,
        }

    @torch.no_grad()
    def _with_own_log_probs(self, batch: Episodes) -> Episodes:
        """Say of the expert's tokens too how probable the policy finds them."""
        theirs = torch.zeros_like(batch.mask) if batch.taken_over is None else batch.taken_over
        if not theirs.any():
            return replace(batch, taken_over=theirs)
        log_probs = batch.log_probs.clone()
        for rows in theirs.any(1).nonzero()[:, 0].split(self.config.micro_batch_size or _ROWS):
            found, _ = self.forward(batch.select(rows).to(self.policy.device))
            log_probs[rows] = torch.where(theirs[rows], found.to(log_probs.device), log_probs[rows])
        return replace(batch, log_probs=log_probs, taken_over=theirs)


def expected_sarsa(
    rewards: torch.Tensor, expected: torch.Tensor, mask: torch.Tensor, taken_over: torch.Tensor, gamma: float, lam: float
) -> torch.Tensor:
    """G_t = r_t + γ (V_{t+1} + λ_{t+1} (G_{t+1} - V_{t+1})) with V = Σ_a π(a|s) Q(s, a).

    λ_{t+1} is λ, but 0 where the policy chose a_t and the expert a_{t+1}.

    Args:
        rewards: (B, T).
        expected: (B, T) V of the states the tokens were chosen in.
        mask: (B, T), True in the leading columns of each row; V after the last token is 0.
        taken_over: (B, T), the expert's tokens.
        gamma: γ in [0, 1].
        lam: λ in [0, 1].

    Returns:
        (B, T), 0 where the mask is False.
    """
    returns, after = torch.zeros_like(rewards), torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        returns[:, t] = (rewards[:, t] + gamma * after) * mask[:, t]
        enters = taken_over[:, t] & ~taken_over[:, t - 1] if t else taken_over[:, t]
        after = (expected[:, t] + lam * ~enters * (returns[:, t] - expected[:, t])) * mask[:, t]
    return returns


def intervention_weight(q: torch.Tensor, expected: torch.Tensor, decay: float) -> torch.Tensor:
    """ω = λ^k (max(exp(Q(s, a) - Σ_a π(a|s) Q(s, a)), 1) - 1), at least 0.

    Args:
        q: Q(s, a) of the expert's tokens, or an estimate of it, any shape.
        expected: Σ_a π(a|s) Q(s, a), the same shape.
        decay: λ^k in [0, 1].
    """
    return decay * torch.expm1((q - expected).clamp(min=0))


class Supervised:
    """Plays a policy, and in some episodes the tokens that an expert chooses in its place.

    What the environment forbids is not written: there the policy goes on by itself.

    Args:
        policy: whose turn it is where the expert says nothing.
        expert: see `textenv.agents.experts`.
        envs: where they play.
        rate: probability that the expert watches an episode.
    """

    def __init__(self, policy: LanguagePolicy, expert: Expert, envs: TextVectorEnv, rate: float) -> None:
        self.policy, self.expert, self.envs, self.rate = policy, expert, envs, rate
        self.watched = np.zeros(envs.num_envs, dtype=np.bool_)  # (N,)
        self.begun: dict[int, list[int]] = {}  # of each row: tokens that complete a character

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
        """Choose the next token of every row; the log-probability of the expert's is 0, for there was no choice."""
        chosen = self.policy.act(observations, allowed=allowed, generator=generator, greedy=greedy)
        rules = self.envs.rules
        live = (observations >= 0).any(1) & ~self.envs.ended
        starts = live & (observations[:, rules.prompt_columns] < 0)
        if starts.any():
            drawn = torch.rand(len(starts), generator=generator, device=self.device).cpu().numpy()
            self.watched = np.where(starts, drawn < self.rate, self.watched)
            self.begun = {row: tokens for row, tokens in self.begun.items() if not starts[row]}
        asked = np.array([row for row in np.flatnonzero(live & self.watched) if row not in self.begun], dtype=np.int64)
        if len(asked):
            answers = ask(self.expert, rules, observations[asked], self.envs.prompt_index[asked], asked)
            self.begun |= {row: tokens for row, tokens in zip(asked.tolist(), answers, strict=True) if tokens}
        actions, taken_over = chosen.actions.copy(), np.zeros(len(live), dtype=np.bool_)
        for row, (token, *rest) in list(self.begun.items()):
            possible = rules.allowed if allowed is None else allowed[row]
            self.begun[row] = rest if possible[token] else []
            if possible[token]:
                actions[row], taken_over[row] = token, True
        self.begun = {row: tokens for row, tokens in self.begun.items() if tokens}
        theirs = torch.from_numpy(taken_over).to(self.device)
        return Act(actions, chosen.log_probs.masked_fill(theirs, 0.0), chosen.values, theirs)
