"""Whether β was made for scores of this scale."""

from typing import Final

import torch

from textenv.agents.learner import Learner
from textenv.envs.vector import text_envs

TYPICAL_SD: Final = 0.24
"""Standard deviation of the scores of TextSentiment-v0 before training, on which β's default was chosen."""


TOLERANCE: Final = 1e-6
"""Rounding by which a score between 0 and 1 may be outside."""


def scale_doubt(agent: Learner, scores: torch.Tensor) -> str | None:
    """Say in a sentence that β has its default, and scores are not between 0 and 1, for which that was made.

    The objective E[score] - β KL has the same optimum when score and β are multiplied by the same
    number, so the β that suits other scores is the default times the ratio of the standard deviations.
    Reward models that `textenv reward` fits have a deviation of 1.

    Args:
        agent: before it learns.
        scores: (B,) of its policy.

    Returns:
        None where β was chosen or is 0, or all scores are between 0 and 1; for an agent whose objective is
        another one; and for a toy, whose reference is drawn at random, so that nearness to it is no aim.
    """
    beta, default = agent.config.kl_coef, agent.Config().kl_coef
    low, high, sd = float(scores.min()), float(scores.max()), float(scores.double().std(correction=0))
    toy = text_envs(agent.envs).rules.task.model is None
    fits = low >= -TOLERANCE and high <= 1 + TOLERANCE
    if fits or not agent.learns or not agent.trades_score_for_kl or toy or beta != default or beta == 0:
        return None
    sentence = f"Scores before training are from {low:.2f} to {high:.2f}, and kl_coef is {beta:g}, made for scores between 0 and 1"
    if sd == 0:
        return f"{sentence}."
    return f"{sentence}; --kl-coef {beta * sd / TYPICAL_SD:.2g} would suit their standard deviation of {sd:.2f}."
