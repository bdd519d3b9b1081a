"""Online DPO: pairs of the policy's own episodes, judged by the environment's reward, and a step along DPO's gradient.

Guo et al., "Direct Language Model Alignment from Online AI Feedback", https://arxiv.org/abs/2402.04792; best and worst of k: Dong et
al., "RLHF Workflow", https://arxiv.org/abs/2405.07863. β of the loss is `kl_coef`.

The judge says that episode i is better than j with the probability σ((r_i - r_j)/τ). At τ = 1 and for any pairs, the loss is least at
π* ∝ π_ref exp(r/β), the optimum of E[r] - β KL(π‖π_ref); at τ = 0 the better one always wins, as in the papers, and β is only how
far a pair is pulled apart before it stops to matter.
"""

from dataclasses import dataclass
from typing import cast

import torch

from textenv.agents.config import LearnerConfig, check_divides, check_ranges
from textenv.agents.dpo import sigmoid_loss
from textenv.agents.learner import Learner, Terms
from textenv.errors import ArgumentError
from textenv.types import Episodes


@dataclass(frozen=True, kw_only=True)
class OnlineDPOConfig(LearnerConfig):
    """How online DPO learns: one optimiser step a batch, on the policy that drew it.

    Raises:
        ArgumentError: numbers that do not fit together.
    """

    episodes_per_update: int = 128
    """Episodes of an optimiser step."""
    group_size: int = 2
    """k, episodes of each prompt; the best and the worst of them are the pair."""
    judge_temperature: float = 1.0
    """τ, in units of score: how unsure the judge is of two scores that differ by one; 0 is sure of any difference."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, least_zero=("judge_temperature",))
        check_divides(self, "group_size", "episodes_per_update", least=2)
        if self.gamma != 1:
            raise ArgumentError(f"Online DPO compares whole episodes, so gamma must be 1, got {self.gamma!r}.")
        if self.kl_coef == 0:
            raise ArgumentError("kl_coef is β, by which online DPO multiplies log(π/π_ref), and must be positive.")
        if self.micro_batch_size is not None and self.micro_batch_size % 2:
            raise ArgumentError(f"micro_batch_size={self.micro_batch_size} must be even, for episodes come in pairs.")


class OnlineDPO(Learner):
    """Trains a policy in text environments; arguments and errors are those of `Learner`."""

    config: OnlineDPOConfig
    trades_score_for_kl = False  # a loss of pairs, in which τ has the scale of the scores
    Config = OnlineDPOConfig

    def set_up(self) -> None:
        """Play prompts in groups."""
        self.group_size = self.config.group_size

    def estimate(self, episodes: Episodes) -> Episodes:
        """Add the reference's log-probabilities.

        Raises:
            ArgumentError: the episodes are no groups of one prompt each.
        """
        self.check_groups(episodes)
        return self.refer(episodes)

    def update(self, episodes: Episodes) -> dict[str, float]:
        """Take one step along the gradient of the loss of the best and the worst of each group.

        Raises:
            ArgumentError: the episodes are no groups of one prompt each.
            TrainingError: the gradient is not finite.
        """
        batch = self.prepare(episodes)
        rewards = batch.rewards.sum(1).reshape(-1, self.group_size)  # (groups, k)
        first = torch.arange(len(rewards), device=rewards.device) * self.group_size
        pair = torch.stack([rewards.argmax(1), self.group_size - 1 - rewards.flip(1).argmin(1)], 1)  # two, also where all are equal
        pairs = batch.select((first[:, None] + pair).flatten())
        self.policy.train()
        tokens = float(2 * pairs.mask.sum() / len(pairs))
        step = self.minimise(pairs, lambda piece: self.loss(piece, tokens))
        self.policy.eval()
        return self.report(batch, [step])

    def loss(self, piece: Episodes, tokens: float) -> Terms:
        """DPO's loss of each pair, and what is told of it, spread evenly over the tokens of its episodes.

        Args:
            piece: b episodes, better and worse in turn.
            tokens: of a pair in the mean, so that a mean over tokens is one over pairs.

        Returns:
            (b, T) each.
        """
        ratios = (self.forward(piece)[0] - cast(torch.Tensor, piece.ref_log_probs) * piece.mask).sum(1).view(-1, 2)  # better, worse
        rewards = piece.rewards.sum(1).view(-1, 2)
        margins, apart = ratios[:, 0] - ratios[:, 1], (rewards[:, 0] - rewards[:, 1]).float()
        temperature = self.config.judge_temperature
        wrong = torch.sigmoid(-apart / temperature) if temperature else torch.zeros_like(apart)
        judged = (apart > 0) | (temperature > 0)  # a sure judge says nothing of equal scores
        beta = self.controller.coefficient
        told = {
            "loss": sigmoid_loss(margins, beta, wrong).where(judged, 0.0),
            "margin": beta * margins.detach(),
            "accuracy": ((margins.detach() * apart).sign() + 1) / 2,
            "tied": (apart == 0).float(),
        }
        share = tokens / piece.mask.view(len(margins), -1).sum(1)  # (b/2,)
        return {name: (values * share).repeat_interleave(2)[:, None] * piece.mask for name, values in told.items()}
