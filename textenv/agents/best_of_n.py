"""Best of n: the baseline that learns nothing and picks the best of n samples of a prompt.

Its KL to what it samples from is at most log n - (n - 1)/n: Stiennon et al., "Learning to summarize from human feedback", appendix
G.3, https://arxiv.org/abs/2009.01325; that it is an upper bound, exact where no two texts score alike: Beirami et al.,
"Theoretical guarantees on the best-of-n alignment policy", https://arxiv.org/abs/2401.01879.
"""

from dataclasses import dataclass

import torch

from textenv.agents.config import LearnerConfig, check_divides
from textenv.agents.learner import Learner
from textenv.rewards.kl import best_of_n_kl
from textenv.types import Episodes


@dataclass(frozen=True, kw_only=True)
class BestOfNConfig(LearnerConfig):
    """What best of n samples; of the fields of every agent, those about learning have no effect.

    Raises:
        ArgumentError: numbers that do not fit together.
    """

    n: int = 16
    """Samples of each prompt."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divides(self, "n", "episodes_per_update")


class BestOfN(Learner):
    """Picks in text environments; arguments and errors are those of `Learner`."""

    config: BestOfNConfig
    Config = BestOfNConfig
    learns = False

    def set_up(self) -> None:
        """Play prompts in groups of n."""
        self.group_size = self.config.n

    def estimate(self, episodes: Episodes) -> Episodes:
        """Add the reference's log-probabilities."""
        return self.refer(episodes)

    def select(self, episodes: Episodes) -> Episodes:
        """Pick the best of each group by score, the first among equals.

        Raises:
            ArgumentError: the episodes are no groups of one prompt each.
        """
        self.check_groups(episodes)
        best = episodes.scores.reshape(-1, self.group_size).argmax(1).cpu()  # (B/n,)
        return episodes.select(torch.arange(len(best)) * self.group_size + best)

    def update(self, episodes: Episodes) -> dict[str, float]:
        """Tell the score of the best, the KL that picking them costs in nats a sequence, and the mean of all.

        Raises:
            ArgumentError: the episodes are no groups of one prompt each.
        """
        batch = self.refer(episodes)
        picked = self.select(batch)
        told = self.report(batch, [])
        return told | {"score": float(picked.scores.mean()), "kl_best_of_n": best_of_n_kl(self.config.n), "mean_score": told["score"]}
