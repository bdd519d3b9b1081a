"""How much a completion owes to its prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from textenv.errors import ArgumentError
from textenv.models.hub import locate
from textenv.rewards.fluency import load_policy, log_probabilities
from textenv.rewards.protocol import refuse_half_characters
from textenv.rewards.repeats import once


@dataclass(frozen=True)
class Follows:
    """Return how much more probable a completion is after its own prompt than after other prompts, from 0 to 1.

    The score is σ(l - margin), where l, in nats, is log π(completion | prompt) less the log of the mean of
    π(completion | other) over some other prompts: the pointwise mutual information of prompt and completion. One text that is
    the answer to every prompt has at most l = 0 on average, whatever the text, as long as the others are like the prompts,
    because the mean of a logarithm is at most the logarithm of the mean. So take the others from the environment's own
    prompts: beside others of another kind, one text that suits all the prompts may score 1. (Maximum mutual information
    against dull answers: Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models",
    https://arxiv.org/abs/1510.03055.)

    An empty completion scores 0.

    Args:
        others: two or more different prompts to compare with; the completion's own is left out where it is one of them.
        margin: nats that score one half.
        model: an embedded name, a local folder or a hub id of a causal language model.
        device: such as "cpu" or "cuda".

    Raises:
        ArgumentError: there are fewer than two different others.
        LoadError: there is no such model.
    """

    others: tuple[str, ...]
    margin: float = 1.0
    model: str = "tiny-en"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if isinstance(self.others, str) or len(set(self.others)) < 2:
            raise ArgumentError(
                "Follows needs two or more different prompts to compare with, because a completion's own is left out,"
                f" got others={self.others!r}; give some of the environment's prompts."
            )
        locate(self.model)

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        """Score n texts."""
        refuse_half_characters("Follows", prompts, completions)
        pairs = list(zip(prompts, completions, strict=True))
        return once(pairs, lambda different: expit(self.lift(different) - self.margin))

    def lift(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """Return the pointwise mutual information of n prompts and completions in nats: (n,), -inf for an empty completion."""
        policy = load_policy(self.model, self.device)
        questions = [[prompt, *(other for other in self.others if other != prompt)] for prompt, _ in pairs]
        asked = [(each, text) for (_, text), some in zip(pairs, questions, strict=True) for each in some]
        values = log_probabilities(policy, asked)
        result = np.full(len(pairs), -np.inf)
        start = 0
        for i, some in enumerate(questions):
            own, others = values[start], values[start + 1 : start + len(some)]
            start += len(some)
            if pairs[i][1]:
                result[i] = own - (logsumexp(others) - np.log(len(others)))
        return result
